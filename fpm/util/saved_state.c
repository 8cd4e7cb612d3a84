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

/* After that no process can change its size or contents. */
static const int saved_state_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

bool saved_state_good(const struct saved_state *state)
{
    return state->error[0] == '\0';
}

void saved_state_refuse(struct saved_state *state, const char *format, ...)
{
    va_list arguments;
    if (!saved_state_good(state))
        return;
    va_start(arguments, format);
    (void)vsnprintf(state->error, sizeof state->error, format, arguments);
    va_end(arguments);
}

static int saved_state_result(const struct saved_state *state)
{
    return saved_state_good(state) ? 0 : -1;
}

/* ---- all of it ---- */

int saved_state_begin(struct saved_state *state)
{
    *state =
        (struct saved_state){.mode = SAVED_STATE_SAVE, .version = SAVED_STATE_VERSION, .fd = -1};
    state->out = open_memstream(&state->data, &state->size);
    if (state->out == NULL)
        saved_state_refuse(state, "out of memory");
    else
        fprintf(state->out, SAVED_STATE_MAGIC " %d\n", SAVED_STATE_VERSION);
    return saved_state_result(state);
}

static bool saved_state_write_all(int fd, const char *data, size_t size)
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

static void saved_state_seal(struct saved_state *state)
{
    bool whole = state->out != NULL && !ferror(state->out);
    whole = state->out != NULL && fclose(state->out) == 0 && whole;
    state->out = NULL;
    state->fd = memfd_create("overtime-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (!whole)
        saved_state_refuse(state, "out of memory");
    else if (state->fd < 0 || !saved_state_write_all(state->fd, state->data, state->size) ||
             lseek(state->fd, 0, SEEK_SET) != 0 ||
             fcntl(state->fd, F_ADD_SEALS, saved_state_seals) != 0)
        saved_state_refuse(state, "cannot save the state: %s", strerror(errno));
}

/* Leaves the file offset alone, which is shared with a child that reads the state, too. */
static void saved_state_load(struct saved_state *state)
{
    struct stat status;
    if (fcntl(state->fd, F_GET_SEALS) != saved_state_seals || fstat(state->fd, &status) != 0 ||
        status.st_size < 0 || status.st_size > SAVED_STATE_SIZE_MAX) {
        saved_state_refuse(state, "descriptor %d holds no saved state", state->fd);
        return;
    }
    state->data = malloc((size_t)status.st_size + 1);
    if (state->data == NULL) {
        saved_state_refuse(state, "out of memory");
        return;
    }
    while (state->size < (size_t)status.st_size) {
        ssize_t got = pread(state->fd, state->data + state->size,
                            (size_t)status.st_size - state->size, (off_t)state->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        state->size += (size_t)got;
    }
    state->data[state->size] = '\0';
}

int saved_state_open(struct saved_state *state, int fd, enum saved_state_mode mode)
{
    *state = (struct saved_state){.mode = mode, .fd = fd};
    saved_state_load(state);
    if (mode == SAVED_STATE_RESTORE)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    state->version = saved_state_number(state, SAVED_STATE_MAGIC, 0, 0, INT32_MAX);
    if (saved_state_good(state) &&
        (state->version < SAVED_STATE_OLDEST || state->version > SAVED_STATE_VERSION))
        saved_state_refuse(state,
                           "the saved state is of format %" PRId64 ", this program reads only "
                           "formats %d to %d: restart it instead",
                           state->version, SAVED_STATE_OLDEST, SAVED_STATE_VERSION);
    return saved_state_result(state);
}

int saved_state_end(struct saved_state *state)
{
    (void)saved_state_number(state, "end", 0, 0, 0);
    if (state->mode == SAVED_STATE_SAVE)
        saved_state_seal(state);
    else if (state->at != state->size)
        saved_state_refuse(state, "something follows the end");
    return saved_state_result(state);
}

void saved_state_close(struct saved_state *state)
{
    if (state->out != NULL)
        (void)fclose(state->out);
    if (state->mode != SAVED_STATE_CHECK)
        fd_close(&state->fd);
    free(state->data);
    free(state->kept);
    *state = (struct saved_state){.fd = -1};
}

void saved_state_keep(const struct saved_state *state, bool keep)
{
    const int flags = keep ? 0 : FD_CLOEXEC;
    for (size_t i = 0; i < state->kept_count; i++)
        (void)fcntl(state->kept[i], F_SETFD, flags);
    if (state->fd >= 0)
        (void)fcntl(state->fd, F_SETFD, flags);
}

/* ---- reading ---- */

/* "NAME NUMBER\n" */
static bool saved_state_line(struct saved_state *state, const char *name, int64_t *value)
{
    char found[SAVED_STATE_NAME_MAX + 1], shown[SAVED_STATE_NAME_MAX * 4 + 8], *end = NULL;
    if (!saved_state_good(state))
        return false;
    const char *line = state->data + state->at;
    size_t length = strcspn(line, " \n");
    snprintf(found, sizeof found, "%.*s",
             (int)(length < SAVED_STATE_NAME_MAX ? length : SAVED_STATE_NAME_MAX), line);
    if (strcmp(found, name) == 0 && line[length] == ' ') {
        errno = 0;
        *value = strtoll(line + length + 1, &end, 10);
        if (errno == 0 && end != line + length + 1 && *end == '\n') {
            state->at = (size_t)(end + 1 - state->data);
            return true;
        }
    }
    saved_state_refuse(state, "\"%s\" was expected where \"%s\" stands", name,
                       escape_show(shown, sizeof shown, found));
    return false;
}

/* ---- values ---- */

int64_t saved_state_number(struct saved_state *state, const char *name, int64_t value, int64_t min,
                           int64_t max)
{
    if (state->mode == SAVED_STATE_SAVE) {
        if (saved_state_good(state))
            fprintf(state->out, "%s %" PRId64 "\n", name, value);
        return value;
    }
    if (!saved_state_line(state, name, &value))
        return 0;
    if (value >= min && value <= max)
        return value;
    saved_state_refuse(state, "\"%s\" cannot be %" PRId64, name, value);
    return 0;
}

void saved_state_unsigned(struct saved_state *state, const char *name, unsigned *value)
{
    *value = (unsigned)saved_state_number(state, name, *value, 0, UINT32_MAX);
}

void saved_state_int64(struct saved_state *state, const char *name, int64_t *value)
{
    *value = saved_state_number(state, name, *value, 0, INT64_MAX);
}

void saved_state_uint64(struct saved_state *state, const char *name, uint64_t *value)
{
    /* A worker can write any number into its slot, and a counter is a sum of such. */
    uint64_t written = *value < INT64_MAX ? *value : INT64_MAX;
    *value = (uint64_t)saved_state_number(state, name, (int64_t)written, 0, INT64_MAX);
}

bool saved_state_flag(struct saved_state *state, const char *name, bool value)
{
    return saved_state_number(state, name, value, 0, 1) != 0;
}

static void saved_state_add_kept(struct saved_state *state, int fd)
{
    int *grown = reallocarray(state->kept, state->kept_count + 1, sizeof *grown);
    if (grown == NULL) {
        saved_state_refuse(state, "out of memory");
        return;
    }
    state->kept = grown;
    state->kept[state->kept_count++] = fd;
}

int saved_state_fd(struct saved_state *state, const char *name, int fd)
{
    fd = (int)saved_state_number(state, name, fd, -1, INT32_MAX);
    if (state->mode == SAVED_STATE_SAVE) {
        if (fd >= 0)
            saved_state_add_kept(state, fd);
        return fd;
    }
    if (state->mode == SAVED_STATE_CHECK || !saved_state_good(state) || fd < 0)
        return -1;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
        return fd;
    saved_state_refuse(state, "\"%s\" is descriptor %d, which is not open", name, fd);
    return -1;
}

void saved_state_bytes(struct saved_state *state, const char *name, char **bytes, size_t *size)
{
    if (state->mode == SAVED_STATE_SAVE) {
        (void)saved_state_number(state, name, *bytes != NULL ? (int64_t)*size : -1, -1, INT64_MAX);
        if (saved_state_good(state) && *bytes != NULL) {
            (void)fwrite(*bytes, 1, *size, state->out);
            (void)fputc('\n', state->out);
        }
        return;
    }
    int64_t length = saved_state_number(state, name, 0, -1, SAVED_STATE_SIZE_MAX);
    *bytes = NULL;
    *size = 0;
    if (!saved_state_good(state) || length < 0)
        return;
    if (state->size - state->at <= (size_t)length ||
        state->data[state->at + (size_t)length] != '\n') {
        saved_state_refuse(state, "\"%s\" is cut off", name);
        return;
    }
    *bytes = malloc((size_t)length + 1);
    if (*bytes == NULL) {
        saved_state_refuse(state, "out of memory");
        return;
    }
    memcpy(*bytes, state->data + state->at, (size_t)length);
    (*bytes)[length] = '\0';
    *size = (size_t)length;
    state->at += (size_t)length + 1;
}

void saved_state_text(struct saved_state *state, const char *name, char **text)
{
    size_t size = state->mode == SAVED_STATE_SAVE && *text != NULL ? strlen(*text) : 0;
    saved_state_bytes(state, name, text, &size);
}
