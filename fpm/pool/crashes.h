/* crashes.h: have so many workers crashed within so short a time that a reload may help?
 *
 * Pure: the moments of crashes in, yes or no out. Called by master for
 * emergency_restart_threshold and emergency_restart_interval.
 */
#ifndef FPM_CRASHES_H
#define FPM_CRASHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The latest crashes; all zero at birth. */
struct crashes {
    int64_t *at; /* ms, a ring of `size` */
    size_t size, next, count;
};

/* Notes a crash. True if it is the last of `threshold` (0: never) within `interval_ms`; they are
 * then forgotten. Without memory: false. */
bool crashes_note(struct crashes *crashes, size_t threshold, int64_t interval_ms, int64_t now);
void crashes_free(struct crashes *crashes);

#endif
