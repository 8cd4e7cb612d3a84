/* slot_view.h: one worker's slot as somebody else sees it: copied, added up, and never trusted.
 *
 * Nothing behind a struct slot_view came unchecked from shared memory, but its strings may hold any
 * byte and are made harmless by whoever shows them. Decides nothing. For every reader of a
 * scoreboard: the manager's scoreboard.c, and status.c.
 */
#ifndef OT_SLOT_VIEW_H
#define OT_SLOT_VIEW_H

#include "sapi-shim/contract.h"

#include <stdbool.h>

/* A worker process as its slot tells: sums over its threads, and the thread that is up to
 * something. */
struct slot_view {
    bool attached;          /* a library of our contract version writes here */
    uint32_t other_version; /* version of a library that speaks another contract, else 0 */
    unsigned threads;
    unsigned busy; /* threads with a request */
    unsigned kept; /* idle kept connections */
    struct ot_counts counts;
    struct ot_record lead; /* the busy thread that began first, else the first thread */
};

/* Threads that use their records, 0 if nobody we understand writes here. */
unsigned slot_view_threads(const struct ot_slot *slot, uint32_t *other_version);

/* What the slot says now. Records that keep changing are left out. */
void slot_view_look(const struct ot_slot *slot, struct slot_view *view);

/* The same, but that what it counts is added to `counts`; view->counts stays as it is. */
void slot_view_look_and_add(const struct ot_slot *slot, struct slot_view *view,
                            struct ot_counts *counts);

/* As slot_view_look, of a worker that is dead: nothing is left out. */
void slot_view_look_dead(const struct ot_slot *slot, struct slot_view *view);

/* One thread's record, by number from 0 on. False if there is no such thread, or it keeps changing.
 */
bool slot_view_thread(const struct ot_slot *slot, unsigned thread, struct ot_record *out);

/* What counts as a thread's state: behind the end of its request it shows that request's last state
 * until it waits again, and is not in work after a response then. */
enum ot_state slot_view_state(const struct ot_record *record);

/* The state's name for people: "idle", "running", ...; "unknown" out of range. */
const char *slot_view_state_name(unsigned state);

/* Is a thread in this state occupied with a request? */
bool slot_view_state_busy(unsigned state);

#endif
