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

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_alert(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* About a pool, which is a field in JSON: the line begins with "pool NAME: ". */
void log_pool(enum log_level level, const char *pool, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* About a worker: the line begins with "pool NAME: worker PID (slot N)". */
void log_worker(enum log_level level, struct log_about about, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* With pool, pid and slot as fields in JSON. The message must name them too. */
void log_about(enum log_level level, const struct log_about *about, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Logs output of a worker: record->stream and about.pool must be set. It is split into lines of at
 * most `limit` bytes. */
void log_output(const struct log_record *record);

/* The longest piece of a worker's output that fits one line of the log, in bytes. It changes with
 * the settings. */
size_t log_output_limit(void);

bool log_episode_begin(struct log_episode *episode);
bool log_episode_end(struct log_episode *episode);

#endif
