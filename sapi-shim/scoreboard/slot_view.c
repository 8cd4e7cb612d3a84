/* slot_view.c: see slot_view.h. */
#include "sapi-shim/scoreboard/slot_view.h"

#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/scoreboard/record.h"

#include <string.h>

static const struct {
    const char *name;
    bool busy;
} slot_view_states[OT_STATE_COUNT] = {
    [OT_STATE_STARTING] = {"starting", false}, [OT_STATE_IDLE] = {"idle", false},
    [OT_STATE_READING] = {"reading", true},    [OT_STATE_RUNNING] = {"running", true},
    [OT_STATE_POST] = {"post-response", true}, [OT_STATE_SHUTDOWN] = {"shutdown", true},
    [OT_STATE_EXITING] = {"exiting", false},
};

const char *slot_view_state_name(unsigned state)
{
    return state < OT_STATE_COUNT ? slot_view_states[state].name : "unknown";
}

bool slot_view_state_busy(unsigned state)
{
    return state < OT_STATE_COUNT && slot_view_states[state].busy;
}

enum ot_state slot_view_state(const struct ot_record *record)
{
    bool over = record->ended_at != 0 &&
                (record->state == OT_STATE_POST || record->state == OT_STATE_SHUTDOWN);
    return over ? OT_STATE_RUNNING : (enum ot_state)record->state;
}

unsigned slot_view_threads(const struct ot_slot *slot, uint32_t *other_version)
{
    *other_version = 0;
    if (atomic_load_explicit(&slot->magic, memory_order_acquire) != OT_SLOT_MAGIC)
        return 0;
    if (slot->version != OT_CONTRACT_VERSION) {
        *other_version = slot->version;
        return 0;
    }
    unsigned threads = atomic_load_explicit(&slot->threads, memory_order_acquire);
    return threads < 1 ? 1 : threads > OT_THREADS_MAX ? OT_THREADS_MAX : threads;
}

bool slot_view_is_starting(const struct ot_slot *slot)
{
    return atomic_load_explicit(&slot->magic, memory_order_acquire) != OT_SLOT_MAGIC &&
           (atomic_load(&slot->loaded) & OT_LOADED_LINKED) != 0;
}

/* Is `a` shown before `b`? A busy thread leads, and among these the one that began first. */
static bool slot_view_leads(const struct ot_record *a, const struct ot_record *b)
{
    bool busy_a = slot_view_state_busy(a->state), busy_b = slot_view_state_busy(b->state);
    if (busy_a != busy_b)
        return busy_a;
    return busy_a && a->accepted_at < b->accepted_at;
}

/* Does a thread wait for a connection, or has it just got one, and are there others? */
static bool slot_view_others_wait(const struct ot_slot *slot, unsigned threads)
{
    for (unsigned i = 0; i < threads && threads > 1; i++) {
        uint32_t state = *(const volatile uint32_t *)&slot->records[i].state;
        if (state == OT_STATE_IDLE || state == OT_STATE_READING)
            return true;
    }
    return false;
}

/* After the end of its request a thread shows that request's last state. If another one waits for a
 * connection, this one waits for its turn, as with an accept mutex: it is idle. */
static void slot_view_settle(struct ot_record *record, bool others_wait)
{
    if (!others_wait || record->ended_at == 0 || record->state == OT_STATE_READING ||
        !slot_view_state_busy(record->state))
        return;
    record->state = OT_STATE_IDLE;
    record->state_since = record->ended_at;
}

/* The first record is copied right into view->lead, so that only workers with several threads cost
 * a second copy. */
static void slot_view_add_up(const struct ot_slot *slot, struct slot_view *view,
                             struct ot_counts *counts, bool dead)
{
    bool first = true;
    view->threads = slot_view_threads(slot, &view->other_version);
    view->attached = view->threads > 0 || slot_view_is_starting(slot);
    view->busy = view->kept = 0;
    bool others_wait = dead ? view->threads > 1 : slot_view_others_wait(slot, view->threads);
    for (unsigned i = 0; i < view->threads; i++) {
        struct ot_record other;
        struct ot_record *record = &view->lead;
        if (!first)
            record = &other;
        if (dead)
            record_copy_dead(&slot->records[i], record);
        else if (!record_copy(&slot->records[i], record))
            continue;
        slot_view_settle(record, others_wait);
        view->busy += slot_view_state_busy(record->state);
        view->kept += i == 0 ? record->kept : 0;
        histogram_add_record(counts, record);
        if (!first && slot_view_leads(record, &view->lead))
            view->lead = *record;
        first = false;
    }
    if (first)
        memset(&view->lead, 0, sizeof view->lead);
}

void slot_view_look(const struct ot_slot *slot, struct slot_view *view)
{
    memset(&view->counts, 0, sizeof view->counts);
    slot_view_add_up(slot, view, &view->counts, false);
}

void slot_view_look_and_add(const struct ot_slot *slot, struct slot_view *view,
                            struct ot_counts *counts)
{
    slot_view_add_up(slot, view, counts, false);
}

void slot_view_look_dead(const struct ot_slot *slot, struct slot_view *view)
{
    memset(&view->counts, 0, sizeof view->counts);
    slot_view_add_up(slot, view, &view->counts, true);
}

bool slot_view_thread(const struct ot_slot *slot, unsigned thread, struct ot_record *out)
{
    uint32_t other_version = 0;
    unsigned threads = slot_view_threads(slot, &other_version);
    if (thread >= threads || !record_copy(&slot->records[thread], out))
        return false;
    slot_view_settle(out, slot_view_others_wait(slot, threads));
    return true;
}
