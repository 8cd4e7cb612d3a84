/* worker_slot.h: the worker's side of the scoreboard.
 *
 * Reads the pool's settings when the library is loaded, attaches to the manager's scoreboard when
 * the process serves, and gives each thread its own record. Without a manager, or a slot, every
 * thread writes to a private record; without a manager the settings are the documented defaults. So
 * callers need not know the difference. Decides nothing.
 */
#ifndef OT_WORKER_SLOT_H
#define OT_WORKER_SLOT_H

#include "sapi-shim/scoreboard/inheritance.h"

#include <stdbool.h>

/* Finds what the manager has handed over, and changes nothing of it. Called once, before
 * application code. */
void worker_slot_load(void);

/* The process is about to serve: takes over what worker_slot_load has found, so that children of
 * the application get nothing of it, and claims the slot; `own` is NULL if another living process
 * has it. The board and the slot stay mapped for the life of the process. Called once. NULL without
 * a manager. */
const struct inheritance *worker_slot_attach(void);

/* In a forked child: the slot stays the parent's; the child writes to private records. */
void worker_slot_after_fork(void);

/* The pool's policies; constant for the life of the process. */
const struct ot_settings *worker_slot_settings(void);

/* The pool's name, "-" without a manager. */
const char *worker_slot_pool(void);

/* The calling thread's record; never NULL. Change it between record_begin and record_end only. */
struct ot_record *worker_slot_record(void);

/* The record's number in the slot of this process; -1 for a private record. */
int worker_slot_number(const struct ot_record *record);

/* Must a worker that exits give its idle connections to its siblings? */
bool worker_slot_siblings_take_over(void);

/* Are there other workers of the pool that take over connections? */
bool worker_slot_siblings(void);

/* How many connections the pool takes at once, each with a request: those that are served and those
 * that may wait in the listen queue. 0 = unknown, without a manager. */
unsigned worker_slot_capacity(void);

/* Does another worker of this generation hold fewer than `max` idle kept connections? A hint, as
 * all of them change at any time. */
enum worker_slot_room {
    WORKER_SLOT_ROOM_NONE,
    WORKER_SLOT_ROOM_LATER, /* such a worker is busy or starting */
    WORKER_SLOT_ROOM_NOW,   /* such a worker waits for requests */
    WORKER_SLOT_ROOM_HERE   /* this worker does; never returned */
};
enum worker_slot_room worker_slot_room_elsewhere(uint64_t max);

/* Does this generation have another worker that has not been asked to stop? */
bool worker_slot_has_siblings(void);

/* Has the manager asked this process to stop? One load. */
bool worker_slot_asked_to_stop(void);

/* Must a worker that exits serve the listen queue first, as no other worker will? */
bool worker_slot_last_drain(void);

enum worker_slot_manager {
    WORKER_SLOT_MANAGED,
    WORKER_SLOT_MANAGER_STOPPED,
    WORKER_SLOT_MANAGER_GONE
};

/* Is there a manager that would replace this worker? MANAGED where that is unknown. Looks into
 * /proc, so it is not for every request. Thread-safe. */
enum worker_slot_manager worker_slot_manager(void);

/* Rings the manager's doorbell if notify_mask has any of these OT_NOTIFY_ bits. */
void worker_slot_ring(uint32_t occasion);

/* Changes the state of the calling thread's record, and rings. */
void worker_slot_state(enum ot_state state);

/* Sets the reason for which the process exits, if none is set. Does nothing in a forked child.
 * Thread-safe and async-signal-safe. */
void worker_slot_set_exit_reason(enum ot_exit_reason reason);

/* Publishes how many idle kept connections the process holds. */
void worker_slot_kept(unsigned count);

/* The calling thread ends: another thread may take its record. */
void worker_slot_thread_end(void);

#endif
