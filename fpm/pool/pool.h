/* pool.h: one pool through all reloads: its socket, its generations of workers, what it has done.
 *
 * New workers start in the current generation; older ones are emptied once the current one serves.
 * Counts and looks, and does what it is told: how many workers there shall be is supervisor's to
 * decide. News goes up by callbacks. Called by supervisor and master; status reads it.
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

/* How workers are made to go, from gentle to not. The order counts: a stop never becomes gentler.
 */
enum pool_stop {
    POOL_STOP_NONE,
    POOL_STOP_GRACEFUL, /* after their request and the work behind it */
    POOL_STOP_NOW,      /* TERM: at their next chance */
    POOL_STOP_KILL,
};

struct pool;

struct pool_events {
    void (*changed)(struct pool *pool); /* a worker started, failed or ended */
    void (*crashed)(struct pool *pool); /* by SIGSEGV or SIGBUS, before `changed` */
};

/* What happened since the pool was opened. */
struct pool_totals {
    uint64_t
        spawned;   /* starts, also those that failed: less all that ended, the workers there are */
    uint64_t died; /* unasked, and not because they had served their share */
    uint64_t start_failures;
    uint64_t ended[EXIT_CAUSE_COUNT];
    uint64_t exits[OT_STATUSES];      /* by exit status, of programs that ran */
    uint64_t signals[OT_SIGNALS_MAX]; /* by the signal they died of */
    uint64_t over_budget;             /* times that post_response.max_children was exceeded */
    uint64_t at_max;                  /* times that connections waited with all workers busy */
    uint64_t slow;                    /* entries of the slow log */
    struct ot_counts gone;            /* of workers that are gone */
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

struct pool {
    char *name;
    struct ev_loop *loop;
    const struct pool_events *events;
    void *owner;
    struct socket_listener listener;
    struct socket_listener former; /* of before a reload, until the older workers are gone */
    bool passed_on;                /* another pool has the listener, too */
    struct generation *current;
    struct generation *older; /* a list, the youngest first */
    unsigned number;          /* of the current generation */
    bool handed_over;         /* the older ones were asked to go */
    unsigned first;           /* workers the current generation shall start with */
    unsigned started;  /* programs of it that ran, up to `first`; as many: the pool is ready */
    unsigned failed;   /* starts of it that failed or were put off, up to `first` */
    char failure[512]; /* why the last start failed, "" = it did not */
    unsigned cut_off;  /* workers killed because process_control_timeout was over, all in all */
    enum pool_stop stop;
    struct backoff backoff;
    uint64_t served_at_failure; /* requests of the pool when the last failure was noted */
    struct pool_totals totals;
    struct pool_seen seen;
    int64_t opened; /* ms, clock.h */
    time_t opened_time;
    struct log_episode alien; /* workers with a library of another contract version */
    struct slowlog *slowlog;  /* by the settings in force; NULL = none */
};

/* What a start or a reload asks of a pool. */
struct pool_request {
    struct config *config;
    const struct config_pool *settings;    /* of `config` */
    bool replace;                          /* a new generation of workers */
    bool listen;                           /* another socket */
    const struct socket_listener *inherit; /* with `listen`: one of ours that is there already */
};

/* Makes socket, scoreboard and the rest; starts nobody. Of the wish, `config` is held, `settings`
 * belongs to it, and `inherit` may give the socket. Returns 0, or an exit status (sysexits.h) with
 * a sentence: EX_CONFIG where `listen` is what failed, which the sentence then names, EX_SOFTWARE
 * for all else. */
int pool_open(struct pool *pool, struct ev_loop *loop, const struct pool_request *wish,
              const struct pool_events *events, void *owner, char *error, size_t size);

/* A pool without socket and generations, for upgrade_state to fill in. `name` is the pool's then.
 */
void pool_adopt(struct pool *pool, struct ev_loop *loop, char *name,
                const struct pool_events *events, void *owner);

/* Takes over a generation: the first is the current one, each further one is older than those
 * before. Returns it, or NULL with a sentence. */
struct generation *pool_adopt_generation(struct pool *pool, struct config *config,
                                         const struct config_pool *settings,
                                         const struct generation_saved *heir, char *error,
                                         size_t size);

/* Frees everything. The pool has to be empty. */
void pool_close(struct pool *pool);

/* The settings in force. */
const struct config_pool *pool_settings(const struct pool *pool);

/* Whose the pool's sockets are and how `listen` listens. Returns 0, or -1 with a sentence. */
int pool_socket_spec(const struct config_pool *settings, struct socket_spec *spec, char *error,
                     size_t size);

/* ---- reload, in two steps, of which the first can fail without a trace ---- */

/* What a reload has made ready for one pool. */
struct pool_prepared {
    struct generation *generation;   /* NULL: the present one goes on with the new settings */
    struct socket_listener listener; /* none: the present one stays */
    bool shared;                     /* the listener is another pool's so far */
    struct slowlog *slowlog;
};

/* Makes what the new settings need. Returns as pool_open. */
int pool_prepare(struct pool *pool, const struct pool_request *wish, struct pool_prepared *change,
                 char *error, size_t size);
void pool_abandon(struct pool_prepared *change);

/* Puts it in force: cannot fail. The older generation goes when the new one serves. */
void pool_commit(struct pool *pool, const struct pool_request *wish, struct pool_prepared *change);

/* The socket goes to another pool: its file and its queue are that one's. */
void pool_disown_socket(struct pool *pool);

/* The pool gives its socket up for good: one that somebody else made is kept for a pool that wants
 * it later. */
void pool_return_socket(struct pool *pool);

/* Does the current generation serve, so that older ones can go? Asks them to, the first time. */
bool pool_hand_over(struct pool *pool, unsigned accepting);

/* process.max allows no more: the generation begins with so many workers, if not with fewer. Tells
 * `changed` where that is news. */
void pool_limit_first(struct pool *pool, unsigned count);

/* Frees generations that are empty. Not from within a callback of this pool. */
void pool_sweep(struct pool *pool);

/* ---- workers ---- */

/* Milliseconds from `now` (clock_ms()) until the back-off allows a start; 0 = at once. Who decides
 * by it more than once asks for the same moment: between two, the end would pass unseen. */
int64_t pool_start_delay(const struct pool *pool, int64_t now);

/* Starts so many workers of the current generation, or fewer where one fails. */
void pool_spawn(struct pool *pool, unsigned count, const char *reason);

/* Asks so many idle workers of the current generation to go, the longest idle first. */
void pool_retire(struct pool *pool, unsigned count, const char *reason);

/* Shall workers that leave give their idle connections to others: those of the current generation,
 * those of older ones? Somebody has to be there to take them. */
void pool_allow_handoff(struct pool *pool, bool current, bool older);

/* Makes all workers go; a later call may only be harsher. The pool is empty when pool_live is 0.
 * Nobody can connect any more, unless the socket is somebody else's, too; who waits in the queue is
 * served by workers that go gracefully. */
void pool_stop(struct pool *pool, enum pool_stop how);

/* Processes of all generations. */
unsigned pool_live(const struct pool *pool);

/* Processes of the current generation that were not asked to go: what process.max counts. */
unsigned pool_in_service(const struct pool *pool);

/* Have all first workers started their program? */
bool pool_ready(const struct pool *pool);

/* Does every start fail, so that nobody serves? `failure` says why. `accepting`: workers of the
 * current generation that do. */
bool pool_failing(const struct pool *pool, unsigned accepting);

/* Is it known of every first worker whether it could be started? */
bool pool_settled(const struct pool *pool);

#endif
