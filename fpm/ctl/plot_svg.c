/* plot_svg.c: see plot_svg.h. */
#include "fpm/ctl/plot_svg.h"

#include "fpm/ctl/plot_scale.h"
#include "fpm/util/text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

enum {
    PLOT_WIDTH = 960,
    PLOT_LEFT = 64,
    PLOT_RIGHT = 20,
    PLOT_INNER = PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT,
    PLOT_TITLE = 62,       /* height of the head */
    PLOT_POOL_TITLE = 30,  /* of a pool's name */
    PLOT_PANEL_TITLE = 30, /* above a panel: what it shows, and the legend */
    PLOT_WORKERS = 190,    /* heights of the panels */
    PLOT_QUEUE = 60,
    PLOT_LATENCY = 130,
    PLOT_RATE = 80,
    PLOT_AXIS = 30, /* below the last */
    PLOT_POOL_HEIGHT = PLOT_POOL_TITLE + 4 * PLOT_PANEL_TITLE + PLOT_WORKERS + PLOT_QUEUE +
                       PLOT_LATENCY + PLOT_RATE + PLOT_AXIS
};

struct plot_look {
    const char *name;  /* class of the element */
    const char *title; /* in the legend */
    const char *colour;
    const char *dashes; /* of lines; NULL = none */
};

/* From the ground up. Colours that those who do not see red or green tell apart as well. */
static const struct plot_look plot_states[PLOT_STATES] = {
    [PLOT_SERVING] = {"serving", "serving", "#0072b2", NULL},
    [PLOT_POST_RESPONSE] = {"post_response", "post-response", "#e69f00", NULL},
    [PLOT_SHUTDOWN] = {"shutdown", "shutdown", "#b2589a", NULL},
    [PLOT_STARTING] = {"starting", "starting", "#56b4e9", NULL},
    [PLOT_EXITING] = {"exiting", "exiting", "#7d8288", NULL},
    [PLOT_UNKNOWN] = {"unknown", "unknown", "#c9bfa5", NULL},
    [PLOT_IDLE] = {"idle", "idle", "#dfe5ea", NULL},
};
static const struct plot_look plot_limit = {"max_children", "max_children", "#222222", "6 3"};
static const struct plot_look plot_budget = {"budget", "+ post-response budget", "#a33b00", "2 3"};
static const struct plot_look plot_queue = {"queue", "waiting connections", "#a33b00", NULL};
static const struct plot_look plot_p50 = {"p50", "p50", "#0072b2", NULL};
static const struct plot_look plot_p99 = {"p99", "p99", "#a33b00", NULL};
static const struct plot_look plot_rate = {"rate", "requests/s", "#00775a", NULL};

/* A panel, and the values at its ends. */
struct plot_panel {
    FILE *out;
    const struct plot_data *data;
    const struct plot_series *series;
    double top, height;
    double low, high; /* decades where it is logarithmic */
    bool logarithmic;
    double legend; /* where the next entry of the legend goes */
};

typedef double plot_value_fn(const struct plot_point *point); /* negative = unknown */

static void plot_svg_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else
            fputc(*text, out);
    }
}

static double plot_svg_x(const struct plot_data *data, int64_t time_ms)
{
    int64_t span = data->to_ms - data->from_ms;
    return PLOT_LEFT +
           (double)(time_ms - data->from_ms) * PLOT_INNER / (double)(span > 0 ? span : 1);
}

static double plot_svg_y(const struct plot_panel *panel, double value)
{
    if (panel->logarithmic)
        value = value > 0 ? log10(value) : panel->low;
    double part = (value - panel->low) / (panel->high - panel->low);
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    return panel->top + panel->height * (1 - part);
}

/* ---- panels ---- */

static void plot_svg_grid(const struct plot_panel *panel, double value, const char *label)
{
    double y = plot_svg_y(panel, value);
    fprintf(panel->out,
            "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
            "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            PLOT_LEFT, PLOT_LEFT + PLOT_INNER, y, y, PLOT_LEFT - 7, y + 4, label);
}

/* 0 to at least `most`, in whole steps. */
static void plot_svg_linear(struct plot_panel *panel, double most, unsigned count, double least)
{
    char label[32];
    double step = plot_scale_step(most, count, least);
    int steps = (int)ceil(most / step - 1e-9);
    panel->low = 0;
    panel->high = step * (steps > 0 ? steps : 1);
    for (int i = 0; i <= (steps > 0 ? steps : 1); i++) {
        plot_scale_number(step * i, label, sizeof label);
        plot_svg_grid(panel, step * i, label);
    }
}

/* Whole decades of milliseconds. */
static void plot_svg_logarithmic(struct plot_panel *panel, double least, double most)
{
    char label[32];
    panel->logarithmic = true;
    panel->low = floor(log10(least > 0.01 ? least : 0.01) + 1e-9);
    panel->high = ceil(log10(most > 0.01 ? most : 0.01) - 1e-9);
    if (panel->high <= panel->low)
        panel->high = panel->low + 1;
    for (int decade = (int)panel->low; decade <= (int)panel->high; decade++) {
        plot_scale_duration(pow(10, decade), label, sizeof label);
        plot_svg_grid(panel, pow(10, decade), label);
    }
}

static void plot_svg_panel_title(struct plot_panel *panel, const char *title)
{
    fprintf(panel->out, "<text class=\"panel\" x=\"%d\" y=\"%.1f\">%s</text>\n", PLOT_LEFT,
            panel->top - 9, title);
    panel->legend = PLOT_LEFT + 12 + 7.4 * (double)strlen(title);
}

static void plot_svg_legend(struct plot_panel *panel, const struct plot_look *look, bool area)
{
    double x = panel->legend, y = panel->top - 13;
    if (area)
        fprintf(panel->out,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"11\" height=\"11\" rx=\"2\" fill=\"%s\"/>", x,
                y - 5, look->colour);
    else
        fprintf(panel->out,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
                "stroke-width=\"2\" stroke-dasharray=\"%s\"/>",
                x, x + 18, y, y, look->colour, look->dashes != NULL ? look->dashes : "none");
    x += area ? 16 : 23;
    fprintf(panel->out, "<text class=\"legend\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x, y + 4,
            look->title);
    panel->legend = x + 13 + 6.1 * (double)strlen(look->title);
}

/* Marks of the time, and their labels below the last panel. */
static void plot_svg_times(const struct plot_panel *panel, bool labels)
{
    const struct plot_data *data = panel->data;
    int64_t step = plot_scale_time_step(data->to_ms - data->from_ms, 8);
    double bottom = panel->top + panel->height;
    for (int64_t at = plot_scale_time_first(data->from_ms, step); at <= data->to_ms; at += step) {
        char label[32];
        double x = plot_svg_x(data, at);
        fprintf(panel->out,
                "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", x, x,
                panel->top, bottom);
        plot_scale_time(at, step, label, sizeof label);
        if (labels)
            fprintf(panel->out,
                    "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                    x, bottom + 17, label);
    }
}

static void plot_svg_frame(const struct plot_panel *panel)
{
    fprintf(panel->out,
            "<rect class=\"frame\" x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\"/>\n", PLOT_LEFT,
            panel->top, PLOT_INNER, panel->height);
}

/* Where the series has a gap in front of this point. */
static bool plot_svg_gap(const struct plot_series *series, size_t at)
{
    return at == 0 || series->points[at].from_ms > series->points[at - 1].to_ms;
}

/* A line in steps, broken where there is nothing to show. */
static void plot_svg_line(const struct plot_panel *panel, const struct plot_look *look,
                          plot_value_fn *value)
{
    const struct plot_series *series = panel->series;
    bool down = false;
    fprintf(panel->out,
            "<path class=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" "
            "stroke-dasharray=\"%s\" d=\"",
            look->name, look->colour, look->dashes != NULL ? look->dashes : "none");
    for (size_t i = 0; i < series->count; i++) {
        const struct plot_point *point = &series->points[i];
        double number = value(point);
        if (number < 0 || plot_svg_gap(series, i))
            down = false;
        if (number < 0)
            continue;
        fprintf(panel->out, "%c%.1f %.1fH%.1f", down ? 'L' : 'M',
                plot_svg_x(panel->data, point->from_ms), plot_svg_y(panel, number),
                plot_svg_x(panel->data, point->to_ms));
        down = true;
    }
    fprintf(panel->out, "\"><title>%s</title></path>\n", look->title);
}

/* The workers of the states up to this one. */
static double plot_svg_sum(const struct plot_point *point, int state)
{
    double sum = 0;
    for (int i = 0; i <= state; i++)
        sum += point->states[i];
    return sum;
}

/* One area for each stretch without a gap: along the top, and back along the bottom. */
static void plot_svg_area(const struct plot_panel *panel, int state)
{
    const struct plot_series *series = panel->series;
    const struct plot_look *look = &plot_states[state];
    fprintf(panel->out, "<path class=\"%s\" fill=\"%s\" d=\"", look->name, look->colour);
    for (size_t first = 0, end; first < series->count; first = end) {
        for (end = first + 1; end < series->count && !plot_svg_gap(series, end);)
            end++;
        for (size_t i = first; i < end; i++)
            fprintf(panel->out, "%c%.1f %.1fH%.1f", i == first ? 'M' : 'L',
                    plot_svg_x(panel->data, series->points[i].from_ms),
                    plot_svg_y(panel, plot_svg_sum(&series->points[i], state)),
                    plot_svg_x(panel->data, series->points[i].to_ms));
        for (size_t i = end; i-- > first;)
            fprintf(panel->out, "L%.1f %.1fH%.1f", plot_svg_x(panel->data, series->points[i].to_ms),
                    plot_svg_y(panel, plot_svg_sum(&series->points[i], state - 1)),
                    plot_svg_x(panel->data, series->points[i].from_ms));
        fputc('Z', panel->out);
    }
    fprintf(panel->out, "\"><title>%s</title></path>\n", look->title);
}

/* ---- what is shown ---- */

static double plot_svg_limit(const struct plot_point *point)
{
    return point->limit > 0 ? point->limit : -1;
}

static double plot_svg_budget(const struct plot_point *point)
{
    return point->limit > 0 && point->budget > 0 ? point->limit + point->budget : -1;
}

static double plot_svg_waiting(const struct plot_point *point)
{
    return point->queue;
}

static double plot_svg_median(const struct plot_point *point)
{
    return quantile_of(&point->answers, 0.5);
}

static double plot_svg_slowest(const struct plot_point *point)
{
    return quantile_of(&point->answers, 0.99);
}

static double plot_svg_per_second(const struct plot_point *point)
{
    if (point->requests < 0 || point->requests_ms <= 0)
        return -1;
    return (double)point->requests * 1000 / (double)point->requests_ms;
}

static double plot_svg_most(const struct plot_series *series, plot_value_fn *value)
{
    double most = 0;
    for (size_t i = 0; i < series->count; i++)
        if (value(&series->points[i]) > most)
            most = value(&series->points[i]);
    return most;
}

static double plot_svg_all(const struct plot_point *point)
{
    return plot_svg_sum(point, PLOT_STATES - 1);
}

static double plot_svg_highest(const struct plot_point *point)
{
    double sum = plot_svg_all(point), budget = plot_svg_budget(point),
           limit = plot_svg_limit(point);
    sum = sum > limit ? sum : limit;
    return sum > budget ? sum : budget;
}

static void plot_svg_workers(struct plot_panel *panel)
{
    plot_svg_panel_title(panel, "workers");
    /* A limit on the frame could not be seen. */
    plot_svg_linear(panel, 1.04 * plot_svg_most(panel->series, plot_svg_highest), 6, 1);
    for (int state = 0; state < PLOT_STATES; state++) {
        bool seen = state == PLOT_SERVING || state == PLOT_POST_RESPONSE || state == PLOT_IDLE;
        for (size_t i = 0; i < panel->series->count; i++)
            seen = seen || panel->series->points[i].states[state] > 0;
        if (!seen)
            continue;
        plot_svg_area(panel, state);
        plot_svg_legend(panel, &plot_states[state], true);
    }
    plot_svg_times(panel, false);
    if (plot_svg_most(panel->series, plot_svg_limit) > 0) {
        plot_svg_line(panel, &plot_limit, plot_svg_limit);
        plot_svg_legend(panel, &plot_limit, false);
    }
    if (plot_svg_most(panel->series, plot_svg_budget) > 0) {
        plot_svg_line(panel, &plot_budget, plot_svg_budget);
        plot_svg_legend(panel, &plot_budget, false);
    }
}

static void plot_svg_queue(struct plot_panel *panel)
{
    plot_svg_panel_title(panel, "listen queue (connections)");
    plot_svg_linear(panel, plot_svg_most(panel->series, plot_svg_waiting), 3, 1);
    plot_svg_times(panel, false);
    plot_svg_line(panel, &plot_queue, plot_svg_waiting);
}

static void plot_svg_latency(struct plot_panel *panel)
{
    const struct plot_series *series = panel->series;
    double least = 1e12, most = plot_svg_most(series, plot_svg_slowest);
    for (size_t i = 0; i < series->count; i++) {
        double median = plot_svg_median(&series->points[i]);
        if (median >= 0 && median < least)
            least = median;
    }
    plot_svg_panel_title(panel, "time to answer (logarithmic)");
    plot_svg_logarithmic(panel, least < 1e12 ? least : 1, least < 1e12 ? most : 10);
    plot_svg_times(panel, false);
    plot_svg_line(panel, &plot_p50, plot_svg_median);
    plot_svg_line(panel, &plot_p99, plot_svg_slowest);
    plot_svg_legend(panel, &plot_p50, false);
    plot_svg_legend(panel, &plot_p99, false);
}

static void plot_svg_rate(struct plot_panel *panel)
{
    plot_svg_panel_title(panel, "requests/s");
    plot_svg_linear(panel, plot_svg_most(panel->series, plot_svg_per_second), 4, 0.1);
    plot_svg_times(panel, true);
    plot_svg_line(panel, &plot_rate, plot_svg_per_second);
}

static void plot_svg_pool(FILE *out, const struct plot_data *data, const struct plot_series *series,
                          double top)
{
    static const struct {
        const char *name;
        int height;
        void (*draw)(struct plot_panel *panel);
    } panels[] = {{"workers", PLOT_WORKERS, plot_svg_workers},
                  {"listen-queue", PLOT_QUEUE, plot_svg_queue},
                  {"time-to-answer", PLOT_LATENCY, plot_svg_latency},
                  {"requests", PLOT_RATE, plot_svg_rate}};
    char name[4 * TOP_NAME_SIZE];
    fputs("<g class=\"pool\">\n", out);
    fprintf(out, "<text class=\"pool-name\" x=\"%d\" y=\"%.1f\">pool ", PLOT_LEFT, top + 16);
    plot_svg_text(out, text_show(name, sizeof name, series->name));
    fputs("</text>\n", out);
    top += PLOT_POOL_TITLE;
    for (size_t i = 0; i < sizeof panels / sizeof *panels; i++) {
        struct plot_panel panel = {.out = out,
                                   .data = data,
                                   .series = series,
                                   .top = top + PLOT_PANEL_TITLE,
                                   .height = panels[i].height};
        fprintf(out, "<g class=\"%s-panel\">\n", panels[i].name);
        panels[i].draw(&panel);
        plot_svg_frame(&panel);
        fputs("</g>\n", out);
        top += PLOT_PANEL_TITLE + panels[i].height;
    }
    fputs("</g>\n", out);
}

static void plot_svg_moment(int64_t time_ms, char *out, size_t size)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm local;
    if (localtime_r(&seconds, &local) == NULL ||
        strftime(out, size, "%Y-%m-%d %H:%M:%S %Z", &local) == 0)
        *out = '\0';
}

static void plot_svg_head(FILE *out, const struct plot_data *data, int height)
{
    char from[64], to[64], interval[32];
    plot_svg_moment(data->from_ms + data->interval_ms, from, sizeof from);
    plot_svg_moment(data->to_ms, to, sizeof to);
    plot_scale_duration((double)data->interval_ms, interval, sizeof interval);
    fprintf(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
        "viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"title\">\n"
        "<title id=\"title\">Workers, listen queue and time to answer, %s to %s</title>\n"
        "<style>text{font-family:system-ui,'DejaVu Sans',Arial,sans-serif;fill:#222}"
        ".title{font-size:19px;font-weight:600}.sub{font-size:12px;fill:#555}"
        ".pool-name{font-size:15px;font-weight:600}.panel{font-size:12px;font-weight:600}"
        ".legend{font-size:11px}.tick{font-size:11px;fill:#444}"
        ".grid{stroke:#000;stroke-opacity:.12;stroke-width:1}"
        ".frame{fill:none;stroke:#888;stroke-width:1}</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
        "<text class=\"title\" x=\"%d\" y=\"28\">Workers, listen queue and time to answer</text>\n"
        "<text class=\"sub\" x=\"%d\" y=\"48\">%s to %s; %zu sample%s, one each %s</text>\n",
        PLOT_WIDTH, height, PLOT_WIDTH, height, from, to, PLOT_LEFT, PLOT_LEFT, from, to,
        data->samples, data->samples == 1 ? "" : "s", interval);
}

void plot_svg(FILE *out, const struct plot_data *data)
{
    int height = PLOT_TITLE + (int)data->count * PLOT_POOL_HEIGHT + 10;
    plot_svg_head(out, data, height);
    for (size_t i = 0; i < data->count; i++)
        plot_svg_pool(out, data, &data->pools[i], PLOT_TITLE + (double)i * PLOT_POOL_HEIGHT);
    fputs("</svg>\n", out);
}
