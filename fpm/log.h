/* log.h: the manager's log: levels, one line a message, a file or standard error, reopened on
 * demand.
 *
 * Decides only whether a message is written, never what happens next. Never blocks and never fails
 * its caller: a line that cannot be written now is counted, and the count is told by the first line
 * that can be written again. One log per process; called from the manager's only thread.
 */
#ifndef FPM_LOG_H
#define FPM_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_ALERT,
    LOG_LEVEL_NONE, /* as a threshold: nothing */
};

/* Longest message in bytes; longer ones are cut. */
#define LOG_MESSAGE_MAX 66560

/* Something that may go on for long and is told once: begin says true when it begins, end says true
 * when it was on. */
struct log_episode {
    bool on;
};

/* Does this `error_log` mean standard error? NULL, "", "stderr" and "/dev/stderr" do. */
bool log_is_stderr(const char *path);

/* Writes to `path` from now on, which may mean standard error. Before the first call messages go
 * there. Returns 0, or -1 with a sentence and the log as it was. */
int log_open(const char *path, char *error, size_t size);

/* Opens the same path anew, after somebody moved the old file away. As log_open. */
int log_reopen(char *error, size_t size);

/* Messages below this level are not written. */
void log_level_set(enum log_level level);

/* Messages from this level on are also written to standard error while the log is a file. */
void log_mirror(enum log_level level);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_alert(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line as it is, without time and level, if `level` is written at all. */
void log_raw(enum log_level level, const char *text);

bool log_episode_begin(struct log_episode *episode);
bool log_episode_end(struct log_episode *episode);

#endif
