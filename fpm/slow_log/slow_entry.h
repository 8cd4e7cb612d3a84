/* slow_entry.h: the words of one entry of the slow log.
 *
 * Pure: facts in, lines out. What workers, clients and programs wrote is made harmless. Called by
 * slowlog.
 */
#ifndef FPM_SLOW_ENTRY_H
#define FPM_SLOW_ENTRY_H

#include "fpm/slow_log/deadline.h"
#include "sapi-shim/contract.h"

#include <stdio.h>
#include <sys/types.h>
#include <time.h>

struct slow_entry {
    const char *pool;
    pid_t pid;
    unsigned slot;
    enum deadline_verdict why;
    int64_t limit;           /* ms */
    struct ot_record record; /* of the thread, when it was found slow */
    int64_t now;             /* the same moment: ns, clock.h */
    struct timespec wall;
};

/* What was found out of the stack. */
struct slow_entry_stack {
    const char *text; /* lines, may hold any byte; "" = none */
    size_t length;
    const char *missing; /* why there is none, or not all; NULL = there is */
    const char *note;    /* what else there is to say, NULL = nothing */
};

/* All lines, with an empty one at the end. */
void slow_entry_write(FILE *out, const struct slow_entry *entry,
                      const struct slow_entry_stack *stack);

#endif
