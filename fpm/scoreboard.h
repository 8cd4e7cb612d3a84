/* scoreboard.h: one pool's shared memory: made, handed out slot by slot, and read with distrust.
 *
 * The manager alone assigns and releases slots. What a worker wrote is copied and clamped here;
 * nothing behind a scoreboard_view came unchecked from shared memory, but its strings may hold any
 * byte and are made printable by whoever shows them. Called by pool.
 */
#ifndef FPM_SCOREBOARD_H
#define FPM_SCOREBOARD_H

#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>

struct scoreboard {
    int fd;      /* for writing: handed to workers as OT_FD_SLOT */
    int read_fd; /* read-only: OT_FD_BOARD */
    struct ot_board *board;
    size_t size;       /* bytes mapped */
    size_t offset;     /* of slot 0; the copies on the board are for the workers, */
    size_t stride;     /* from slot to slot; and one that means harm may write there */
    unsigned count;    /* slots */
    unsigned *free;    /* stack of free slots */
    unsigned free_top; /* how many are free, <= count */
};

/* A worker process as its slot tells: sums over its threads, and the thread that is up to
 * something. */
struct scoreboard_view {
    bool attached;  /* a library of our treaty version writes here */
    uint32_t alien; /* version of a library that speaks another treaty, else 0 */
    unsigned threads;
    unsigned busy; /* threads with a request */
    uint64_t requests;
    uint64_t finished;
    uint64_t aborted;
    uint64_t timed_out;
    uint64_t dropped;
    uint64_t discarded;
    uint64_t shutdown_run;
    uint64_t shutdown_late;
    uint64_t shutdown_lost;
    struct ot_record lead; /* the busy thread that began first, else the first thread */
};

/* Makes the shared memory. Returns 0, or -1 with a sentence. */
int scoreboard_create(struct scoreboard *scoreboard, const char *pool, unsigned slots,
                      const struct ot_settings *settings, char *error, size_t size);
void scoreboard_destroy(struct scoreboard *scoreboard);

/* A free slot, emptied; -1 if all are taken. */
int scoreboard_assign(struct scoreboard *scoreboard);
void scoreboard_release(struct scoreboard *scoreboard, unsigned slot);

/* Copies what the slot says now. Records that keep changing are left out. */
void scoreboard_look(const struct scoreboard *scoreboard, unsigned slot,
                     struct scoreboard_view *view);

/* What one of the worker's threads does, by number from 0 on. False if there is no such thread, or
 * it keeps changing. */
bool scoreboard_thread(const struct scoreboard *scoreboard, unsigned slot, unsigned thread,
                       struct ot_record *out);

/* Requests begun by the worker in this slot; cheap. */
uint64_t scoreboard_requests(const struct scoreboard *scoreboard, unsigned slot);

/* The state's name for people: "idle", "running", ...; "unknown" out of range. */
const char *scoreboard_state_name(unsigned state);

/* Is a thread in this state occupied with a request? */
bool scoreboard_state_busy(unsigned state);

#endif
