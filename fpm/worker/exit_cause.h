/* exit_cause.h: for what reason a worker came to its end.
 *
 * Pure: what the manager had asked of it, what it said itself and what wait(2) says in, one row of
 * a table out. Called by generation and pool, which counts by it.
 */
#ifndef FPM_EXIT_CAUSE_H
#define FPM_EXIT_CAUSE_H

#include <stdbool.h>
#include <stdint.h>

/* Why the manager asked a worker to go. */
enum exit_cause_ask {
    EXIT_CAUSE_NOT_ASKED,
    EXIT_CAUSE_SUPERFLUOUS, /* idle and not needed */
    EXIT_CAUSE_RELOAD,      /* a newer generation took over */
    EXIT_CAUSE_MEMORY,      /* found above pm.max_memory while it was not inside a request */
    EXIT_CAUSE_MEMORY_HARD, /* above pm.max_memory_hard */
    EXIT_CAUSE_REQUEST,     /* request_terminate_timeout */
    EXIT_CAUSE_POST,        /* post_response.terminate_timeout */
    EXIT_CAUSE_STOP,        /* the manager stops */
    EXIT_CAUSE_ASK_COUNT
};

/* The rows of exit_causes.def, with what each means. */
enum exit_cause {
#define EXIT_CAUSE(cause, name, help) EXIT_CAUSE_BY_##cause,
#include "sapi-shim/exit_causes.def"
#undef EXIT_CAUSE
    EXIT_CAUSE_COUNT
};

struct exit_cause_facts {
    enum exit_cause_ask asked;
    bool start_failed;
    unsigned said; /* enum ot_exit_reason, as its slot has it: not to be trusted */
    int status;    /* of wait(2), -1 unknown */
};

enum exit_cause exit_cause_judge(const struct exit_cause_facts *facts);

/* The reason as words for the log; NULL: none is known, or how it ended says it. */
const char *exit_cause_reason(const struct exit_cause_facts *facts);

/* Is an end for this reason the course of things, which nobody has to hear of? */
bool exit_cause_is_expected(enum exit_cause ending);

/* As exit_causes.def names it. */
const char *exit_cause_name(enum exit_cause ending);

/* Behind "asked to go: ". */
const char *exit_cause_ask_name(enum exit_cause_ask ask);

#endif
