/* saved_state.c: see saved_state.h. */
#include "fpm/util/saved_state.h"

#include "fpm/util/fd.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVED_STATE_MAGIC "overtime-handover"

enum {
    SAVED_STATE_NAME_MAX = 32,
    SAVED_STATE_SIZE_MAX = 1 << 28 /* bytes; thousands of workers need a million */
};

/* Nobody writes into it any more, and nobody can cut it off. */
static const int saved_state_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

bool saved_state_good(const struct saved_state *paper)
{
    return paper->error[0] == '\0';
}

void saved_state_refuse(struct saved_state *paper, const char *format, ...)
{
    va_list arguments;
    if (!saved_state_good(paper))
        return;
    va_start(arguments, format);
    (void)vsnprintf(paper->error, sizeof paper->error, format, arguments);
    va_end(arguments);
}

static int saved_state_result(const struct saved_state *paper)
{
    return saved_state_good(paper) ? 0 : -1;
}

/* ---- the paper as a whole ---- */

int saved_state_begin(struct saved_state *paper)
{
    *paper = (struct saved_state){.mode = SAVED_STATE_WRITE, .fd = -1};
    paper->out = open_memstream(&paper->data, &paper->size);
    if (paper->out == NULL)
        saved_state_refuse(paper, "out of memory");
    else
        fprintf(paper->out, SAVED_STATE_MAGIC " %d\n", SAVED_STATE_VERSION);
    return saved_state_result(paper);
}

static bool saved_state_fill(int fd, const char *data, size_t size)
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
static void saved_state_seal(struct saved_state *paper)
{
    bool whole = paper->out != NULL && !ferror(paper->out);
    whole = paper->out != NULL && fclose(paper->out) == 0 && whole;
    paper->out = NULL;
    paper->fd = memfd_create("overtime-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (!whole)
        saved_state_refuse(paper, "out of memory");
    else if (paper->fd < 0 || !saved_state_fill(paper->fd, paper->data, paper->size) ||
             lseek(paper->fd, 0, SEEK_SET) != 0 ||
             fcntl(paper->fd, F_ADD_SEALS, saved_state_seals) != 0)
        saved_state_refuse(paper, "cannot write down what has to be handed over: %s",
                           strerror(errno));
}

/* Reads without moving the common offset: the paper may be read by a child before. */
static void saved_state_load(struct saved_state *paper)
{
    struct stat status;
    if (fcntl(paper->fd, F_GET_SEALS) != saved_state_seals || fstat(paper->fd, &status) != 0 ||
        status.st_size < 0 || status.st_size > SAVED_STATE_SIZE_MAX) {
        saved_state_refuse(paper, "descriptor %d holds nothing that was handed over", paper->fd);
        return;
    }
    paper->data = malloc((size_t)status.st_size + 1);
    if (paper->data == NULL) {
        saved_state_refuse(paper, "out of memory");
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

int saved_state_open(struct saved_state *paper, int fd, enum saved_state_mode mode)
{
    *paper = (struct saved_state){.mode = mode, .fd = fd};
    saved_state_load(paper);
    if (mode == SAVED_STATE_TAKE)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    int64_t version = saved_state_number(paper, SAVED_STATE_MAGIC, 0, 0, INT32_MAX);
    if (saved_state_good(paper) && version != SAVED_STATE_VERSION)
        saved_state_refuse(paper,
                           "what is handed over is of format %" PRId64 ", this program reads "
                           "format %d alone: restart it instead",
                           version, SAVED_STATE_VERSION);
    return saved_state_result(paper);
}

int saved_state_end(struct saved_state *paper)
{
    (void)saved_state_number(paper, "end", 0, 0, 0);
    if (paper->mode == SAVED_STATE_WRITE)
        saved_state_seal(paper);
    else if (paper->at != paper->size)
        saved_state_refuse(paper, "something is left behind the end");
    return saved_state_result(paper);
}

void saved_state_close(struct saved_state *paper)
{
    if (paper->out != NULL)
        (void)fclose(paper->out);
    if (paper->mode != SAVED_STATE_CHECK)
        fd_close(&paper->fd);
    free(paper->data);
    free(paper->kept);
    *paper = (struct saved_state){.fd = -1};
}

void saved_state_keep(const struct saved_state *paper, bool keep)
{
    const int flags = keep ? 0 : FD_CLOEXEC;
    for (size_t i = 0; i < paper->kept_count; i++)
        (void)fcntl(paper->kept[i], F_SETFD, flags);
    if (paper->fd >= 0)
        (void)fcntl(paper->fd, F_SETFD, flags);
}

/* ---- reading ---- */

/* "NAME NUMBER\n" */
static bool saved_state_line(struct saved_state *paper, const char *name, int64_t *value)
{
    char found[SAVED_STATE_NAME_MAX + 1], shown[SAVED_STATE_NAME_MAX * 4 + 8], *end = NULL;
    if (!saved_state_good(paper))
        return false;
    const char *line = paper->data + paper->at;
    size_t length = strcspn(line, " \n");
    snprintf(found, sizeof found, "%.*s",
             (int)(length < SAVED_STATE_NAME_MAX ? length : SAVED_STATE_NAME_MAX), line);
    if (strcmp(found, name) == 0 && line[length] == ' ') {
        errno = 0;
        *value = strtoll(line + length + 1, &end, 10);
        if (errno == 0 && end != line + length + 1 && *end == '\n') {
            paper->at = (size_t)(end + 1 - paper->data);
            return true;
        }
    }
    saved_state_refuse(paper, "\"%s\" was expected where \"%s\" stands", name,
                       escape_show(shown, sizeof shown, found));
    return false;
}

/* ---- values ---- */

int64_t saved_state_number(struct saved_state *paper, const char *name, int64_t value,
                           int64_t least, int64_t most)
{
    if (paper->mode == SAVED_STATE_WRITE) {
        if (saved_state_good(paper))
            fprintf(paper->out, "%s %" PRId64 "\n", name, value);
        return value;
    }
    if (!saved_state_line(paper, name, &value))
        return 0;
    if (value >= least && value <= most)
        return value;
    saved_state_refuse(paper, "\"%s\" cannot be %" PRId64, name, value);
    return 0;
}

bool saved_state_flag(struct saved_state *paper, const char *name, bool value)
{
    return saved_state_number(paper, name, value, 0, 1) != 0;
}

static void saved_state_carry(struct saved_state *paper, int fd)
{
    int *grown = reallocarray(paper->kept, paper->kept_count + 1, sizeof *grown);
    if (grown == NULL) {
        saved_state_refuse(paper, "out of memory");
        return;
    }
    paper->kept = grown;
    paper->kept[paper->kept_count++] = fd;
}

int saved_state_fd(struct saved_state *paper, const char *name, int fd)
{
    fd = (int)saved_state_number(paper, name, fd, -1, INT32_MAX);
    if (!saved_state_good(paper) || fd < 0)
        return -1;
    if (paper->mode == SAVED_STATE_WRITE) {
        saved_state_carry(paper, fd);
        return fd;
    }
    if (paper->mode == SAVED_STATE_CHECK)
        return -1;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
        return fd;
    saved_state_refuse(paper, "\"%s\" is descriptor %d, which is not open", name, fd);
    return -1;
}

void saved_state_bytes(struct saved_state *paper, const char *name, char **bytes, size_t *size)
{
    if (paper->mode == SAVED_STATE_WRITE) {
        (void)saved_state_number(paper, name, *bytes != NULL ? (int64_t)*size : -1, -1, INT64_MAX);
        if (saved_state_good(paper) && *bytes != NULL) {
            (void)fwrite(*bytes, 1, *size, paper->out);
            (void)fputc('\n', paper->out);
        }
        return;
    }
    int64_t length = saved_state_number(paper, name, 0, -1, SAVED_STATE_SIZE_MAX);
    *bytes = NULL;
    *size = 0;
    if (!saved_state_good(paper) || length < 0)
        return;
    if (paper->size - paper->at <= (size_t)length ||
        paper->data[paper->at + (size_t)length] != '\n') {
        saved_state_refuse(paper, "\"%s\" is cut off", name);
        return;
    }
    *bytes = malloc((size_t)length + 1);
    if (*bytes == NULL) {
        saved_state_refuse(paper, "out of memory");
        return;
    }
    memcpy(*bytes, paper->data + paper->at, (size_t)length);
    (*bytes)[length] = '\0';
    *size = (size_t)length;
    paper->at += (size_t)length + 1;
}

void saved_state_text(struct saved_state *paper, const char *name, char **text)
{
    size_t size = paper->mode == SAVED_STATE_WRITE && *text != NULL ? strlen(*text) : 0;
    saved_state_bytes(paper, name, text, &size);
}
