/* log.c: see log.h. */
#include "fpm/log/log.h"

#include "fpm/log/log_target.h"
#include "fpm/util/fd.h"
#include "fpm/util/safe_path.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <limits.h>
#include <paths.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum {
    LOG_POOLS_MAX = 64,     /* pools with a count of lost lines; further pools share one count */
    LOG_LINE_MARGIN = 1024, /* bytes around a message, and for its escapes */
    LOG_MARGIN_TEXT = 128,  /* bytes around a line of a worker, about */
    LOG_MARGIN_JSON = 256,
    LOG_REMARK_INTERVAL = 60000 /* ms */
};

/* Lines of a pool's workers that could not be written. */
struct log_loss {
    char pool[64];
    unsigned long lines;
};

static struct {
    struct log_target target;
    struct log_target copy; /* of standard error, while the log is mirrored there */
    char name[PATH_MAX];    /* as `error_log` says */
    char socket[sizeof((struct log_target *)0)->path];
    char ident[LOG_LINE_IDENT_MAX + 1];
    int facility;
    enum log_level level;
    enum log_level mirror;
    bool json;
    bool background;
    size_t limit;
    struct log_episode losing;
    int error; /* why lines were lost, last time */
    unsigned long lost;
    struct log_loss losses[LOG_POOLS_MAX + 1];
    int64_t last_remark; /* on standard error, that the log cannot be written; ms, clock.h */
} log_state = {
    .target = {.kind = LOG_TARGET_NONE, .fd = -1},
    .copy = {.kind = LOG_TARGET_NONE, .fd = -1},
    .socket = _PATH_LOG,
    .ident = "overtime",
    .facility = LOG_DAEMON,
    .level = LOG_LEVEL_NOTICE,
    .mirror = LOG_LEVEL_NONE,
    .limit = 1024,
    .last_remark = -LOG_REMARK_INTERVAL,
};

/* ---- settings ---- */

bool log_is_stderr(const char *target)
{
    return target == NULL || *target == '\0' || fd_named(target) == STDERR_FILENO;
}

/* Returns 0, or -1 with a sentence. */
static int log_open(struct log_target *target, const char *name, const char *socket, char *error,
                    size_t size)
{
    bool system = !log_is_stderr(name) && strcmp(name, "syslog") == 0;
    int standard = log_is_stderr(name) ? STDERR_FILENO : fd_named(name);
    if (standard >= 0 && standard <= STDERR_FILENO && log_state.background) {
        snprintf(error, size,
                 "the background has no standard %s to log to; set `error_log` to a file",
                 standard == STDERR_FILENO ? "error" : "output");
        return -1;
    }
    if (log_is_stderr(name))
        log_target_stderr(target);
    else if ((system ? log_target_syslog(target, socket) : log_target_file(target, name)) != 0) {
        snprintf(error, size, "cannot open the log %s: %s; check `error_log`",
                 system ? socket : name, safe_path_reason(errno));
        return -1;
    }
    return 0;
}

int log_configure(const struct log_settings *settings, char *error, size_t size)
{
    const char *name = log_is_stderr(settings->target) ? "stderr" : settings->target;
    const char *socket = settings->syslog_socket != NULL ? settings->syslog_socket : _PATH_LOG;
    struct log_target next = LOG_TARGET_CLOSED;
    if (strlen(name) >= sizeof log_state.name || strlen(socket) >= sizeof log_state.socket) {
        snprintf(error, size, "the path of the log is too long; check `error_log`");
        return -1;
    }
    if (!log_line_ident_fits(settings->syslog_ident)) {
        snprintf(error, size, "`syslog.ident` must have 1 to %d visible characters of ASCII",
                 LOG_LINE_IDENT_MAX);
        return -1;
    }
    if (log_state.target.kind == LOG_TARGET_NONE || strcmp(name, log_state.name) != 0 ||
        strcmp(socket, log_state.socket) != 0) {
        if (log_open(&next, name, socket, error, size) != 0)
            return -1;
        log_target_close(&log_state.target);
        log_state.target = next;
    }
    snprintf(log_state.name, sizeof log_state.name, "%s", name);
    snprintf(log_state.socket, sizeof log_state.socket, "%s", socket);
    snprintf(log_state.ident, sizeof log_state.ident, "%s", settings->syslog_ident);
    log_state.facility = settings->syslog_facility;
    log_state.level = settings->level;
    log_state.json = settings->json;
    log_state.limit = settings->limit < LOG_LINE_LEAST   ? LOG_LINE_LEAST
                      : settings->limit > LOG_LIMIT_MOST ? LOG_LIMIT_MOST
                                                         : settings->limit;
    return 0;
}

int log_reopen(char *error, size_t size)
{
    struct log_target next = LOG_TARGET_CLOSED;
    if (log_open(&next, log_state.name, log_state.socket, error, size) != 0)
        return -1;
    log_target_close(&log_state.target);
    log_state.target = next;
    return 0;
}

void log_mirror(enum log_level level)
{
    log_state.mirror = level;
    log_target_close(&log_state.copy);
    if (level < LOG_LEVEL_NONE)
        log_target_stderr(&log_state.copy);
}

void log_background(void)
{
    log_state.background = true;
}

size_t log_output_limit(void)
{
    return log_state.limit - (log_state.json ? LOG_MARGIN_JSON : LOG_MARGIN_TEXT);
}

/* ---- lines ---- */

/* Writes what fits `limit` bytes; *taken is as log_line_compose has it. Returns 0, or -1 with
 * errno.
 */
static int log_line(struct log_target *target, const struct log_record *record, size_t limit,
                    size_t *taken)
{
    static char line[LOG_MESSAGE_MAX + LOG_LINE_MARGIN];
    struct timespec now = {0};
    struct log_line_style style = {
        .frame = target->kind == LOG_TARGET_SYSLOG ? LOG_LINE_SYSLOG
                 : target->journal                 ? LOG_LINE_JOURNAL
                                                   : LOG_LINE_FILE,
        .json = log_state.json,
        .ident = log_state.ident,
        .facility = log_state.facility,
        .self = getpid(),
    };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    size_t size = log_line_compose(&style, &now, record, line,
                                   limit < sizeof line ? limit : sizeof line, taken);
    return log_target_put(target, line, size);
}

/* A short message of the log about itself. */
__attribute__((format(printf, 3, 4))) static int
log_remark(struct log_target *target, const char *pool, const char *format, ...)
{
    char text[PATH_MAX + 256];
    size_t taken;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return -1;
    struct log_record record = {
        .level = LOG_LEVEL_WARNING, .about = {.pool = pool}, .text = text, .length = strlen(text)};
    return log_line(target, &record, SIZE_MAX, &taken);
}

/* ---- what was lost ---- */

/* Counts a line that could not be written. While the log cannot be written, standard error may
 * still reach the operator. */
static void log_lose(const struct log_record *record)
{
    struct log_target other;
    struct log_loss *loss = log_state.losses;
    int64_t now = clock_ms();
    log_state.error = errno;
    if (record->stream == NULL) {
        log_state.lost++;
    } else {
        while (loss < log_state.losses + LOG_POOLS_MAX && loss->lines > 0 &&
               strcmp(loss->pool, record->about.pool) != 0)
            loss++;
        if (loss->lines++ == 0)
            snprintf(loss->pool, sizeof loss->pool, "%s", record->about.pool);
    }
    if (!log_episode_begin(&log_state.losing) || log_state.target.kind == LOG_TARGET_STDERR ||
        now - log_state.last_remark < LOG_REMARK_INTERVAL)
        return;
    log_state.last_remark = now;
    log_target_stderr(&other);
    (void)log_remark(&other, NULL, "log: %s cannot be written: %s; lines are lost until it can",
                     log_state.target.kind == LOG_TARGET_SYSLOG ? log_state.socket : log_state.name,
                     strerror(log_state.error));
    log_target_close(&other);
}

/* Comes before the next line. Returns 0, or -1 with errno if the log still cannot be written. */
static int log_report_losses(void)
{
    if (!log_state.losing.on)
        return 0;
    if (log_state.lost > 0 &&
        log_remark(&log_state.target, NULL, "log: %lu line%s lost: %s", log_state.lost,
                   log_state.lost == 1 ? " was" : "s were", strerror(log_state.error)) != 0)
        return -1;
    log_state.lost = 0;
    /* From the last, because log_lose stops at the first empty count. */
    for (size_t i = LOG_POOLS_MAX + 1; i-- > 0;) {
        struct log_loss *loss = &log_state.losses[i];
        bool rest = i == LOG_POOLS_MAX;
        if (loss->lines > 0 &&
            log_remark(&log_state.target, rest ? NULL : loss->pool,
                       "%s%s: %lu line%s lost of what workers wrote: %s", rest ? "" : "pool ",
                       rest ? "other pools" : loss->pool, loss->lines,
                       loss->lines == 1 ? " was" : "s were", strerror(log_state.error)) != 0)
            return -1;
        loss->lines = 0;
    }
    (void)log_episode_end(&log_state.losing);
    return 0;
}

/* ---- delivery ---- */

/* Returns how many bytes of the text were written, or counted as lost. */
static size_t log_deliver(const struct log_record *record, size_t limit)
{
    size_t taken = record->length;
    if (log_state.target.kind == LOG_TARGET_NONE)
        log_target_stderr(&log_state.target);
    if (log_report_losses() != 0 || log_line(&log_state.target, record, limit, &taken) != 0)
        log_lose(record);
    return taken;
}

void log_write(enum log_level level, const struct log_about *about, enum log_subject subject,
               const char *format, ...)
{
    static char text[LOG_MESSAGE_MAX];
    size_t taken, used = 0;
    va_list arguments;
    int saved = errno;
    if (level < log_state.level || level >= LOG_LEVEL_NONE)
        return;
    if (subject != LOG_NOTHING)
        used = (size_t)snprintf(text, sizeof text / 2, "pool %.200s: ", about->pool);
    if (subject == LOG_WORKER)
        used +=
            (size_t)snprintf(text + used, 64, "worker %d (slot %u)", (int)about->pid, about->slot);
    va_start(arguments, format);
    int length = vsnprintf(text + used, sizeof text - used, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if ((size_t)length >= sizeof text - used)
        memcpy(text + sizeof text - 4, "...", 4);
    struct log_record record = {.level = level, .text = text, .length = strlen(text)};
    if (about != NULL)
        record.about = *about;
    (void)log_deliver(&record, SIZE_MAX);
    if (level >= log_state.mirror && log_state.target.kind != LOG_TARGET_STDERR)
        (void)log_line(&log_state.copy, &record, SIZE_MAX, &taken);
    errno = saved;
}

void log_output(const struct log_record *record)
{
    struct log_record piece = *record;
    int saved = errno;
    if (piece.level < log_state.level)
        return;
    do {
        size_t taken = log_deliver(&piece, log_state.limit);
        piece.text += taken;
        piece.length -= taken;
        piece.begins = false;
    } while (piece.length > 0);
    errno = saved;
}

bool log_episode_begin(struct log_episode *episode)
{
    bool begins = !episode->on;
    episode->on = true;
    return begins;
}

bool log_episode_end(struct log_episode *episode)
{
    bool ends = episode->on;
    episode->on = false;
    return ends;
}
