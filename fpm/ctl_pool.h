/* ctl_pool.h: one pool, as somebody sees it who sends it a request: where it listens, and what has
 * become of that request.
 *
 * Asks the manager for both. Called by ctl_request.
 */
#ifndef FPM_CTL_POOL_H
#define FPM_CTL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CTL_POOL_REMARK = 4096
};

enum ctl_pool_outcome {
    CTL_POOL_UNKNOWN, /* `remark` says why */
    CTL_POOL_RUNNING, /* not done yet when we gave up waiting */
    CTL_POOL_ENDED,
    CTL_POOL_DIED /* its worker's process ended first */
};

struct ctl_pool {
    const char *socket; /* of the manager */
    const char *name;
    char mark[24]; /* for the parameter CONTROL_MARK */
    bool is_tcp;
    char host[128]; /* or the path of a unix socket */
    char port[16];
};

struct ctl_pool_trail {
    enum ctl_pool_outcome outcome;
    pid_t pid;                    /* 0 = unknown */
    int64_t ended_at;             /* CLOCK_MONOTONIC in ns; 0 = not, or unknown */
    char remark[CTL_POOL_REMARK]; /* "" = nothing to add */
};

/* Returns an exit status, not 0 with a sentence. */
int ctl_pool_find(struct ctl_pool *pool, const char *socket, const char *name, char *error,
                  size_t size);

/* Returns a descriptor, or -1 with a sentence. `limit` in ns, 0 = none. */
int ctl_pool_connect(const struct ctl_pool *pool, int64_t limit, char *error, size_t size);

/* Waits until the request with the pool's mark is done, or until `deadline` (CLOCK_MONOTONIC in ns,
 * 0 = for ever). After its answer, or after it failed. */
void ctl_pool_follow(const struct ctl_pool *pool, int64_t deadline, struct ctl_pool_trail *trail);

/* "ended", "died", "running", "unknown" */
const char *ctl_pool_outcome(const struct ctl_pool_trail *trail);

#endif
