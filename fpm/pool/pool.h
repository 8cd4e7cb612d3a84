/* pool.h: one pool through all reloads: its socket, its generations of workers, its counters.
 *
 * New workers start in the current generation; older ones are stopped once the current one serves.
 * The pool counts and acts; the supervisor decides how many workers there should be. Events are
 * reported by callbacks.
 */
#ifndef FPM_POOL_H
#define FPM_POOL_H

#include "fpm/config/config.h"
#include "fpm/log/log.h"
#include "fpm/pool/backoff.h"
#include "fpm/pool/generation.h"
#include "fpm/pool/scaling.h"
#include "fpm/pool/socket.h"
#include "fpm/slow_log/slow_log.h"
#include "fpm/worker/exit_cause.h"

#include <ev.h>
#include <time.h>

/* How workers are stopped. The order counts: a stop never becomes gentler. */
enum pool_stop {
    POOL_STOP_NONE,
    POOL_STOP_GRACEFUL, /* after their request and its post-response work */
    POOL_STOP_NOW,      /* TERM: as soon as the worker can */
    POOL_STOP_KILL
};

struct pool;

enum {
    /* ms after which a worker without the library, of which nothing tells whether it accepts, is
     * taken for one that serves */
    POOL_PROOF_MS = BACKOFF_USEFUL_MS,
    POOL_RENEWAL_MS = 1000 /* ms between two tries to renew a socket that was shut down */
};

struct pool_events {
    void (*changed)(struct pool *pool); /* a worker started, failed to start or ended */
    void (*crashed)(struct pool *pool); /* by SIGSEGV or SIGBUS; called before `changed` */
};

/* What the supervisor's last pass found. */
struct pool_seen {
    struct scaling_counts counts;
    unsigned backlog;      /* connections that the listen queue takes, 0 = unknown */
    unsigned most_waiting; /* connections, the largest number seen */
    unsigned most_active;  /* workers serving or in post-response work */
    unsigned most_post;    /* workers in post-response work */
    unsigned over;         /* workers in post-response work above the budget */
};

/* A listening socket that a worker has shut down, for all that share it. */
struct pool_renewal {
    int64_t due;               /* ms: the next look at the socket, 0 = none */
    int64_t last;              /* ms: the last try to have another, 0 = never */
    struct log_episode failed; /* there can be none for now */
};

struct pool {
    char *name;
    struct ev_loop *loop;
    const struct pool_events *events;
    void *owner;
    struct socket_listener listener;
    struct socket_listener former; /* the one before a reload, until the older workers have ended */
    bool listener_shared;          /* another pool has the listener, too */
    struct pool_renewal renewal;   /* of the listener */
    /* The kernel drops packets of clients that listen.allowed_clients does not list. */
    bool filtered;
    bool filter_stays;        /* for good: workers of another pool had the socket before */
    uint32_t filter_drops;    /* packets that the socket has dropped, when it was last looked */
    int64_t filter_drop_seen; /* ms: when that grew last */
    struct log_episode filter_told;
    struct generation *current; /* the head of a list, in which `older` leads to older ones */
    unsigned number;            /* of the current generation */
    bool older_retired;         /* the older ones were asked to stop */
    bool proven;                /* a worker of the current generation served or lived for a while */
    unsigned first;             /* workers that the current generation starts with */
    unsigned started;           /* of these, workers whose program ran */
    unsigned failed;            /* of these, starts that failed or were put off */
    char failure[512];          /* why the last start failed, "" = it did not */
    unsigned cut_off;           /* workers killed at the end of process_control_timeout */
    enum pool_stop stop;
    struct backoff backoff;
    uint64_t served_at_failure; /* requests of the pool when the last failure was counted */
    /* What is counted since the pool was opened: `spawned` (starts, also failed ones) to `signals`,
     * and in `elsewhere` what ended workers had counted. The rest is filled in when it is
     * published. */
    struct ot_pool_stats stats;
    struct pool_seen seen;
    int64_t opened; /* ms, clock.h */
    time_t opened_time;
    struct log_episode short_of; /* starts fail before there is a process: a fork, descriptors */
    unsigned short_starts;       /* starts that failed in the episode */
    int64_t short_since;         /* ms */
    struct log_episode early;    /* workers that end early are replaced at a rate */
    struct log_episode foreign_library; /* workers with a library of another contract version */
    struct slow_log *slowlog;           /* by the settings in force; NULL = none */
};

/* What a start or a reload requests of a pool. */
struct pool_request {
    struct config *config;
    const struct config_pool *settings;    /* of `config` */
    bool replace;                          /* a new generation of workers */
    bool listen;                           /* another socket */
    const struct socket_listener *inherit; /* with `listen`: the socket of another pool */
};

/* Why a pool cannot be opened or prepared. */
struct pool_fault {
    int status;    /* sysexits.h: 0 = no fault, EX_CONFIG, or EX_SOFTWARE: it may pass by itself */
    int directive; /* DIRECTIVE_POOL_: the one to look at, -1 = none */
};

/* Opens socket, scoreboard and the rest; starts no worker. Holds the request's `config`, to which
 * `settings` belongs. A fault comes with a sentence. */
struct pool_fault pool_open(struct pool *pool, struct ev_loop *loop,
                            const struct pool_request *request, const struct pool_events *events,
                            void *owner, char *error, size_t size);

/* Goes on with the generations of another program: `before` is the current one, its `older` the
 * next, as for generation_adopt. All else of *pool was set by the caller. Returns 0, or -1 with a
 * sentence: the pool can only be stopped then or, without `current`, closed. */
int pool_adopt(struct pool *pool, struct ev_loop *loop, struct config *config,
               const struct config_pool *settings, const struct generation *before, bool starts,
               const struct pool_events *events, void *owner, char *error, size_t size);

/* Frees everything. No worker may live. */
void pool_close(struct pool *pool);

/* The settings in force. */
const struct config_pool *pool_settings(const struct pool *pool);

/* The owner of the pool's sockets and how `listen` listens. Returns 0, or -1 with a sentence. */
int pool_socket_spec(const struct config_pool *settings, struct socket_spec *spec, char *error,
                     size_t size);

/* ---- reload: a step that can fail without a trace, and one that cannot fail ---- */

/* What a reload has prepared for one pool. */
struct pool_prepared {
    struct generation *generation;   /* NULL: the present one continues with the new settings */
    struct socket_listener listener; /* none: the present one stays */
    bool shared;                     /* the listener is still another pool's */
    const char *socket_name;         /* by which a given socket is kept, if it is discarded */
    struct slow_log *slowlog;
};

/* Prepares what the new settings need. Returns as pool_open. */
struct pool_fault pool_prepare(struct pool *pool, const struct pool_request *request,
                               struct pool_prepared *prepared, char *error, size_t size);
void pool_discard(struct pool_prepared *prepared);

/* Puts it in force. The older generation is stopped when the new one serves. */
void pool_commit(struct pool *pool, const struct pool_request *request,
                 struct pool_prepared *prepared);

/* Applies owner, mode, backlog and allowed clients to a socket that stays, or that comes from
 * another pool; what fails is logged. */
void pool_update_socket(struct pool *pool, const struct config_pool *settings);

/* Attached workers refuse other clients than listen.allowed_clients lists by themselves, and say
 * which. While there is none, or any that is not attached, the kernel keeps other clients out, and
 * counts their packets. To be called after workers were looked at; pool_spawn does it, too. */
void pool_filter_clients(struct pool *pool);

/* The listening socket was shut down: it is looked at again, at once or POOL_RENEWAL_MS after the
 * last try, by the caller of pool_renew_socket. */
void pool_note_shut(struct pool *pool);

/* Looks at the socket when that is due. If it was shut down, a TCP socket listens again; a unix
 * socket is made anew, with a new generation of workers, as at a reload. What cannot be had is
 * logged once, and tried again. */
void pool_renew_socket(struct pool *pool);

/* The socket moves to another pool, with its file and its queue. */
void pool_disown_socket(struct pool *pool);

/* Gives the socket up for good. If another process made it, it is kept for a pool that needs it
 * later. */
void pool_return_socket(struct pool *pool);

/* Has a worker of the current generation reached its accept loop, or, without the library, lived
 * for POOL_PROOF_MS? Once it is so it stays so. */
bool pool_is_proven(struct pool *pool, int64_t now);

/* Does the current generation serve, so that older ones can stop? Stops them, the first time.
 * `accepting`: workers of the current generation that accept. */
bool pool_retire_older(struct pool *pool, unsigned accepting);

/* process.max allows no more: the generation starts with `count` workers at most. Calls `changed`
 * if that is new. */
void pool_limit_first(struct pool *pool, unsigned count);

/* Frees generations without workers. Not to be called from a callback of this pool. */
void pool_sweep(struct pool *pool);

/* ---- workers ---- */

/* Starts this many workers of the current generation, or fewer if one fails or no slot is free.
 * Returns how many starts were tried. */
unsigned pool_spawn(struct pool *pool, unsigned count, const char *reason);

/* Stops this many idle workers of the current generation, the longest idle first. */
void pool_retire(struct pool *pool, unsigned count, const char *reason);

/* May workers that stop pass their idle connections on: those of the current generation, those of
 * older ones? Other workers must be there to take them. */
void pool_allow_handoff(struct pool *pool, bool current, bool older);

/* Stops all workers; a later call can only be harsher. No client can connect any more, unless
 * another process has the socket, too. After a graceful stop the workers serve the queue first. */
void pool_stop(struct pool *pool, enum pool_stop how);

/* Processes of all generations. */
unsigned pool_live(const struct pool *pool);

/* Processes of the current generation that were not asked to stop: process.max counts these. */
unsigned pool_in_service(const struct pool *pool);

/* Have all first workers started their program? */
bool pool_ready(const struct pool *pool);

/* Is it known of every first worker whether it could be started? */
bool pool_settled(const struct pool *pool);

/* Does no worker serve, because every start fails or the socket was shut down and cannot be had
 * anew? `failure` says why. `accepting`: workers of the
 * current generation that accept. */
bool pool_failing(const struct pool *pool, unsigned accepting);

#endif
