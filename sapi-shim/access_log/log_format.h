/* log_format.h: composes lines of the access log by `access.format`, which is compiled once; pure.
 *
 * One table of codes serves the check of the configuration, the lines and the manual.
 */
#ifndef OT_LOG_FORMAT_H
#define OT_LOG_FORMAT_H

#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In place of a format: one JSON object a line, with keys of fixed names. */
#define LOG_FORMAT_JSON "json"

enum {
    LOG_FORMAT_MAX = 1024 /* bytes of a format */
};

/* How a request ended. */
enum log_format_outcome {
    LOG_FORMAT_OK,
    LOG_FORMAT_ABORTED, /* its client left before the response was complete */
    LOG_FORMAT_TIMEOUT, /* it reached its time limit */
    LOG_FORMAT_KILLED,  /* its worker was stopped or killed */
    LOG_FORMAT_CRASHED, /* its worker ended by itself */
    LOG_FORMAT_DROPPED, /* it never reached the application */
    LOG_FORMAT_OUTCOMES
};

/* Values that cost something, and are read only for formats that have them. */
enum log_format_need {
    LOG_FORMAT_NEEDS_CPU = 1,
    LOG_FORMAT_NEEDS_MEMORY = 2,
    LOG_FORMAT_NEEDS_HEAD = 4,
};

/* All times of this process's lines are in this zone from now on, which must stay; NULL: in that of
 * the process. */
void log_format_set_zone(const struct ot_zone *zone);

#define LOG_FORMAT_UNKNOWN (-1)

/* The values of one request. A text of NULL, a number of LOG_FORMAT_UNKNOWN and a status of 0 are
 * shown as a dash, or as null. */
struct log_format_input {
    const char *pool;
    int64_t pid, parent;
    const char *method;
    const char *uri;   /* REQUEST_URI with its query, or SCRIPT_NAME */
    const char *query; /* NULL: what follows the question mark of `uri` */
    const char *script;
    const char *remote;
    const char *user;
    const char *label;
    /* Look up other parameters, and fields of the response's head; NULL = there are none. The first
     * returns a terminated text or NULL, the second sets *length. `name` is not terminated. */
    const char *(*param)(const void *context, const char *name, size_t name_length);
    const char *(*field)(const void *context, const char *name, size_t name_length, size_t *length);
    const void *context;
    enum log_format_outcome outcome;
    unsigned bits;                           /* enum ot_status_bits */
    unsigned status;                         /* of HTTP */
    int64_t content_length, sent, discarded; /* bytes */
    int64_t began, ended;                    /* ns of CLOCK_REALTIME */
    int64_t duration;                        /* ns, and so are the next three */
    int64_t answer;                          /* until the response was complete */
    int64_t post_response;
    int64_t shutdown;
    int64_t cpu_user, cpu_system; /* ns */
    int64_t memory;               /* bytes, the peak of the process */
};

struct log_format;

/* Compiles; NULL with the end of a sentence ("has %x, which is no code; ..."). The caller frees. */
struct log_format *log_format_compile(const char *text, char *error, size_t size);
void log_format_free(struct log_format **format);

/* enum log_format_need */
unsigned log_format_needs(const struct log_format *format);

/* Writes the line, without its newline, and returns its length, which is at most
 * OT_ACCESS_LINE_MAX, the size of `out`: longer fields are cut and end in OT_CUT. */
size_t log_format_line(const struct log_format *format, const struct log_format_input *input,
                       char *out);

/* Is the request one for which `access.suppress_path[]` suppresses the line? `paths` has `size`
 * bytes: the paths, each with its NUL. */
bool log_format_suppresses(const char *paths, size_t size, const struct log_format_input *input);

const char *log_format_outcome_name(enum log_format_outcome outcome);

/* Names and meanings of the codes, for the manual; `code` is NULL after the last. */
struct log_format_code_help {
    const char *code; /* "%d" */
    const char *in;   /* what may stand in braces, or "" */
    const char *help;
};
const struct log_format_code_help *log_format_help(void);

#endif
