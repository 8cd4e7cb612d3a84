/* log_line.h: what a line of the log says, and how it is written: text for people, JSON for
 * programs, with the frame that a file, the journal or syslog wants.
 *
 * Pure: a record and the time in, one line out. Whatever a worker or a client had a hand in is made
 * harmless here. Knows nothing of levels that are not wanted, nor of where lines go. Called by log.
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

/* What a line is about, as fields of its own where the log is JSON. */
struct log_about {
    const char *pool; /* NULL: no pool */
    pid_t pid;        /* a worker; 0: none, and no slot */
    unsigned slot;
};

/* A message of the manager, or, with `stream`, what a worker wrote: a line or a piece of one. */
struct log_record {
    enum log_level level;
    struct log_about about;
    const char *text; /* may hold any byte */
    size_t length;
    const char *stream; /* "stdout", "stderr"; NULL: the manager's own words, and no more below */
    bool decorate;      /* in text: with time, pool and process number */
    bool begins, ends;  /* the piece opens its line, closes it */
    size_t empty_lines; /* instead of text: so many empty lines in a row */
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

/* Can it be the name that stands before syslog's lines? It has 1 to LOG_LINE_IDENT_MAX visible
 * characters of ASCII. */
bool log_line_ident_fits(const char *ident);

/* Writes at most `size` bytes (>= LOG_LINE_LEAST), newline included, without a NUL. Of what a
 * worker wrote *taken bytes were written, at least one of those there were: the rest wants further
 * lines, with `begins` false. The manager's own words are cut, and show it. Returns the line's
 * length. */
size_t log_line_compose(const struct log_line_style *style, const struct timespec *now,
                        const struct log_record *record, char *out, size_t size, size_t *taken);

#endif
