/* scoreboard.h: one pool's shared memory: made, handed out slot by slot, and read with distrust.
 *
 * The manager alone assigns and releases slots. What a worker wrote is copied and clamped
 * (slot_view.h); decisions about many workers take a glance. Called by generation and pool.
 */
#ifndef FPM_SCOREBOARD_H
#define FPM_SCOREBOARD_H

#include "sapi-shim/contract.h"
#include "sapi-shim/scoreboard/slot_view.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct scoreboard {
    int fd;      /* for writing: handed to workers as OT_FD_SLOT */
    int read_fd; /* read-only: OT_FD_BOARD */
    struct ot_board *board;
    size_t size;               /* bytes mapped */
    size_t offset;             /* of slot 0; the copies on the board are for the workers, */
    size_t stride;             /* from slot to slot; and one that means harm may write there */
    size_t members_at;         /* offset of the members on the board */
    unsigned count;            /* slots */
    bool foreign;              /* laid out by a manager of another contract version */
    unsigned *free;            /* stack of free slots */
    unsigned free_top;         /* how many are free, <= count */
    struct ot_member *members; /* one a slot; the board has a copy, */
    unsigned stale, stale_end; /* but not yet of these: from, and up to without */
};

/* What a worker process is up to, as a whole: a thread that waits is worth more than one that
 * serves. */
enum scoreboard_phase {
    SCOREBOARD_UNATTACHED,    /* no library of our contract version writes here */
    SCOREBOARD_STARTING,      /* does not accept yet */
    SCOREBOARD_IDLE,          /* takes connections */
    SCOREBOARD_SERVING,       /* every thread is busy, one at least with an open response */
    SCOREBOARD_POST_RESPONSE, /* every busy thread works on after its response */
    SCOREBOARD_LEAVING,       /* accepts no more */
    SCOREBOARD_PHASES
};

/* Stamps of CLOCK_MONOTONIC in ns as the worker wrote them, 0 = none. */
struct scoreboard_glance {
    enum scoreboard_phase phase;
    bool changing;           /* a thread's record never stood still: the phase is a guess */
    uint64_t idle_since;     /* the thread that became idle last; with SCOREBOARD_IDLE */
    uint64_t running_since;  /* oldest request whose response is open */
    uint64_t finished_since; /* oldest finished response behind which work goes on */
};

/* Makes the shared memory. Returns 0, or -1 with a sentence. */
int scoreboard_create(struct scoreboard *scoreboard, const char *pool, unsigned slots,
                      const struct ot_settings *settings, char *error, size_t size);

/* Takes over shared memory that another program in this process's place has made, laid out as
 * `from` says: its descriptors, offset, stride, count. The descriptors are the scoreboard's then.
 * Returns 0, or -1 with a sentence. */
int scoreboard_restore(struct scoreboard *scoreboard, const struct scoreboard *from, char *error,
                       size_t size);

/* Marks a slot as taken by a worker that lives. False if it is no free slot. */
bool scoreboard_claim(struct scoreboard *scoreboard, unsigned slot);

void scoreboard_destroy(struct scoreboard *scoreboard);

/* A free slot, emptied; -1 if all are taken. */
int scoreboard_assign(struct scoreboard *scoreboard);
void scoreboard_release(struct scoreboard *scoreboard, unsigned slot);

/* Looks what a worker is up to, for decisions about many. */
struct scoreboard_glance scoreboard_glance(const struct scoreboard *scoreboard, unsigned slot);

/* What a thread's record adds to a glance: since when its response is open, or work goes on behind
 * it; 0 = neither. */
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

/* Copies what the slot says now. Records that keep changing are left out. */
void scoreboard_view(const struct scoreboard *scoreboard, unsigned slot, struct slot_view *view);

/* What one thread does, by number from 0 on. False if there is no such thread, or it keeps
 * changing. */
bool scoreboard_thread(const struct scoreboard *scoreboard, unsigned slot, unsigned thread,
                       struct ot_record *out);

/* scoreboard_view for a worker that is dead: nothing is left out. */
void scoreboard_view_dead(const struct scoreboard *scoreboard, unsigned slot,
                          struct slot_view *view);

/* What one thread of a dead worker did when it died, by number from 0 on. False if there is no such
 * thread. */
bool scoreboard_thread_dead(const struct scoreboard *scoreboard, unsigned slot, unsigned thread,
                            struct ot_record *out);

/* The worker's process number as it sees itself, which a wrapper or a namespace may make another
 * than ours. */
int32_t scoreboard_pid(const struct scoreboard *scoreboard, unsigned slot);

/* The process that runs the application, of a worker that the manager started as `pid`: a wrapper
 * may stay in front of it. What the worker says is believed within its process group. */
pid_t scoreboard_program_pid(const struct scoreboard *scoreboard, unsigned slot, pid_t pid);

/* Lines of the access log that found no room, of which the worker has not told. */
uint32_t scoreboard_lost_lines(const struct scoreboard *scoreboard, unsigned slot);

/* Requests begun by the worker in this slot; cheap. */
uint64_t scoreboard_requests(const struct scoreboard *scoreboard, unsigned slot);

/* Notes which process is in a slot, and when it was started (ms, clock.h). */
void scoreboard_set_process(struct scoreboard *scoreboard, unsigned slot, enum ot_process process,
                            pid_t pid, int64_t started);

/* Publishes what only the manager knows, for those who show the status: facts and processes. */
void scoreboard_publish(struct scoreboard *scoreboard, const struct ot_pool_stats *facts);

#endif
