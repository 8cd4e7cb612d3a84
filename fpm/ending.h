/* ending.h: for what reason a worker came to its end.
 *
 * Pure: what the manager had asked of it, what it said itself and what wait(2) says in, one row of
 * a table out. The counts by cause and the words in logs come from here. Called by generation and
 * pool; status names the counts.
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

enum ending {
    ENDING_BY_CRASH,        /* a signal that nobody is known to have sent */
    ENDING_BY_EXIT,         /* it left without a word, whatever the status */
    ENDING_BY_START,        /* its program never ran */
    ENDING_BY_REQUESTS,     /* pm.max_requests */
    ENDING_BY_MEMORY,       /* pm.max_memory and pm.max_memory_hard */
    ENDING_BY_BAILOUT,      /* exit() at a time-out or an abort */
    ENDING_BY_HARD_TIMEOUT, /* hard_timeout */
    ENDING_BY_TERMINATION,  /* request_terminate_timeout, post_response.terminate_timeout */
    ENDING_BY_RETIREMENT,   /* superfluous */
    ENDING_BY_RELOAD,
    ENDING_BY_STOP,
    ENDING_COUNT
};

struct ending_facts {
    enum ending_ask asked;
    bool start_failed;
    unsigned said; /* enum ot_exit_reason, as its slot has it: not to be trusted */
    int status;    /* of wait(2), -1 unknown */
};

enum ending ending_judge(const struct ending_facts *facts);

/* Of the count, in JSON and metrics: "max_requests". */
const char *ending_name(enum ending ending);

/* What the count counts, for people. */
const char *ending_help(enum ending ending);

/* Behind "asked to go: ". */
const char *ending_ask_name(enum ending_ask ask);

#endif
