/* slowentry.h: the words of one entry of the slow log.
 *
 * Pure: facts in, lines out. What workers, clients and programs wrote is made harmless. Called by
 * slowlog.
 */
#ifndef FPM_SLOWENTRY_H
#define FPM_SLOWENTRY_H

#include "fpm/slow.h"
#include "sapi-shim/contract.h"

#include <stdio.h>
#include <sys/types.h>
#include <time.h>

struct slowentry {
    const char *pool;
    pid_t pid;
    unsigned slot;
    enum slow_verdict why;
    int64_t limit;           /* ms */
    struct ot_record record; /* of the thread, when it was found slow */
    int64_t now;             /* the same moment: ns, clock.h */
    struct timespec wall;
};

/* What was found out of the stack. */
struct slowentry_stack {
    const char *text; /* lines, may hold any byte; "" = none */
    size_t length;
    const char *missing; /* why there is none, or not all; NULL = there is */
    const char *note;    /* what else there is to say, NULL = nothing */
};

/* All lines, with an empty one at the end. */
void slowentry_write(FILE *out, const struct slowentry *entry, const struct slowentry_stack *stack);

#endif
