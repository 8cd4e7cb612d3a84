/* log.h: the manager's log: what is written, where to, in which shape, and what became of what
 * could not be.
 *
 * Decides only whether a message is written, never what happens next. Never blocks and never fails
 * its caller: a line that cannot be written now is counted, and the first line that can be written
 * again tells how many were lost, of whom and why. One log per process; called from the manager's
 * only thread.
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

/* Something that may go on for long and is told once: begin says true when it begins, end says true
 * when it was on. */
struct log_episode {
    bool on;
};

/* Does this `error_log` mean standard error? NULL, "", "stderr" and "/dev/stderr" do. */
bool log_is_stderr(const char *target);

/* The log is as `settings` say from now on, at the start as at a reload; they are copied. A target
 * that stays is not opened anew. Before the first call messages of LOG_LEVEL_NOTICE and above go to
 * standard error. Returns 0, or -1 with a sentence and everything as it was. */
int log_configure(const struct log_settings *settings, char *error, size_t size);

/* Opens the same target anew, after somebody moved the old file away. Returns 0, or -1 with a
 * sentence and the log as it was. */
int log_reopen(char *error, size_t size);

/* Messages from this level on are also written to standard error while the log goes elsewhere;
 * LOG_LEVEL_NONE ends that. What workers write never is. */
void log_mirror(enum log_level level);

/* Standard error leads nowhere from now on: log_configure refuses it. */
void log_background(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_alert(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, with what it is about as fields of their own in JSON; the words name it as well. */
void log_about(enum log_level level, const struct log_about *about, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What a worker wrote: record->stream and about.pool are set. It makes as many lines as `limit`
 * asks for. */
void log_output(const struct log_record *record);

/* What to cut a worker's lines into so that a piece makes one line of the log: bytes. Changes with
 * the settings. */
size_t log_output_room(void);

bool log_episode_begin(struct log_episode *episode);
bool log_episode_end(struct log_episode *episode);

#endif
