/* log_line.h: the format of a line of the log: text or JSON, with the prefix for a file, the
 * journal or syslog.
 *
 * Pure. Bytes that come from a worker or a client are escaped here.
 */
#ifndef FPM_LOG_LINE_H
#define FPM_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_ALERT,
    LOG_LEVEL_NONE, /* as a threshold: nothing */
};

/* The subject of a line; separate fields in JSON. */
struct log_about {
    const char *pool; /* NULL: no pool */
    pid_t pid;        /* a worker; 0: none, and no slot */
    unsigned slot;
};

/* A message of the manager, or with `stream` a line, or a piece of one, that a worker wrote. */
struct log_record {
    enum log_level level;
    struct log_about about;
    const char *text; /* may hold any byte */
    size_t length;
    const char
        *stream;   /* "stdout", "stderr"; NULL: a message of the manager, and the rest is unused */
    bool decorate; /* in text: with time, pool and process number */
    bool begins, ends;  /* the piece opens its line, closes it */
    size_t empty_lines; /* not 0: so many empty lines, instead of text */
};

enum log_line_frame {
    LOG_LINE_FILE,    /* begins with time and level */
    LOG_LINE_JOURNAL, /* begins with <PRIORITY>; the journal knows the time */
    LOG_LINE_SYSLOG,  /* a datagram: <PRIORITY>time ident[pid]: and no newline at the end */
};

struct log_line_style {
    enum log_line_frame frame;
    bool json;
    const char *ident; /* for LOG_LINE_SYSLOG, as is `facility`, of syslog(3) */
    int facility;
    pid_t self;
};

enum {
    /* Fewest bytes to give to a line, of which at least LOG_LINE_TEXT_LEAST remain for the text. */
    LOG_LINE_LEAST = 512,
    LOG_LINE_TEXT_LEAST = 64,
    LOG_LINE_IDENT_MAX = 63,
};

/* Is it valid as syslog.ident: 1 to LOG_LINE_IDENT_MAX visible characters of ASCII? */
bool log_line_ident_fits(const char *ident);

/* Writes at most `size` bytes (>= LOG_LINE_LEAST), newline included, without a NUL. *taken is the
 * number of bytes of a worker's text that fit, at least one: the rest needs further lines, with
 * `begins` false. A message of the manager that is too long is cut, and ends in "...". Returns the
 * line's length. */
size_t log_line_compose(const struct log_line_style *style, const struct timespec *now,
                        const struct log_record *record, char *out, size_t size, size_t *taken);

#endif
