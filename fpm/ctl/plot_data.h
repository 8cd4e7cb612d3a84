/* plot_data.h: a recording as series of points, not more of them than can be drawn.
 *
 * Reads the file, finds the gaps, takes differences of counters. Draws nothing. Lines that are no
 * samples are left out and counted. Called by plot.c.
 */
#ifndef FPM_PLOT_DATA_H
#define FPM_PLOT_DATA_H

#include "fpm/ctl/quantile.h"
#include "fpm/ctl/status_read.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    PLOT_POINTS = 600,  /* about as many per pool; more samples than that are drawn together */
    PLOT_POOLS_MAX = 64 /* those above are left out and counted */
};

enum plot_state {
    PLOT_SERVING,
    PLOT_POST_RESPONSE,
    PLOT_SHUTDOWN,
    PLOT_STARTING,
    PLOT_EXITING,
    PLOT_UNKNOWN,
    PLOT_IDLE,
    PLOT_STATES
};

/* One or several samples. */
struct plot_point {
    int64_t from_ms, to_ms;     /* since 1970: since the sample before, until its own */
    double states[PLOT_STATES]; /* workers, on average */
    double queue;               /* the highest */
    double limit, budget;       /* pm.max_children, post_response.max_children; the highest */
    int64_t requests;           /* begun within; -1 = not known */
    int64_t requests_ms;        /* the time they came in */
    struct quantile_histogram answers;
    unsigned samples;
};

struct plot_series {
    char name[TOP_NAME_SIZE];
    struct plot_point *points;
    size_t count, room;
    struct top_pool last; /* while reading: the sample before */
    int64_t last_ms;      /* 0 = there is none: a gap */
};

struct plot_data {
    struct plot_series pools[PLOT_POOLS_MAX];
    size_t count;
    int64_t from_ms, to_ms; /* of all */
    int64_t interval_ms;    /* the usual time between samples */
    size_t samples;         /* that were read */
    size_t bad_lines, pools_left_out;
};

/* Reads all; the file has to be one that can be read twice. Returns 0, or -1 with a sentence. */
int plot_data_read(struct plot_data *data, FILE *file, char *error, size_t size);

void plot_data_free(struct plot_data *data);

#endif
