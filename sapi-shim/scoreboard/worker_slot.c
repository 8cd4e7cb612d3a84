/* worker_slot.c: see worker_slot.h. */
#include "sapi-shim/scoreboard/worker_slot.h"

#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"
#include "sapi-shim/util/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The defaults of overtime.ini(5), for workers of a plain spawner: the texts of settings.def as
 * numbers in the units of struct ot_settings. */
#define WORKER_SLOT_(number)           number
#define WORKER_SLOT_s(number)          ((number)*1000)
#define WORKER_SLOT_M(number)          ((number)*1024 * 1024)
#define WORKER_SLOT_no(number)         0
#define WORKER_SLOT_auto(number)       OT_BAILOUT_AUTO
#define WORKER_SLOT_checkpoint(number) OT_ABORT_CHECKPOINT
static const struct ot_settings worker_slot_defaults = {
#define SETTING(field, number, unit) .field = WORKER_SLOT_##unit(number),
#include "sapi-shim/settings.def"
    .dumpable = 1,
};

static const struct ot_board *worker_slot_board; /* read-only; NULL without a manager */
static struct ot_slot *worker_slot_own;          /* NULL: it does not belong to this process */
static struct inheritance worker_slot_inherited;
static struct ot_settings worker_slot_own_settings;
static int worker_slot_doorbell = -1;
static pid_t worker_slot_pid;                   /* of the process that the slot belongs to */
static const _Atomic int32_t *worker_slot_stop; /* in its member; NULL without a slot */
static _Atomic uint64_t worker_slot_taken;      /* bit i: records[i] belongs to a thread */
static _Thread_local struct ot_record *worker_slot_thread_record;
static _Thread_local int worker_slot_index = -1;
/* The record of a thread that has none in the slot. */
static _Thread_local struct ot_record *worker_slot_private_record;

const struct ot_settings *worker_slot_settings(void)
{
    return worker_slot_board != NULL ? &worker_slot_own_settings : &worker_slot_defaults;
}

const char *worker_slot_pool(void)
{
    return worker_slot_board != NULL ? worker_slot_board->pool : "-";
}

/* On the heap, as thread-local storage must stay small: see the Makefile. */
static struct ot_record *worker_slot_without_slot(void)
{
    static struct ot_record shared; /* for threads without memory; never read */
    if (worker_slot_private_record == NULL)
        worker_slot_private_record = calloc(1, sizeof *worker_slot_private_record);
    return worker_slot_private_record != NULL ? worker_slot_private_record : &shared;
}

/* Takes the lowest free record, as threads end and begin; `threads` is one more than the highest
 * record in use so far. */
static struct ot_record *worker_slot_claim(void)
{
    if (worker_slot_own == NULL)
        return worker_slot_without_slot();
    uint64_t taken = atomic_load(&worker_slot_taken);
    int lowest = 0;
    do {
        if (taken == UINT64_MAX)
            return worker_slot_without_slot();
        lowest = __builtin_ctzll(~taken);
    } while (!atomic_compare_exchange_weak(&worker_slot_taken, &taken, taken | 1ull << lowest));
    uint32_t count = (uint32_t)lowest + 1;
    uint32_t threads = atomic_load(&worker_slot_own->threads);
    while (threads < count &&
           !atomic_compare_exchange_weak(&worker_slot_own->threads, &threads, count)) {
    }
    worker_slot_index = lowest;
    struct ot_record *record = &worker_slot_own->records[lowest];
    record_begin(&record->change);
    record->tid = (uint32_t)gettid();
    record_end(&record->change);
    return record;
}

struct ot_record *worker_slot_record(void)
{
    if (worker_slot_thread_record == NULL)
        worker_slot_thread_record = worker_slot_claim();
    return worker_slot_thread_record;
}

int worker_slot_number(const struct ot_record *record)
{
    const struct ot_slot *slot = worker_slot_own;
    if (slot == NULL || record < slot->records || record >= slot->records + OT_THREADS_MAX)
        return -1;
    return (int)(record - slot->records);
}

bool worker_slot_siblings_take_over(void)
{
    return worker_slot_board != NULL &&
           atomic_load_explicit(&worker_slot_board->siblings_take_over, memory_order_relaxed) != 0;
}

bool worker_slot_siblings(void)
{
    return worker_slot_siblings_take_over() && worker_slot_board->stats.max_children > 1;
}

unsigned worker_slot_capacity(void)
{
    uint32_t threads = worker_slot_own != NULL ? atomic_load(&worker_slot_own->threads) : 1;
    if (worker_slot_board == NULL)
        return 0;
    const struct ot_pool_stats *stats = &worker_slot_board->stats;
    return stats->max_children * threads + stats->listen_backlog;
}

static const struct ot_member *worker_slot_member(unsigned slot)
{
    return (const struct ot_member *)(const void *)((const unsigned char *)worker_slot_board +
                                                    worker_slot_board->members_offset) +
           slot;
}

/* May the process in this slot take connections, now or soon? */
static bool worker_slot_in_service(unsigned slot)
{
    uint32_t process = __atomic_load_n(&worker_slot_member(slot)->process, __ATOMIC_RELAXED);
    return process == OT_PROCESS_STARTING || process == OT_PROCESS_RUNNING;
}

static const struct ot_slot *worker_slot_at(unsigned slot)
{
    return (const void *)((const unsigned char *)worker_slot_board +
                          worker_slot_board->slots_offset +
                          (size_t)slot * worker_slot_board->slot_stride);
}

enum worker_slot_room worker_slot_room_elsewhere(uint64_t max)
{
    enum worker_slot_room room = WORKER_SLOT_ROOM_NONE;
    if (!worker_slot_siblings_take_over())
        return room;
    for (unsigned i = 0; i < worker_slot_board->slot_count && room != WORKER_SLOT_ROOM_NOW; i++) {
        const struct ot_slot *slot = worker_slot_at(i);
        const struct ot_record *first = &slot->records[0];
        if (i == worker_slot_inherited.slot || !worker_slot_in_service(i))
            continue;
        if (atomic_load_explicit(&slot->magic, memory_order_relaxed) != OT_SLOT_MAGIC)
            room = WORKER_SLOT_ROOM_LATER; /* it starts */
        else if (__atomic_load_n(&first->kept, __ATOMIC_RELAXED) < max)
            room = __atomic_load_n(&first->state, __ATOMIC_RELAXED) == OT_STATE_IDLE
                       ? WORKER_SLOT_ROOM_NOW
                       : WORKER_SLOT_ROOM_LATER;
    }
    return room;
}

bool worker_slot_asked_to_stop(void)
{
    return worker_slot_stop != NULL &&
           atomic_load_explicit(worker_slot_stop, memory_order_relaxed) == worker_slot_pid;
}

bool worker_slot_has_siblings(void)
{
    for (unsigned i = 0; worker_slot_board != NULL && i < worker_slot_board->slot_count; i++)
        if (i != worker_slot_inherited.slot && worker_slot_in_service(i))
            return true;
    return false;
}

bool worker_slot_last_drain(void)
{
    return worker_slot_board != NULL &&
           (atomic_load_explicit(&worker_slot_board->last_drain, memory_order_relaxed) != 0 ||
            worker_slot_manager() == WORKER_SLOT_MANAGER_GONE);
}

enum worker_slot_manager worker_slot_manager(void)
{
    pid_t pid = worker_slot_board != NULL ? worker_slot_board->manager_pid : 0;
    char path[32], line[512];
    if (pid <= 0)
        return WORKER_SLOT_MANAGED;
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return WORKER_SLOT_MANAGER_GONE;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    (void)procfs_read(path, line, sizeof line);
    /* The state follows the name, which is in parentheses and may hold any character. */
    const char *name_end = strrchr(line, ')');
    char state = name_end != NULL && name_end[1] == ' ' ? name_end[2] : 'S';
    if (state == 'Z' || state == 'X')
        return WORKER_SLOT_MANAGER_GONE;
    return state == 'T' || state == 't' ? WORKER_SLOT_MANAGER_STOPPED : WORKER_SLOT_MANAGED;
}

void worker_slot_ring(uint32_t occasion)
{
    if (worker_slot_board == NULL || worker_slot_doorbell < 0)
        return;
    /* Either we see the new mask, or the manager that has just set it sees our new state. */
    atomic_thread_fence(memory_order_seq_cst);
    if ((atomic_load_explicit(&worker_slot_board->notify_mask, memory_order_relaxed) & occasion) ==
        0)
        return;
    uint64_t one = 1;
    ssize_t n = write(worker_slot_doorbell, &one, sizeof one);
    (void)n; /* fails only if the doorbell has been rung and not been read */
}

void worker_slot_state(enum ot_state state)
{
    struct ot_record *record = worker_slot_record();
    uint32_t before = record->state;
    if (before == (uint32_t)state)
        return;
    record_begin(&record->change);
    record->state = state;
    record->state_since = clock_ns();
    record_end(&record->change);
    worker_slot_ring(OT_NOTIFY_LEAVE(before) | OT_NOTIFY_ENTER(state));
}

void worker_slot_set_exit_reason(enum ot_exit_reason reason)
{
    uint32_t unsaid = OT_EXIT_NONE;
    struct ot_slot *slot = worker_slot_own;
    if (slot != NULL && getpid() == worker_slot_pid)
        (void)__atomic_compare_exchange_n(&slot->exit_reason, &unsaid, (uint32_t)reason, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

void worker_slot_kept(unsigned count)
{
    if (worker_slot_own != NULL)
        __atomic_store_n(&worker_slot_own->records[0].kept, count, __ATOMIC_RELAXED);
}

void worker_slot_thread_end(void)
{
    if (worker_slot_index >= 0) {
        worker_slot_state(OT_STATE_EXITING);
        atomic_fetch_and(&worker_slot_taken, ~(1ull << worker_slot_index));
    }
    worker_slot_index = -1;
    worker_slot_thread_record = NULL;
    free(worker_slot_private_record);
    worker_slot_private_record = NULL;
}

void worker_slot_after_fork(void)
{
    worker_slot_own = NULL;
    worker_slot_stop = NULL;
    worker_slot_index = -1;
    worker_slot_thread_record = NULL;
    if (worker_slot_doorbell >= 0)
        (void)close(worker_slot_doorbell);
    worker_slot_doorbell = -1;
}

/* ---- attaching ---- */

void worker_slot_load(void)
{
    worker_slot_inherited = inheritance_load();
    worker_slot_board = worker_slot_inherited.board;
    if (worker_slot_board != NULL)
        worker_slot_own_settings = worker_slot_board->settings;
}

/* Makes the slot this process's own, unless a process that lives has it. A process that has ended
 * but was not reaped counts as living. */
static bool worker_slot_take(struct ot_slot *slot)
{
    int32_t holder = atomic_load(&slot->pid);
    int32_t self = (int32_t)getpid();
    do {
        if (holder != 0 && holder != self && (kill(holder, 0) == 0 || errno != ESRCH))
            return false;
    } while (!atomic_compare_exchange_weak(&slot->pid, &holder, self));
    return true;
}

/* A process that has died may have left its records in the middle of a change, and in any state.
 * Their counters stay. */
static void worker_slot_tidy(struct ot_slot *slot)
{
    uint32_t threads = atomic_load(&slot->threads);
    for (uint32_t i = 0; i < threads && i < OT_THREADS_MAX; i++) {
        struct ot_record *record = &slot->records[i];
        if (record->ended_at == 0 && record->running_at != 0)
            diagnostics_write("pool %s: %s %s was cut off: its process has died",
                              worker_slot_pool(), record->method, record->uri);
        if ((atomic_load(&record->change) & 1) == 0)
            record_begin(&record->change);
        record->state = i == 0 ? OT_STATE_STARTING : OT_STATE_EXITING;
        record->ended_at = record->state_since = clock_ns();
        record->kept = 0;
        record_end(&record->change);
    }
    slot->exit_reason = OT_EXIT_NONE;
}

const struct inheritance *worker_slot_attach(void)
{
    struct inheritance *inherited = &worker_slot_inherited;
    inheritance_take(inherited);
    if (!inherited->given)
        return NULL;
    if (worker_slot_board != NULL) {
        if (worker_slot_own_settings.dumpable == 0)
            (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        if (!worker_slot_take(inherited->own)) {
            inherited->own = NULL;
        } else {
            if (inherited->intact)
                worker_slot_doorbell = fcntl(OT_FD_DOORBELL, F_DUPFD_CLOEXEC, OT_FD_FIRST_FREE);
            struct ot_slot *slot = inherited->own;
            worker_slot_tidy(slot);
            slot->version = OT_CONTRACT_VERSION;
            worker_slot_pid = getpid();
            worker_slot_stop = &worker_slot_member(inherited->slot)->stop;
            worker_slot_own = slot;
            if (atomic_load(&slot->threads) == 0)
                atomic_store(&slot->threads, 1); /* the first record, whichever thread takes it */
            atomic_store(&slot->magic, OT_SLOT_MAGIC);
        }
    }
    if (inherited->intact)
        (void)close(OT_FD_DOORBELL);
    return inherited;
}
