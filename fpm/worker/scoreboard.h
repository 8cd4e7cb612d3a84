/* scoreboard.h: the shared memory of one generation of workers: made, given out slot by slot, and
 * read without trust.
 *
 * Only the manager assigns and releases slots. What workers write is copied and clamped
 * (slot_view.h); decisions about many workers take a glance.
 */
#ifndef FPM_SCOREBOARD_H
#define FPM_SCOREBOARD_H

#include "sapi-shim/contract.h"
#include "sapi-shim/scoreboard/slot_view.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct scoreboard {
    int fd; /* for writing: the workers' OT_FD_SLOT; -1 until it is shared */
    struct ot_board *board;
    size_t size; /* bytes mapped */
    /* The layout. The board has copies for the workers, which a hostile worker may change. */
    size_t offset;     /* of slot 0 */
    size_t stride;     /* from slot to slot */
    size_t members_at; /* offset of the members on the board */
    unsigned count;    /* slots */
    bool foreign;      /* laid out by a manager of another contract version */
    unsigned *free;    /* stack of free slots */
    unsigned free_top; /* how many are free, <= count */
    /* One per slot. The board's copy of those from `stale` to below `stale_end` is out of date. */
    struct ot_member *members;
    unsigned stale, stale_end;
};

/* What a worker process does as a whole: an idle thread counts for more than a busy one. */
enum scoreboard_phase {
    SCOREBOARD_UNATTACHED,    /* no library of our contract version writes here */
    SCOREBOARD_STARTING,      /* does not accept yet */
    SCOREBOARD_IDLE,          /* takes connections */
    SCOREBOARD_SERVING,       /* every thread is busy, at least one with an open response */
    SCOREBOARD_POST_RESPONSE, /* every busy thread is in post-response work */
    SCOREBOARD_LEAVING,       /* accepts no more */
    SCOREBOARD_PHASES
};

/* Stamps of CLOCK_MONOTONIC in ns as the worker wrote them, 0 = none. */
struct scoreboard_glance {
    enum scoreboard_phase phase;
    unsigned busy;           /* threads with a request that has not ended */
    bool preloaded;          /* some program of the worker has loaded a preloaded library */
    bool changing;           /* a thread's record was never consistent: the phase is a guess */
    uint64_t idle_since;     /* the thread that became idle last; with SCOREBOARD_IDLE */
    uint64_t running_since;  /* oldest request whose response is open */
    uint64_t finished_since; /* oldest response that post-response work follows */
};

/* Makes the memory, which costs no descriptor before it is shared. Returns 0, or -1 with a
 * sentence. */
int scoreboard_create(struct scoreboard *scoreboard, const char *pool, unsigned slots,
                      const struct ot_settings *settings, char *error, size_t size);

/* Gives the memory a descriptor, before the first process that is to have it is started; `board`
 * may move. Returns 0, or -1 with errno. */
int scoreboard_share(struct scoreboard *scoreboard);

/* A new descriptor that can only read, for OT_FD_BOARD; -1 with errno. It must be shared. */
int scoreboard_read_only(const struct scoreboard *scoreboard);

/* Maps shared memory with the layout of `before`: its descriptor, offset, stride and count. The
 * descriptor belongs to the scoreboard then. Returns 0, or -1 with a sentence. */
int scoreboard_adopt(struct scoreboard *scoreboard, const struct scoreboard *before, char *error,
                     size_t size);

/* Takes a certain slot, for a worker that is there already. False if it is not free. */
bool scoreboard_claim(struct scoreboard *scoreboard, unsigned slot);

void scoreboard_destroy(struct scoreboard *scoreboard);

/* A free slot, emptied; -1 if all are taken. */
int scoreboard_assign(struct scoreboard *scoreboard);
void scoreboard_release(struct scoreboard *scoreboard, unsigned slot);

/* Reads what a worker does, for decisions about many. */
struct scoreboard_glance scoreboard_glance(const struct scoreboard *scoreboard, unsigned slot);

/* What a thread's record adds to a glance: since when its response is open, or since when its
 * post-response work goes on; 0 = neither. */
void scoreboard_since(const struct ot_record *record, uint64_t *running, uint64_t *finished);

/* The state changes that ring the doorbell from now on, OT_NOTIFY_ bits. */
void scoreboard_notify(const struct scoreboard *scoreboard, uint32_t mask);

/* Must a worker that leaves give its idle connections to its siblings? */
void scoreboard_siblings_take_over(const struct scoreboard *scoreboard, bool take_over);

/* Must workers that leave serve the listen queue first, as the pool closes its socket? */
void scoreboard_last_drain(const struct scoreboard *scoreboard, bool last);
bool scoreboard_is_last_drain(const struct scoreboard *scoreboard);

/* Why the worker in this slot left, as it says itself: enum ot_exit_reason, or anything. */
unsigned scoreboard_exit_reason(const struct scoreboard *scoreboard, unsigned slot);

/* The memory of a slot, which its worker writes: to be read by slot_view.h, or as an atomic. */
struct ot_slot *scoreboard_slot(const struct scoreboard *scoreboard, unsigned slot);

/* Copies the record of one thread of a dead worker, counted from 0. False if there is no such
 * thread. */
bool scoreboard_thread_dead(const struct scoreboard *scoreboard, unsigned slot, unsigned thread,
                            struct ot_record *out);

/* The worker's process number as it sees it; a wrapper or a namespace may make it differ from the
 * manager's. */
int32_t scoreboard_pid(const struct scoreboard *scoreboard, unsigned slot);

/* The process that runs the application, of a worker that the manager started as `pid`: a wrapper
 * may stay in front of it. What the worker says is believed within its process group and below. */
pid_t scoreboard_program_pid(const struct scoreboard *scoreboard, unsigned slot, pid_t pid);

/* Requests begun by the worker in this slot; cheap. */
uint64_t scoreboard_requests(const struct scoreboard *scoreboard, unsigned slot);

/* Writes for the worker in a slot that process `pid` must stop; 0 = none. At once, before its
 * signal is sent. */
void scoreboard_ask_to_stop(struct scoreboard *scoreboard, unsigned slot, pid_t pid);

/* Records which process is in a slot, and when it was started (ms, clock.h). */
void scoreboard_set_process(struct scoreboard *scoreboard, unsigned slot, enum ot_process process,
                            pid_t pid, int64_t started);

/* Publishes the manager's part of the status: the pool's statistics and the processes. */
void scoreboard_publish(struct scoreboard *scoreboard, const struct ot_pool_stats *stats);

#endif
