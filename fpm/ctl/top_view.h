/* top_view.h: what `overtimectl top` shows, line by line; pure.
 *
 * Chooses, sorts and words what two looks at the manager tell; asks nobody and knows no terminal:
 * lines go to who is given as `put`, in UTF-8, uncut, without control characters.
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
    TOP_POST_RESPONSE, /* work after the response */
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
    char filter[64];   /* shown are workers whose pool, state, URI or label has it; "" = all */
    size_t first;      /* worker to begin with, of those that are sorted and filtered */
    size_t lines;      /* to fill; 0 = all there are */
    double seconds;    /* between the two looks */
    const char *clock; /* time of day */
    const char *note;  /* what the reader is to know: paused, no manager; NULL = nothing */
    bool alert;        /* it is bad news */
};

typedef void top_put_fn(void *context, enum top_style style, const char *text);

/* Shows `now`; rates come from what has changed since `before`, which may be NULL. Returns
 * how many workers go through the filter. */
size_t top_view_frame(const struct status_read *now, const struct status_read *before,
                      const struct top_view *view, top_put_fn *put, void *context);

/* Its name in the heading. */
const char *top_view_column(enum top_column column);

#endif
