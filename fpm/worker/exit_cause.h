/* exit_cause.h: why a worker ended.
 *
 * Pure: why the manager stopped it, what it said itself and what wait(2) says go in, one row of a
 * table comes out.
 */
#ifndef FPM_EXIT_CAUSE_H
#define FPM_EXIT_CAUSE_H

#include <stdbool.h>

/* Why the manager stops a worker. */
enum exit_cause_stop {
    EXIT_CAUSE_STOP_NONE,
    EXIT_CAUSE_STOP_SUPERFLUOUS,   /* idle and not needed */
    EXIT_CAUSE_STOP_RELOAD,        /* a newer generation took over */
    EXIT_CAUSE_STOP_MEMORY,        /* above pm.max_memory, outside a request */
    EXIT_CAUSE_STOP_MEMORY_HARD,   /* above pm.max_memory_hard */
    EXIT_CAUSE_STOP_REQUEST,       /* request_terminate_timeout */
    EXIT_CAUSE_STOP_POST_RESPONSE, /* post_response.terminate_timeout */
    EXIT_CAUSE_STOP_MANAGER,       /* the manager stops */
    EXIT_CAUSE_STOP_REST,          /* its first process ended by itself, others have not yet */
    EXIT_CAUSE_STOP_COUNT
};

/* The rows of exit_causes.def, which says what each means. */
enum exit_cause {
#define EXIT_CAUSE(cause, name, help) EXIT_CAUSE_##cause,
#include "sapi-shim/exit_causes.def"
#undef EXIT_CAUSE
    EXIT_CAUSE_COUNT
};

struct exit_cause_input {
    enum exit_cause_stop stop_reason;
    bool start_failed;
    unsigned exit_reason; /* enum ot_exit_reason as the worker wrote it: not to be trusted */
    int status;           /* of wait(2), -1 = unknown */
};

enum exit_cause exit_cause_of(const struct exit_cause_input *input);

/* The cause in words for the log; NULL = none is known, or the status says it. */
const char *exit_cause_text(const struct exit_cause_input *input);

/* Is such an end a part of normal operation, that needs no line in the log? */
bool exit_cause_is_expected(enum exit_cause cause);

/* The name in exit_causes.def. */
const char *exit_cause_name(enum exit_cause cause);

/* Is it a limit, which cuts off the work that is under way? */
bool exit_cause_is_limit(enum exit_cause_stop reason);

/* To follow "asked to go: ". */
const char *exit_cause_stop_text(enum exit_cause_stop reason);

#endif
