/* generation.h: the workers that run with one reading of a pool's configuration.
 *
 * Owns their scoreboard and all they inherit except the listening socket. Starts a worker, stops
 * one, follows each to its end and reports to its owner by callbacks. How many workers there should
 * be is the owner's decision.
 */
#ifndef FPM_GENERATION_H
#define FPM_GENERATION_H

#include "fpm/access_log/access_log.h"
#include "fpm/config/config.h"
#include "fpm/log/output_capture.h"
#include "fpm/slow_log/deadline.h"
#include "fpm/worker/exit_cause.h"
#include "fpm/worker/idle_check.h"
#include "fpm/worker/launch_spec.h"
#include "fpm/worker/proc_activity.h"
#include "fpm/worker/scoreboard.h"
#include "fpm/worker/worker.h"

#include <ev.h>

struct generation;
struct generation_member;

struct generation_events {
    /* The program of a worker runs. */
    void (*started)(struct generation *generation, const struct generation_member *member);
    /* It could not be started; `why` says what to do. `started`: ms, when that was tried.
     * `no_process`: there was no process, because of a lack of descriptors or processes. */
    void (*start_failed)(struct generation *generation, const char *why, int64_t started,
                         bool no_process);
    /* Its first process has ended, and others of it have not: it is not in service any more. */
    void (*outlived)(struct generation *generation, const struct generation_member *member);
    /* All of it is gone; its slot is free when this returns. */
    void (*ended)(struct generation *generation, const struct generation_member *member,
                  const struct slot_view *view);
};

enum {
    GENERATION_LAST_ERROR = 256
};

/* One of a worker's two output streams, or the messages of its library. */
struct generation_stream {
    struct generation_member *member;
    const char *name;
    struct output_capture capture;
};

/* A slot and the worker in it. */
struct generation_member {
    struct generation *generation;
    unsigned slot;
    enum exit_cause_stop stop_reason; /* why it was asked to stop: the first reason, or a limit */
    bool stop_sent; /* it was sent the signal to stop, which may wait for the end of a request */
    bool all_told;  /* all of its processes were sent a signal to end */
    pid_t asked;    /* else the one that was: the process that attached; 0 = none */
    struct idle_check idle; /* without the library: how far its stop has come */
    int64_t grace_ends;     /* ms: it is killed then, unless it is superfluous and busy */
    struct worker worker;
    struct generation_stream output, error, messages;
    char last_error[GENERATION_LAST_ERROR]; /* the last line on stderr so far, or its beginning */
    struct deadline_reported *slow;         /* the slow log's, one for each thread; NULL = none */
    ev_timer limit;                         /* the owner's; stopped when the worker ends */
    uint64_t limit_at;                      /* ns: when it fires, 0 = not */
    bool queue_at_start;                    /* connections waited when it was started */
    bool accepted; /* without the library: it was seen to accept or to serve */
    bool changed;  /* in the list of changed members */
    struct generation_member *next_changed;
};

/* All generations of a pool share these, which are open while it has workers. */
struct generation_channels {
    unsigned holders;
    int doorbell_fd;
    int handoff[2]; /* in and out: connections that workers pass on */
};

struct generation {
    struct config *config;        /* held (config_keep): in force */
    struct config *launch_config; /* held: the one that `spec` points into */
    const struct config_pool *pool;
    unsigned number;          /* of the pool's generations, from 1 */
    struct generation *older; /* the owner's list */
    struct ev_loop *loop;
    const struct generation_events *events;
    void *owner;
    struct scoreboard scoreboard;
    struct launch_spec spec;
    struct access_log *access; /* NULL: no access log */
    struct generation_channels *channels;
    struct generation_member *members; /* one for each slot */
    unsigned size;                     /* members */
    unsigned live;                     /* members with a process */
    unsigned retiring;                 /* of these, asked to stop */
    unsigned counts[WORKER_STATE_COUNT];
    struct generation_member *changed; /* a list */
};

/* Prepares everything but workers. Holds `config`, to which `pool` belongs; the listening socket
 * stays its owner's. `before`: the pool's last generation, which shares its doorbell and its
 * handoff sockets, NULL = none. It opens no descriptor unless it has an access log. Returns NULL
 * with a sentence. */
struct generation *generation_open(struct ev_loop *loop, struct config *config,
                                   const struct config_pool *pool, const struct generation *before,
                                   int listen_fd, const struct generation_events *events,
                                   void *owner, char *error, size_t size);

/* Goes on with the workers of `before`, of which number, scoreboard, channels, access and `live`
 * members are known; logs those that have ended. `other`: a generation of the pool that was adopted
 * before, NULL = none. `starts`: it may start workers, too. Holds `config`, to which `pool`
 * belongs. Returns NULL with a sentence. */
struct generation *generation_adopt(struct ev_loop *loop, struct config *config,
                                    const struct config_pool *pool, const struct generation *before,
                                    const struct generation *other, int listen_fd, bool starts,
                                    const struct generation_events *events, void *owner,
                                    char *error, size_t size);

/* To be called when no generation of the pool has a worker and no connection waits in `handoff`. */
void generation_close_channels(struct generation_channels *channels);

/* Frees it; no worker may live. A pointer to NULL is allowed. */
void generation_close(struct generation **generation);

/* Number of its slots: pm.max_children and post_response.max_children together. */
unsigned generation_size_for(const struct config_pool *pool);

/* Adopts a configuration that differs only in settings that apply to running workers. */
void generation_apply(struct generation *generation, struct config *config,
                      const struct config_pool *pool);

/* Starts one worker, or calls start_failed. False if it failed, or no slot is free. */
bool generation_spawn(struct generation *generation);

/* Stops a worker gracefully: by its stop signal; without the library, once it seems to wait for a
 * request. It is killed after `patience_ms`, unless it is superfluous and busy. A second call can
 * only bring that forward. */
void generation_stop(struct generation_member *member, enum exit_cause_stop why,
                     int64_t patience_ms);

/* Stops a worker without waiting for its work: TERM now, KILL after `patience_ms`. */
void generation_terminate(struct generation_member *member, enum exit_cause_stop why,
                          int64_t patience_ms);

void generation_kill(struct generation_member *member, enum exit_cause_stop why);

/* What log lines about its worker begin with. */
struct log_about generation_about(const struct generation_member *member);

/* Puts a member on the list of changed ones, so that its owner looks at it again. */
void generation_mark_changed(struct generation_member *member);

/* Takes the list: members whose worker changed its process state or was asked to stop since the
 * last call, each once, linked by next_changed until it is marked again. NULL = none. */
struct generation_member *generation_take_changed(struct generation *generation);

/* What the processes of a worker without the library do, PROC_ACTIVITY_WAITING if they hold no
 * connection. */
enum proc_activity generation_unattached_activity(struct generation_member *member);

/* The process that serves: the one that attached the slot, if it is one of the worker's, otherwise
 * the worker's first; 0 = that one has ended and no other attached. */
pid_t generation_member_program(const struct generation_member *member);

/* Notes whether a worker without the library has reached its accept loop, as far as /proc tells. */
void generation_look_for_accept(struct generation_member *member);

/* Has the member a process that was not asked to stop? */
bool generation_member_in_service(const struct generation_member *member);

#endif
