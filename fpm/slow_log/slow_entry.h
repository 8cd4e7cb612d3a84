/* slow_entry.h: writes the lines of one entry of the slow log; pure.
 *
 * Texts of workers, clients and programs are escaped.
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

/* The result of the trace. */
struct slow_entry_stack {
    const char *text; /* lines; may hold any byte; "" = none */
    size_t length;
    const char *missing; /* why there is no complete stack; NULL = it is complete */
    const char *note;    /* one more line; NULL = none */
};

/* Writes all lines, the last of which is empty. */
void slow_entry_write(FILE *out, const struct slow_entry *entry,
                      const struct slow_entry_stack *stack);

#endif
