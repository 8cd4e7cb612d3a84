/* log_target.h: where the lines of the log go: standard error, a file, or the system log.
 *
 * Does not block where the kernel allows it: a line that cannot be written now is refused with
 * errno, and the caller decides what to do with it. A line that was written in part is ended before
 * the next. The descriptor stays open after errors, so that a process without free descriptors can
 * still log.
 */
#ifndef FPM_LOG_TARGET_H
#define FPM_LOG_TARGET_H

#include <stdbool.h>
#include <stddef.h>

enum log_target_kind {
    LOG_TARGET_NONE,
    LOG_TARGET_STDERR,
    LOG_TARGET_FILE,
    LOG_TARGET_SYSLOG,
};

struct log_target {
    enum log_target_kind kind;
    int fd;
    bool socket;  /* written by send(), which can refuse to wait */
    bool shared;  /* blocking, and shared with other processes: polled before each write */
    bool journal; /* standard error is the journal's (JOURNAL_STREAM) */
    bool torn;    /* the last line was written in part */
    char path[108];
};

#define LOG_TARGET_CLOSED ((struct log_target){.kind = LOG_TARGET_NONE, .fd = -1})

/* Standard error. Cannot fail. */
void log_target_stderr(struct log_target *target);

/* Appends to a file, created if missing (fd_set_log_files). Returns 0, or -1 with errno. */
int log_target_file(struct log_target *target, const char *path);

/* A datagram socket such as /dev/log, `path` < 108 bytes. A socket without a listener is no error:
 * each line tries again. Returns 0, or -1 with errno. */
int log_target_syslog(struct log_target *target, const char *path);

/* Writes a line, with its newline except for syslog. Returns 0, or -1 with errno. */
int log_target_put(struct log_target *target, const char *line, size_t size);

void log_target_close(struct log_target *target);

#endif
