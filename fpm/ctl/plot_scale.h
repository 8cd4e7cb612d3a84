/* plot_scale.h: round numbers for axes, and how to write them; pure. Called by plot_svg.c. */
#ifndef FPM_PLOT_SCALE_H
#define FPM_PLOT_SCALE_H

#include <stddef.h>
#include <stdint.h>

/* The step 1, 2 or 5 times a power of ten that divides 0 to `most` into at most `count` parts; at
 * least `least`. */
double plot_scale_step(double most, unsigned count, double least);

/* The step in ms that divides a span into at most `count` parts: seconds, minutes, hours, days as
 * clocks have them. */
int64_t plot_scale_time_step(int64_t span_ms, unsigned count);

/* The first multiple of the step, by local time, at or after `time_ms` (since 1970). */
int64_t plot_scale_time_first(int64_t time_ms, int64_t step_ms);

/* A moment in local time, as exact as the step is: "13:05:10", "13:05", "Nov 24". */
void plot_scale_time(int64_t time_ms, int64_t step_ms, char *out, size_t size);

/* "0.5 ms", "20 ms", "1 s"; "2 min" from 60 s. */
void plot_scale_duration(double ms, char *out, size_t size);

/* A number without needless digits: "0.5", "20", "1500". */
void plot_scale_number(double number, char *out, size_t size);

#endif
