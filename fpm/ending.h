/* ending.h: for what reason a worker came to its end.
 *
 * Pure: what the manager had asked of it, what it said itself and what wait(2) says in, one row of
 * a table out. Called by generation and pool, which counts by it.
 */
#ifndef FPM_ENDING_H
#define FPM_ENDING_H

#include <stdbool.h>
#include <stdint.h>

/* Why the manager asked a worker to go. */
enum ending_ask {
    ENDING_NOT_ASKED,
    ENDING_SUPERFLUOUS, /* idle and not needed */
    ENDING_RELOAD,      /* a newer generation took over */
    ENDING_MEMORY,      /* found above pm.max_memory while it was not inside a request */
    ENDING_MEMORY_HARD, /* above pm.max_memory_hard */
    ENDING_REQUEST,     /* request_terminate_timeout */
    ENDING_POST,        /* post_response.terminate_timeout */
    ENDING_STOP,        /* the manager stops */
    ENDING_ASK_COUNT
};

/* The rows of endings.def, with what each means. */
enum ending {
#define ENDING(cause, name, help) ENDING_BY_##cause,
#include "sapi-shim/endings.def"
#undef ENDING
    ENDING_COUNT
};

struct ending_facts {
    enum ending_ask asked;
    bool start_failed;
    unsigned said; /* enum ot_exit_reason, as its slot has it: not to be trusted */
    int status;    /* of wait(2), -1 unknown */
};

enum ending ending_judge(const struct ending_facts *facts);

/* The reason as words for the log; NULL: none is known, or how it ended says it. */
const char *ending_reason(const struct ending_facts *facts);

/* Is an end for this reason the course of things, which nobody has to hear of? */
bool ending_is_expected(enum ending ending);

/* As endings.def names it. */
const char *ending_name(enum ending ending);

/* Behind "asked to go: ". */
const char *ending_ask_name(enum ending_ask ask);

#endif
