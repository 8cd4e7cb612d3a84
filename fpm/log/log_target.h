/* log_target.h: one place where the log's lines go: standard error, a file, or the system log.
 *
 * Never blocks where the kernel lets it: a line that cannot be written now is refused with errno,
 * and what becomes of it is the caller's. A line that went in part is ended before the next. Keeps
 * its descriptor whatever happens, so that a process that has run out of them can still log. Called
 * by log.
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
    bool shared;  /* a blocking description that others have too: asked before each write */
    bool journal; /* standard error is the journal's (JOURNAL_STREAM) */
    bool torn;    /* the last line went in part */
    char path[108];
};

#define LOG_TARGET_CLOSED ((struct log_target){.kind = LOG_TARGET_NONE, .fd = -1})

/* Standard error. Cannot fail. */
void log_target_stderr(struct log_target *sink);

/* A file, made if it is not there (mode 0640), added to. Returns 0, or -1 with errno. */
int log_target_file(struct log_target *sink, const char *path);

/* A datagram socket as /dev/log, `path` < 108 bytes. That nobody listens there is no error: each
 * line tries again. Returns 0, or -1 with errno. */
int log_target_syslog(struct log_target *sink, const char *path);

/* A line with its newline (for syslog without). Returns 0, or -1 with errno. */
int log_target_put(struct log_target *sink, const char *line, size_t size);

void log_target_close(struct log_target *sink);

#endif
