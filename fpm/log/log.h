/* log.h: the manager's log: which messages are written, where and in which format.
 *
 * Never blocks and never fails its caller: a line that cannot be written now is counted, and before
 * the next line that can be written the log says how many were lost, of which pool and why. One log
 * per process; for the manager's only thread.
 */
#ifndef FPM_LOG_H
#define FPM_LOG_H

#include "fpm/log/log_line.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    LOG_MESSAGE_MAX = 66560, /* longest message in bytes; longer ones are cut */
    LOG_LIMIT_MOST = 65536,
};

struct log_settings {
    const char *target; /* path of a file, or "syslog"; see log_is_stderr for the rest */
    enum log_level level;
    bool json;
    size_t limit;              /* longest line of workers' output, LOG_LINE_LEAST..LOG_LIMIT_MOST */
    const char *syslog_ident;  /* 1 to LOG_LINE_IDENT_MAX visible characters */
    int syslog_facility;       /* of syslog(3) */
    const char *syslog_socket; /* NULL: /dev/log */
};

/* A condition that may last and is logged once. log_episode_begin returns true if it was off,
 * log_episode_end returns true if it was on. */
struct log_episode {
    bool on;
};

/* Does this `error_log` mean standard error? NULL, "", "stderr" and "/dev/stderr" do. */
bool log_is_stderr(const char *target);

/* Applies the settings, at the start and at a reload; they are copied. A target that does not
 * change is not reopened. Before the first call messages of LOG_LEVEL_NOTICE and above go to
 * standard error. Returns 0, or -1 with a sentence and everything as it was. */
int log_configure(const struct log_settings *settings, char *error, size_t size);

/* Reopens the target, after the file was rotated. Returns 0, or -1 with a
 * sentence and the log as it was. */
int log_reopen(char *error, size_t size);

/* Copies messages from this level on to standard error while the log goes elsewhere; LOG_LEVEL_NONE
 * ends that. The output of workers is never copied. */
void log_mirror(enum log_level level);

/* Standard error is closed from now on: log_configure refuses it as a target. */
void log_background(void);

/* What a message begins with. */
enum log_subject {
    LOG_NOTHING,
    LOG_POOL,  /* "pool NAME: " */
    LOG_WORKER /* "pool NAME: worker PID (slot N)" */
};

/* Logs a message. `about`, which may be NULL, gives pool, pid and slot as fields in JSON; with
 * LOG_NOTHING the message must name them, too. */
void log_write(enum log_level level, const struct log_about *about, enum log_subject subject,
               const char *format, ...) __attribute__((format(printf, 4, 5)));

#define log_at(level, ...)           log_write(level, NULL, LOG_NOTHING, __VA_ARGS__)
#define log_debug(...)               log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_notice(...)              log_at(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_warning(...)             log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)               log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_alert(...)               log_at(LOG_LEVEL_ALERT, __VA_ARGS__)
#define log_about(level, about, ...) log_write(level, about, LOG_NOTHING, __VA_ARGS__)

/* About a pool, by its name; about a worker, by a struct log_about. */
#define log_pool(level, name, ...)                                                                 \
    log_write(level, &(struct log_about){.pool = (name)}, LOG_POOL, __VA_ARGS__)
#define log_worker(level, about, ...)                                                              \
    log_write(level, (const struct log_about[]){about}, LOG_WORKER, __VA_ARGS__)

/* Logs output of a worker: record->stream and about.pool must be set. It is split into lines of at
 * most `limit` bytes. */
void log_output(const struct log_record *record);

/* The longest piece of a worker's output that fits one line of the log, in bytes. It changes with
 * the settings. */
size_t log_output_limit(void);

bool log_episode_begin(struct log_episode *episode);
bool log_episode_end(struct log_episode *episode);

#endif
