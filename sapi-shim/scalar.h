/* scalar.h: texts of truth values and durations, the same in the ini files and in what a web server
 * sets per request.
 *
 * Pure. Used by values.c and, for the ini files, by the manager.
 */
#ifndef OT_SCALAR_H
#define OT_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

/* Whole decimal number, not negative. False for anything else, overflow included. */
bool scalar_number(const char *text, int64_t *out);

/* yes, no; on, off; true, false; 1, 0. */
bool scalar_bool(const char *text, bool *out);

/* Milliseconds: a number of seconds, or with ms, s, m, h or d behind it. Never negative. */
bool scalar_time(const char *text, int64_t *out);

#endif
