/* top_view.h: the lines that `overtimectl top` shows; pure.
 *
 * Chooses and sorts rows from two readings of the manager and formats them; knows no manager and no
 * terminal. Lines go to `put`, in UTF-8, uncut, without control characters.
 */
#ifndef FPM_TOP_VIEW_H
#define FPM_TOP_VIEW_H

#include "fpm/ctl/status_read.h"

#include <stdbool.h>
#include <stddef.h>

enum top_style {
    TOP_PLAIN,
    TOP_TITLE,
    TOP_HEADING,
    TOP_QUIET,         /* idle workers */
    TOP_SERVING,       /* a response is open */
    TOP_POST_RESPONSE, /* post-response work */
    TOP_ALERT,
    TOP_STYLES
};

enum top_column {
    TOP_BY_POOL,
    TOP_BY_PID,
    TOP_BY_STATE,
    TOP_BY_FOR,
    TOP_BY_AGE,
    TOP_BY_REQUESTS,
    TOP_BY_CPU,
    TOP_BY_TIME,
    TOP_BY_MEMORY,
    TOP_BY_LABEL,
    TOP_BY_REQUEST,
    TOP_COLUMNS
};

struct top_view {
    enum top_column sort;
    bool reverse;
    char filter[64];   /* shows workers whose pool, state, URI or label contains it; "" = all */
    size_t first;      /* first worker to show, of those sorted and filtered */
    size_t lines;      /* of the screen; 0 = no limit */
    double seconds;    /* between the two readings */
    const char *clock; /* time of day */
    const char *note;  /* a message: paused, no manager; NULL = none */
    bool alert;        /* the message is an error */
};

typedef void top_put_fn(void *context, enum top_style style, const char *text);

/* Shows `now`, with rates since `before`, which may be NULL. Returns the number of workers that
 * match the filter. */
size_t top_view_frame(const struct status_read *now, const struct status_read *before,
                      const struct top_view *view, top_put_fn *put, void *context);

/* Its name in the heading. */
const char *top_view_column(enum top_column column);

#endif
