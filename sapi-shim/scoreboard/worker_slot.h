/* worker_slot.h: the worker's side of the scoreboard.
 *
 * Attaches to what the manager handed over, before main(), and gives each thread its own record.
 * With no manager every thread writes into a private record and the settings are the documented
 * defaults, so that no caller needs to know the difference. Decides nothing.
 */
#ifndef OT_WORKER_SLOT_H
#define OT_WORKER_SLOT_H

#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>

/* What the manager handed over, for others that read the board or write into the slot. Both stay
 * mapped for the life of the process. */
struct worker_slot_contract {
    const struct ot_board *board; /* NULL: it cannot be used, and a line has said why */
    size_t size;                  /* bytes of the board and all its slots */
    struct ot_slot *own;
    unsigned slot; /* the number of `own` */
};

/* Attaches to the scoreboard. Once, before application code runs. False with no manager. */
bool worker_slot_open(struct worker_slot_contract *contract);

/* In a forked child: the slot stays the parent's, and the child writes into private records. */
void worker_slot_after_fork(void);

/* The pool's policies; constant for the life of the process. */
const struct ot_settings *worker_slot_settings(void);

/* The pool's name, "-" with no manager. */
const char *worker_slot_pool(void);

/* The calling thread's record; never NULL. Change it between record_begin and record_end only. */
struct ot_record *worker_slot_record(void);

/* The record's number in our slot; -1 for one that the manager does not see. */
int worker_slot_number(const struct ot_record *record);

/* Must a worker that leaves give its idle connections to its siblings? */
bool worker_slot_siblings_take_over(void);

/* Are there other workers of the pool that take over connections? */
bool worker_slot_siblings(void);

/* Must a worker that leaves serve the listen queue first, as no other worker will? */
bool worker_slot_last_drain(void);

/* Rings the manager's doorbell if it asked to be told of any of these changes (OT_NOTIFY_ bits). */
void worker_slot_ring(uint32_t occasion);

/* Moves the calling thread's record to another state and rings. */
void worker_slot_state(enum ot_state state);

/* Says why the process is about to leave; the first reason stays. Nothing in a forked child.
 * Thread-safe and async-signal-safe. */
void worker_slot_set_exit_reason(enum ot_exit_reason reason);

/* Publishes how many idle kept connections the process holds. */
void worker_slot_kept(unsigned count);

/* The calling thread ends: its record may be another's. */
void worker_slot_thread_end(void);

#endif
