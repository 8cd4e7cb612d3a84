/* pool_client.h: a pool, for a client that sends it a request: where it listens, how to connect,
 * and when the worker was done with the request.
 *
 * Asks the manager through client.h.
 */
#ifndef FPM_POOL_CLIENT_H
#define FPM_POOL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    POOL_CLIENT_REMARK = 4096
};

enum pool_client_outcome {
    POOL_CLIENT_UNKNOWN, /* `remark` says why */
    POOL_CLIENT_RUNNING, /* not done yet at the deadline */
    POOL_CLIENT_ENDED,
    POOL_CLIENT_DIED /* the worker's process ended first */
};

struct pool_client {
    const char *socket; /* of the manager */
    const char *name;
    char mark[24]; /* tracking id, the value of the parameter CONTROL_MARK */
    bool is_tcp;
    char host[128]; /* or the path of a unix socket */
    char port[16];
};

struct pool_client_trail {
    enum pool_client_outcome outcome;
    pid_t pid;                       /* 0 = unknown */
    uint64_t ended_at;               /* CLOCK_MONOTONIC in ns; 0 = not ended, or unknown */
    char remark[POOL_CLIENT_REMARK]; /* "" = nothing to add */
};

/* Returns an exit status, with a sentence unless it is 0. */
int pool_client_find(struct pool_client *pool, const char *socket, const char *name, char *error,
                     size_t size);

/* Returns a descriptor, or -1 with a sentence. `limit` in ns, 0 = none. */
int pool_client_connect(const struct pool_client *pool, uint64_t limit, char *error, size_t size);

/* Waits until the worker is done with the request of this tracking id, or until `deadline`
 * (CLOCK_MONOTONIC in ns, 0 = none). Called after the request was answered or has failed. */
void pool_client_follow(const struct pool_client *pool, uint64_t deadline,
                        struct pool_client_trail *trail);

/* "ended", "died", "running", "unknown" */
const char *pool_client_outcome(const struct pool_client_trail *trail);

#endif
