/* generation.h: the workers that run by one reading of a pool's configuration.
 *
 * Owns their scoreboard and everything they inherit but the listening socket. Starts a worker, asks
 * one to go, follows each to its end and tells its owner by callbacks; how many there shall be is
 * the owner's to decide. Called by pool.
 */
#ifndef FPM_GENERATION_H
#define FPM_GENERATION_H

#include "fpm/access_log/access_log.h"
#include "fpm/config/config.h"
#include "fpm/log/output_capture.h"
#include "fpm/slow_log/deadline.h"
#include "fpm/worker/exit_cause.h"
#include "fpm/worker/launch_spec.h"
#include "fpm/worker/scoreboard.h"
#include "fpm/worker/worker.h"

#include <ev.h>

struct generation;
struct generation_member;

/* What its owner is told. */
struct generation_events {
    /* The program of a worker runs, or could not: `why` then says what to do. */
    void (*started)(struct generation *generation, const struct generation_member *member);
    void (*start_failed)(struct generation *generation, const char *why, int64_t started);
    /* Reaped; its slot is free when this returns. */
    void (*ended)(struct generation *generation, const struct generation_member *member,
                  const struct slot_view *view);
};

/* One of a worker's two output streams. */
struct generation_stream {
    struct generation_member *member;
    const char *name;
    struct output_capture capture;
};

/* A slot and the worker in it. */
struct generation_member {
    struct generation *generation;
    unsigned slot;
    enum exit_cause_ask asked; /* why it was asked to go: the first reason, or a limit */
    bool told;          /* it was sent the signal to go; a black box may be waited for before */
    int64_t grace_ends; /* ms: killed then, unless it is only superfluous; with `asked` */
    struct worker worker;
    struct generation_stream output, error;
    struct deadline_seen *slow; /* one a thread: what the slow log has of it; NULL = nothing */
    ev_timer limit;             /* the owner's; stopped when the worker ends */
    uint64_t limit_at;          /* ns: when it fires, 0 = not */
    bool touched;               /* in the list of those that changed */
    struct generation_member *next_touched;
};

struct generation {
    struct config *config; /* held: config_keep */
    struct config *born;   /* held: the one that `spec` was made of */
    const struct config_pool *pool;
    unsigned number;          /* of the pool's generations, from 1 */
    struct generation *older; /* the owner's list */
    struct ev_loop *loop;
    const struct generation_events *events;
    void *owner;
    struct scoreboard scoreboard;
    struct launch_spec spec;
    struct access_log *access; /* NULL: no access log */
    int doorbell_fd, null_fd;
    int handoff[2];                    /* in and out: connections that workers give each other */
    struct generation_member *members; /* one a slot */
    unsigned size;                     /* members */
    unsigned live;                     /* members with a process */
    unsigned asked;                    /* of these, asked to go */
    unsigned counts[WORKER_STATE_COUNT];
    struct generation_member *touched; /* a list */
};

/* Makes everything but workers. `config` is held, `pool` belongs to it; the listening socket stays
 * its owner's. `before`: the pool's last generation, whose workers can give theirs connections
 * and ring the same doorbell, NULL = none.
 * Returns NULL with a sentence. */
struct generation *generation_open(struct ev_loop *loop, struct config *config,
                                   const struct config_pool *pool, const struct generation *before,
                                   int listen_fd, const struct generation_events *events,
                                   void *owner, char *error, size_t size);

/* What another program in this process's place has left of a generation (see upgrade_state.h). */
struct generation_heir {
    unsigned number;
    int listen_fd;
    struct scoreboard scoreboard; /* descriptors and layout */
    int doorbell_fd, handoff[2];
    struct access_log *access;
    bool starts; /* it shall start workers, too */
};

/* Takes it over, without its workers. `config` is held, `pool` belongs to it. Returns NULL with a
 * sentence. */
struct generation *generation_adopt(struct ev_loop *loop, struct config *config,
                                    const struct config_pool *pool,
                                    const struct generation_heir *heir,
                                    const struct generation_events *events, void *owner,
                                    char *error, size_t size);

/* A line that a worker had begun to write. */
struct generation_line {
    int fd; /* the pipe's read end, -1 = none */
    char *begun;
    size_t size;
    bool inside; /* a piece of it is in the log already */
};

struct generation_member_heir {
    unsigned slot;
    enum exit_cause_ask asked;
    bool told;
    int64_t grace_ends;
    struct worker_heir worker;
    struct generation_line output, error;
};

/* Takes over one of its workers. Returns 0, or -1 with a sentence: there is none. */
int generation_adopt_member(struct generation *generation,
                            const struct generation_member_heir *heir, char *error, size_t size);

/* Frees it; no worker may live. A pointer to NULL is fine. */
void generation_close(struct generation **generation);

/* How many workers it has room for: pm.max_children and post_response.max_children together. */
unsigned generation_size_for(const struct config_pool *pool);

/* Takes over a configuration that differs only in what applies to living workers. */
void generation_apply(struct generation *generation, struct config *config,
                      const struct config_pool *pool);

/* Starts one worker, or tells start_failed. False if it failed, or no slot is free. */
bool generation_spawn(struct generation *generation);

/* Asks a worker to go: by its stop signal, a black box as soon as it seems to wait for a request.
 * After `patience_ms` it is killed, but for one that is only superfluous and busy. Asking again
 * can only make it sooner. */
void generation_ask(struct generation_member *member, enum exit_cause_ask why, int64_t patience_ms);

/* TERM, and KILL after `patience_ms`: for a worker that shall not end its work first. */
void generation_end(struct generation_member *member, enum exit_cause_ask why, int64_t patience_ms);

void generation_kill(struct generation_member *member, enum exit_cause_ask why);

/* Puts it on the list of those that changed: for an owner that wants to look at it again. */
void generation_touch(struct generation_member *member);

/* The members whose worker moved from state to state or was asked to go since the last call, each
 * once, linked by next_touched until it is touched again. NULL = none. */
struct generation_member *generation_take_touched(struct generation *generation);

/* The process of the worker that its application runs in: a wrapper may stay in front of it. */
pid_t generation_program_pid(const struct generation_member *member);

/* Has this worker a process that was not asked to go? */
bool generation_member_stays(const struct generation_member *member);

#endif
