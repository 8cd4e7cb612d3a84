/* plot_scale.c: see plot_scale.h. */
#include "fpm/ctl/plot_scale.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

enum {
    PLOT_SECOND = 1000,
    PLOT_MINUTE = 60 * PLOT_SECOND,
    PLOT_HOUR = 60 * PLOT_MINUTE,
    PLOT_DAY = 24 * PLOT_HOUR
};

double plot_scale_step(double most, unsigned count, double least)
{
    double raw = most > 0 && count > 0 ? most / count : 0;
    if (raw <= least)
        return least;
    double power = pow(10, floor(log10(raw) + 1e-9)), digits = raw / power;
    double nice = digits <= 1 + 1e-9 ? 1 : digits <= 2 + 1e-9 ? 2 : digits <= 5 + 1e-9 ? 5 : 10;
    return nice * power;
}

int64_t plot_scale_time_step(int64_t span_ms, unsigned count)
{
    static const int64_t steps[] = {
        100,
        200,
        500,
        PLOT_SECOND,
        2 * PLOT_SECOND,
        5 * PLOT_SECOND,
        10 * PLOT_SECOND,
        15 * PLOT_SECOND,
        30 * PLOT_SECOND,
        PLOT_MINUTE,
        2 * PLOT_MINUTE,
        5 * PLOT_MINUTE,
        10 * PLOT_MINUTE,
        15 * PLOT_MINUTE,
        30 * PLOT_MINUTE,
        PLOT_HOUR,
        2 * PLOT_HOUR,
        3 * PLOT_HOUR,
        6 * PLOT_HOUR,
        12 * PLOT_HOUR,
        PLOT_DAY,
        2 * (int64_t)PLOT_DAY,
        7 * (int64_t)PLOT_DAY,
        14 * (int64_t)PLOT_DAY,
        28 * (int64_t)PLOT_DAY,
    };
    size_t known = sizeof steps / sizeof *steps;
    for (size_t i = 0; i < known; i++)
        if (span_ms <= steps[i] * (int64_t)count)
            return steps[i];
    return (span_ms / count / PLOT_DAY + 1) * PLOT_DAY;
}

static void plot_scale_local(int64_t time_ms, struct tm *out)
{
    time_t seconds = (time_t)(time_ms / 1000);
    if (localtime_r(&seconds, out) == NULL)
        *out = (struct tm){.tm_mday = 1, .tm_year = 70};
}

int64_t plot_scale_time_first(int64_t time_ms, int64_t step_ms)
{
    struct tm local;
    plot_scale_local(time_ms, &local);
    int64_t shifted = time_ms + (int64_t)local.tm_gmtoff * 1000, rest = shifted % step_ms;
    return rest == 0 ? time_ms : time_ms + step_ms - rest;
}

void plot_scale_time(int64_t time_ms, int64_t step_ms, char *out, size_t size)
{
    struct tm local;
    plot_scale_local(time_ms, &local);
    size_t used = step_ms >= PLOT_DAY      ? strftime(out, size, "%b %e", &local)
                  : step_ms >= PLOT_MINUTE ? strftime(out, size, "%H:%M", &local)
                                           : strftime(out, size, "%H:%M:%S", &local);
    if (used == 0)
        *out = '\0';
    else if (step_ms < PLOT_SECOND)
        snprintf(out + used, size - used, ".%d", (int)(time_ms / 100 % 10));
}

void plot_scale_number(double number, char *out, size_t size)
{
    snprintf(out, size, number < 1e6 ? "%.6g" : "%.0f", number);
}

void plot_scale_duration(double ms, char *out, size_t size)
{
    double number = ms < 1000 ? ms : ms < 60000 ? ms / 1000 : ms / 60000;
    snprintf(out, size, "%.3g %s", number, ms < 1000 ? "ms" : ms < 60000 ? "s" : "min");
}
