/* status.h: what the pools and their workers do now, as plain values.
 *
 * Copies and counts; decides nothing and shows nothing (render does). Called by master.
 */
#ifndef FPM_STATUS_H
#define FPM_STATUS_H

#include "fpm/keeper.h"
#include "fpm/pool.h"

#include <stdio.h>

/* Numbers of a pool: member, name in JSON and help. Every output walks this list. */
#define STATUS_POOL_FIELDS(FIELD)                                                                  \
    FIELD(max_children, "max_children", "pm.max_children")                                         \
    FIELD(workers, "workers", "processes")                                                         \
    FIELD(starting, "starting", "not yet accepting")                                               \
    FIELD(idle, "idle", "waiting for a request")                                                   \
    FIELD(serving, "serving", "in a request")                                                      \
    FIELD(post_response, "post_response", "working on after the response")                         \
    FIELD(shutdown, "shutdown", "in shutdown functions")                                           \
    FIELD(exiting, "exiting", "on their way out")                                                  \
    FIELD(unknown, "unknown", "without the library")                                               \
    FIELD(requests, "requests", "begun since the start")                                           \
    FIELD(finished, "finished", "ended early by the application")                                  \
    FIELD(aborted, "aborted", "whose client left")                                                 \
    FIELD(timed_out, "timed_out", "that reached their time limit")                                 \
    FIELD(dropped, "dropped", "refused before the application saw them")                           \
    FIELD(discarded_bytes, "discarded_bytes", "output after the end of the response")              \
    FIELD(shutdown_run, "shutdown_run", "shutdown functions run")                                  \
    FIELD(shutdown_late, "shutdown_late", "shutdown functions cut off")                            \
    FIELD(shutdown_lost, "shutdown_lost", "shutdown functions never begun")                        \
    FIELD(retiring, "retiring", "asked to go")                                                     \
    FIELD(generation, "generation", "of the workers that are started now")                         \
    FIELD(listen_queue, "listen_queue", "connections that wait")                                   \
    FIELD(over_budget, "over_budget", "times post_response.max_children was exceeded")             \
    FIELD(max_children_reached, "max_children_reached",                                            \
          "times connections waited for lack of workers")                                          \
    FIELD(spawned, "spawned", "workers started")                                                   \
    FIELD(died, "died", "workers that ended unasked")                                              \
    FIELD(start_failures, "start_failures", "workers that could not be started")                   \
    FIELD(backoff_ms, "backoff_ms", "until the next start is allowed")                             \
    FIELD(uptime_ms, "uptime_ms", "since the pool was opened")

struct status_worker {
    pid_t pid;
    unsigned slot;
    unsigned generation;
    bool known; /* the library writes the slot; without it, only what follows up to `process` */
    const char *state;   /* of the thread that leads, or "unknown" */
    const char *process; /* of the process, as the manager knows it */
    int64_t uptime_ms;
    int64_t state_ms;   /* in `state` */
    int64_t request_ms; /* age of the request, 0 = none */
    unsigned threads, busy;
    uint64_t requests;
    char method[OT_METHOD_MAX];
    char uri[OT_URI_MAX];
    char label[OT_LABEL_MAX];
};

struct status_pool {
    const char *name;
    const char *pm;
    const char *listen;
#define STATUS_MEMBER(member, name, help) uint64_t member;
    STATUS_POOL_FIELDS(STATUS_MEMBER)
#undef STATUS_MEMBER
};

/* Counts one pool. */
void status_pool(const struct pool *pool, const struct keeper *keeper, struct status_pool *out);

/* Fills *out if there is a process in this slot, else returns false. */
bool status_worker(const struct generation *generation, unsigned slot, struct status_worker *out);

/* The same of one thread of a worker that status_worker has filled, by number from 0 on. */
bool status_thread(const struct generation *generation, unsigned slot, unsigned thread,
                   struct status_worker *out);

#endif
