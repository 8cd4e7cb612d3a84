/* slot_view.h: a worker's slot as its readers see it: copied, added up, and never trusted.
 *
 * All numbers in a struct slot_view are checked. Its strings may hold any byte; callers must escape
 * them before they show them. Decides nothing.
 */
#ifndef OT_SLOT_VIEW_H
#define OT_SLOT_VIEW_H

#include "sapi-shim/contract.h"

#include <stdbool.h>

/* A worker process: sums over its threads, and the record of the thread that leads. */
struct slot_view {
    bool attached;          /* a library of our contract version uses the slot, or is linked with
                             * the program and will */
    uint32_t other_version; /* contract version of another library, else 0 */
    unsigned threads;
    unsigned busy; /* threads with a request */
    unsigned kept; /* idle kept connections */
    struct ot_counts counts;
    struct ot_record lead; /* the busy thread that began first, else the first thread */
};

/* The number of records in use, 0 if no library of our contract version uses the slot. */
unsigned slot_view_threads(const struct ot_slot *slot, uint32_t *other_version);

/* Does a program run that is linked with the library and has not attached yet? */
bool slot_view_is_starting(const struct ot_slot *slot);

/* Reads the slot. Records that keep changing are left out. */
void slot_view_look(const struct ot_slot *slot, struct slot_view *view);

/* The same, but adds the counters to `counts`; view->counts is not changed. */
void slot_view_look_and_add(const struct ot_slot *slot, struct slot_view *view,
                            struct ot_counts *counts);

/* As slot_view_look for a dead worker: no record is left out. */
void slot_view_look_dead(const struct ot_slot *slot, struct slot_view *view);

/* Copies the record of thread 0, 1, ... False if there is none, or it keeps changing. */
bool slot_view_thread(const struct ot_slot *slot, unsigned thread, struct ot_record *out);

/* The state to count a thread by. After the end of a request its record keeps the state of its
 * post-response work until it waits again; until then it counts as running. */
enum ot_state slot_view_state(const struct ot_record *record);

/* The name of the state: "idle", "running", ...; "unknown" out of range. */
const char *slot_view_state_name(unsigned state);

/* Does a thread in this state have a request? */
bool slot_view_state_busy(unsigned state);

#endif
