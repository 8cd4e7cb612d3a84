/* load_plan.h: what the load generator is to do, as its command line said. Data only, no code.
 *
 * Times are nanoseconds, points in time are those of CLOCK_MONOTONIC.
 */
#ifndef LOAD_PLAN_H
#define LOAD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    LOAD_KINDS_MAX = 32,
    LOAD_PARAMS_MAX = 32, /* extra parameters of a kind */
    LOAD_NAME_SIZE = 32
};

#define LOAD_MS 1000000LL
#define LOAD_S  1000000000LL

enum load_pattern {
    LOAD_OPEN,   /* at a rate, whatever the answers do */
    LOAD_CLOSED, /* so many clients, each waits for its answer before it asks again */
    LOAD_BURST   /* so many at once, again and again */
};

/* Where requests go. */
struct load_target {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_storage room;
    } address;
    socklen_t size;
};

/* What a good answer is, beyond the protocol. */
struct load_expect {
    int64_t length;   /* bytes of the body, or -1 */
    const char *text; /* the whole body, or NULL */
    bool pattern;     /* the body is what the test applications' step `write` sends */
    unsigned status;  /* of HTTP */
    bool http;        /* the answer is one of HTTP, not of FastCGI */
};

/* One kind of request. */
struct load_kind {
    char name[LOAD_NAME_SIZE];
    double weight; /* share of the requests, to the sum of all weights */
    struct load_target target;
    const char *query;
    const char *http; /* path of an HTTP/1.0 request instead of a FastCGI one, or NULL */
    const char *params[LOAD_PARAMS_MAX]; /* NAME=VALUE */
    size_t param_count;
    size_t body; /* bytes that the request brings */
    bool keep;   /* the connection, for the next request */
    struct load_expect expect;
    int64_t timeout;
    int64_t send_time; /* slow sending: the request goes out in pieces, the last one so late */
    unsigned send_pieces;
    int64_t read_pause; /* slow reading: `read_size` bytes at most in each pause; 0 = at once */
    size_t read_size;
};

struct load_plan {
    enum load_pattern pattern;
    double rate;  /* LOAD_OPEN: requests a second */
    bool poisson; /* ... at random distances, otherwise even ones */
    unsigned clients;
    int64_t think; /* LOAD_CLOSED: a client's pause between answer and next request */
    unsigned burst;
    int64_t every;  /* LOAD_BURST: from one burst to the next */
    uint64_t count; /* requests in all; 0 = no such limit */
    int64_t length; /* of the run; 0 = no such limit. What has begun is always finished */
    uint64_t seed;
    const char *trace; /* file that gets a line for each request, or NULL */
    struct load_kind kinds[LOAD_KINDS_MAX];
    size_t kind_count;
};

#endif
