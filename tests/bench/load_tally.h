/* load_tally.h: keeps every request's outcome and prints the report. Never rounds into classes:
 * each latency is kept, percentiles come from the sorted sample.
 */
#ifndef LOAD_TALLY_H
#define LOAD_TALLY_H

#include "tests/bench/load_plan.h"

#include <stdio.h>

enum load_outcome {
    LOAD_OK,
    LOAD_REFUSED,           /* nobody listens there */
    LOAD_CONNECT,           /* connecting failed otherwise */
    LOAD_UNSENT,            /* no descriptor or no memory for it here */
    LOAD_RESET,             /* the connection was reset before the answer's end */
    LOAD_CLOSED_UNANSWERED, /* it was closed without a byte of an answer */
    LOAD_TRUNCATED,         /* it was closed before END_REQUEST was complete */
    LOAD_WRONG,             /* a whole answer, but not the right one */
    LOAD_TRAILING,          /* bytes after END_REQUEST */
    LOAD_TIMEOUT,
    LOAD_OUTCOMES
};

enum {
    LOAD_WORST = 10,  /* slowest requests told one by one */
    LOAD_FAILED = 20, /* failed requests told one by one: the first ones */
    LOAD_DETAIL_SIZE = 64
};

/* One request's life; 0 where it did not come to that. */
struct load_visit {
    size_t kind;
    enum load_outcome outcome;
    char detail[LOAD_DETAIL_SIZE];
    int64_t due;   /* when it should have started */
    int64_t start; /* when it was started */
    int64_t sent;  /* when its last byte went out */
    int64_t first; /* when the first byte of the answer came */
    int64_t end;
    int64_t latency; /* from `due` (of a slow sender: of the last piece) to the answer's end */
};

struct load_sample {
    int64_t *values;
    size_t size;
    size_t room;
};

struct load_count {
    uint64_t outcomes[LOAD_OUTCOMES];
    struct load_sample latencies; /* of those that went well */
};

struct load_tally {
    const struct load_plan *plan;
    FILE *trace;
    struct load_count kinds[LOAD_KINDS_MAX];
    struct load_visit worst[LOAD_WORST];
    size_t worst_size;
    struct load_visit failed[LOAD_FAILED];
    size_t failed_size;
    struct load_sample lags; /* how late the generator itself started them */
    uint64_t backlog_full;   /* connects that found the listen queue full and were tried again */
    uint64_t delayed;        /* requests that this happened to */
    uint64_t reconnects;  /* kept connections found closed, the request sent again on a new one */
    uint64_t closed_idle; /* kept connections that were closed while nothing was asked */
    uint64_t connections;
    uint64_t messages; /* bytes of STDERR */
    unsigned in_flight_most;
    int64_t begin, end; /* of the run */
    bool short_of_memory;
};

/* -1 if the trace cannot be written (errno says why). */
int load_tally_open(struct load_tally *tally, const struct load_plan *plan);

/* Notes a request that has ended, well or not. */
void load_tally_visit(struct load_tally *tally, const struct load_visit *visit);

/* A request that was counted as good turned out not to be: bytes came on its kept connection. */
void load_tally_spoil(struct load_tally *tally, size_t kind, int64_t now);

/* Prints the report as one JSON object; 0, or -1 when memory was short or it could not be written.
 */
int load_tally_report(struct load_tally *tally, FILE *out);

void load_tally_close(struct load_tally *tally);

#endif
