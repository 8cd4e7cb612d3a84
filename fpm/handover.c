/* handover.c: see handover.h. */
#include "fpm/handover.h"

#include "fpm/fd.h"
#include "fpm/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HANDOVER_MAGIC "overtime-handover"

enum {
    HANDOVER_NAME_MAX = 32,
    HANDOVER_SIZE_MAX = 1 << 28 /* bytes; thousands of workers need a million */
};

/* Nobody writes into it any more, and nobody can cut it off. */
static const int handover_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

bool handover_good(const struct handover *paper)
{
    return paper->error[0] == '\0';
}

void handover_refuse(struct handover *paper, const char *format, ...)
{
    va_list arguments;
    if (!handover_good(paper))
        return;
    va_start(arguments, format);
    (void)vsnprintf(paper->error, sizeof paper->error, format, arguments);
    va_end(arguments);
}

static int handover_result(const struct handover *paper)
{
    return handover_good(paper) ? 0 : -1;
}

/* ---- the paper as a whole ---- */

int handover_begin(struct handover *paper)
{
    *paper = (struct handover){.mode = HANDOVER_WRITE, .fd = -1};
    paper->out = open_memstream(&paper->data, &paper->size);
    if (paper->out == NULL)
        handover_refuse(paper, "out of memory");
    else
        fprintf(paper->out, HANDOVER_MAGIC " %d\n", HANDOVER_VERSION);
    return handover_result(paper);
}

static bool handover_fill(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

/* The place where it is read begins at its front. */
static void handover_seal(struct handover *paper)
{
    bool whole = paper->out != NULL && !ferror(paper->out);
    whole = paper->out != NULL && fclose(paper->out) == 0 && whole;
    paper->out = NULL;
    paper->fd = memfd_create("overtime-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (!whole)
        handover_refuse(paper, "out of memory");
    else if (paper->fd < 0 || !handover_fill(paper->fd, paper->data, paper->size) ||
             lseek(paper->fd, 0, SEEK_SET) != 0 ||
             fcntl(paper->fd, F_ADD_SEALS, handover_seals) != 0)
        handover_refuse(paper, "cannot write down what has to be handed over: %s", strerror(errno));
}

/* Reads without moving the common offset: the paper may be read by a child before. */
static void handover_load(struct handover *paper)
{
    struct stat status;
    if (fcntl(paper->fd, F_GET_SEALS) != handover_seals || fstat(paper->fd, &status) != 0 ||
        status.st_size < 0 || status.st_size > HANDOVER_SIZE_MAX) {
        handover_refuse(paper, "descriptor %d holds nothing that was handed over", paper->fd);
        return;
    }
    paper->data = malloc((size_t)status.st_size + 1);
    if (paper->data == NULL) {
        handover_refuse(paper, "out of memory");
        return;
    }
    while (paper->size < (size_t)status.st_size) {
        ssize_t got = pread(paper->fd, paper->data + paper->size,
                            (size_t)status.st_size - paper->size, (off_t)paper->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        paper->size += (size_t)got;
    }
    paper->data[paper->size] = '\0';
}

int handover_open(struct handover *paper, int fd, enum handover_mode mode)
{
    *paper = (struct handover){.mode = mode, .fd = fd};
    handover_load(paper);
    if (mode == HANDOVER_TAKE)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    int64_t version = handover_number(paper, HANDOVER_MAGIC, 0, 0, INT32_MAX);
    if (handover_good(paper) && version != HANDOVER_VERSION)
        handover_refuse(paper,
                        "what is handed over is of format %" PRId64 ", this program reads "
                        "format %d alone: restart it instead",
                        version, HANDOVER_VERSION);
    return handover_result(paper);
}

int handover_end(struct handover *paper)
{
    (void)handover_number(paper, "end", 0, 0, 0);
    if (paper->mode == HANDOVER_WRITE)
        handover_seal(paper);
    else if (paper->at != paper->size)
        handover_refuse(paper, "something is left behind the end");
    return handover_result(paper);
}

void handover_close(struct handover *paper)
{
    if (paper->out != NULL)
        (void)fclose(paper->out);
    if (paper->mode != HANDOVER_CHECK)
        fd_close(&paper->fd);
    free(paper->data);
    free(paper->kept);
    *paper = (struct handover){.fd = -1};
}

void handover_keep(const struct handover *paper, bool keep)
{
    const int flags = keep ? 0 : FD_CLOEXEC;
    for (size_t i = 0; i < paper->kept_count; i++)
        (void)fcntl(paper->kept[i], F_SETFD, flags);
    if (paper->fd >= 0)
        (void)fcntl(paper->fd, F_SETFD, flags);
}

/* ---- reading ---- */

/* "NAME NUMBER\n" */
static bool handover_line(struct handover *paper, const char *name, int64_t *value)
{
    char found[HANDOVER_NAME_MAX + 1], shown[HANDOVER_NAME_MAX * 4 + 8], *end = NULL;
    if (!handover_good(paper))
        return false;
    const char *line = paper->data + paper->at;
    size_t length = strcspn(line, " \n");
    snprintf(found, sizeof found, "%.*s",
             (int)(length < HANDOVER_NAME_MAX ? length : HANDOVER_NAME_MAX), line);
    if (strcmp(found, name) == 0 && line[length] == ' ') {
        errno = 0;
        *value = strtoll(line + length + 1, &end, 10);
        if (errno == 0 && end != line + length + 1 && *end == '\n') {
            paper->at = (size_t)(end + 1 - paper->data);
            return true;
        }
    }
    handover_refuse(paper, "\"%s\" was expected where \"%s\" stands", name,
                    text_show(shown, sizeof shown, found));
    return false;
}

/* ---- values ---- */

int64_t handover_number(struct handover *paper, const char *name, int64_t value, int64_t least,
                        int64_t most)
{
    if (paper->mode == HANDOVER_WRITE) {
        if (handover_good(paper))
            fprintf(paper->out, "%s %" PRId64 "\n", name, value);
        return value;
    }
    if (!handover_line(paper, name, &value))
        return 0;
    if (value >= least && value <= most)
        return value;
    handover_refuse(paper, "\"%s\" cannot be %" PRId64, name, value);
    return 0;
}

bool handover_flag(struct handover *paper, const char *name, bool value)
{
    return handover_number(paper, name, value, 0, 1) != 0;
}

static void handover_carry(struct handover *paper, int fd)
{
    int *grown = reallocarray(paper->kept, paper->kept_count + 1, sizeof *grown);
    if (grown == NULL) {
        handover_refuse(paper, "out of memory");
        return;
    }
    paper->kept = grown;
    paper->kept[paper->kept_count++] = fd;
}

int handover_fd(struct handover *paper, const char *name, int fd)
{
    fd = (int)handover_number(paper, name, fd, -1, INT32_MAX);
    if (!handover_good(paper) || fd < 0)
        return -1;
    if (paper->mode == HANDOVER_WRITE) {
        handover_carry(paper, fd);
        return fd;
    }
    if (paper->mode == HANDOVER_CHECK)
        return -1;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
        return fd;
    handover_refuse(paper, "\"%s\" is descriptor %d, which is not open", name, fd);
    return -1;
}

void handover_bytes(struct handover *paper, const char *name, char **bytes, size_t *size)
{
    if (paper->mode == HANDOVER_WRITE) {
        (void)handover_number(paper, name, *bytes != NULL ? (int64_t)*size : -1, -1, INT64_MAX);
        if (handover_good(paper) && *bytes != NULL) {
            (void)fwrite(*bytes, 1, *size, paper->out);
            (void)fputc('\n', paper->out);
        }
        return;
    }
    int64_t length = handover_number(paper, name, 0, -1, HANDOVER_SIZE_MAX);
    *bytes = NULL;
    *size = 0;
    if (!handover_good(paper) || length < 0)
        return;
    if (paper->size - paper->at <= (size_t)length ||
        paper->data[paper->at + (size_t)length] != '\n') {
        handover_refuse(paper, "\"%s\" is cut off", name);
        return;
    }
    *bytes = malloc((size_t)length + 1);
    if (*bytes == NULL) {
        handover_refuse(paper, "out of memory");
        return;
    }
    memcpy(*bytes, paper->data + paper->at, (size_t)length);
    (*bytes)[length] = '\0';
    *size = (size_t)length;
    paper->at += (size_t)length + 1;
}

void handover_text(struct handover *paper, const char *name, char **text)
{
    size_t size = paper->mode == HANDOVER_WRITE && *text != NULL ? strlen(*text) : 0;
    handover_bytes(paper, name, text, &size);
}
