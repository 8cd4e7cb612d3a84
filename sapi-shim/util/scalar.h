/* scalar.h: texts of numbers with units, durations and booleans, in the ini files and in the
 * parameters that a web server sets for a request. Pure.
 */
#ifndef OT_SCALAR_H
#define OT_SCALAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scalar_unit {
    const char *suffix;
    int64_t factor;
};

/* Suffixes of durations, longest unit first, in milliseconds; a plain number is seconds. */
enum {
    SCALAR_TIMES = 6
};
extern const struct scalar_unit scalar_times[SCALAR_TIMES];

/* Reads digits and leaves *text after them. False if there are none or too many. */
bool scalar_digits(const char **text, int64_t *out);

/* A CONTENT_LENGTH in bytes: 0 if it is NULL or empty, SCALAR_UNKNOWN_LENGTH if it is no number or
 * above SCALAR_LENGTH_MAX. */
#define SCALAR_UNKNOWN_LENGTH UINT64_MAX
#define SCALAR_LENGTH_MAX     INT64_C(1000000000000000)
uint64_t scalar_length(const char *text);

/* Digits and one of these suffixes, in any case. False for anything else, overflow included. */
bool scalar_with_unit(const char *text, const struct scalar_unit *units, size_t count,
                      int64_t *out);

/* Milliseconds: a number of seconds, or a number followed by ms, s, m, h or d. Never negative. */
bool scalar_time(const char *text, int64_t *out);

/* yes, no; on, off; true, false; 1, 0. */
bool scalar_bool(const char *text, bool *out);

/* "310 ms", "2.5 s", "5 min 3 s", "7 h 0 min"; "0 ms" for a negative duration. */
void scalar_duration(int64_t ms, char *out, size_t size);

#endif
