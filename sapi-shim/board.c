/* board.c: see board.h. */
#include "sapi-shim/board.h"
#include "sapi-shim/access.h"
#include "sapi-shim/answer.h"
#include "sapi-shim/clock.h"
#include "sapi-shim/handoff.h"
#include "sapi-shim/note.h"
#include "sapi-shim/slot.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The defaults of overtime.ini(5), for workers of a plain spawner. */
static const struct ot_settings board_defaults = {
    .ignore_user_abort = 0,
    .abort_detection = OT_ABORT_CHECKPOINT,
    .drop_dead_on_arrival = 0,
    .bailout = OT_BAILOUT_AUTO,
    .max_execution_time = 30000,
    .max_execution_cpu_time = 0,
    .hard_timeout = 2000,
    .post_response_time_limit = -1,
    .shutdown_functions_time_limit = 2000,
    .request_header_timeout = 5000,
    .keepalive_timeout = 60000,
    .keepalive_max = 64,
    .limit_params_size = 1024 * 1024,
    .max_requests = 0,
    .dumpable = 1,
};

static const struct ot_board *board; /* read-only; NULL with no manager */
static struct ot_slot *board_slot;   /* our own; NULL with no manager and after fork */
static struct ot_settings board_own_settings;
static int board_doorbell = -1;
static pid_t board_pid; /* whose slot it is: a child may be made without a word to us */
static _Atomic uint64_t board_taken; /* bit i: records[i] belongs to a thread */
static _Thread_local struct ot_record *board_mine;
static _Thread_local int board_index = -1;
static _Thread_local struct ot_record *board_private; /* where a thread has none of the slot's */

const struct ot_settings *board_settings(void)
{
    return board != NULL ? &board_own_settings : &board_defaults;
}

const char *board_pool(void)
{
    return board != NULL ? board->pool : "-";
}

/* On the heap, as what is thread-local is to stay small: see the Makefile. */
static struct ot_record *board_without_slot(void)
{
    static struct ot_record nobodys; /* written by all that found no memory, read by none */
    if (board_private == NULL)
        board_private = calloc(1, sizeof *board_private);
    return board_private != NULL ? board_private : &nobodys;
}

/* Threads come and go, so the lowest free record is taken; `threads` says how far to look. */
static struct ot_record *board_claim(void)
{
    if (board_slot == NULL)
        return board_without_slot();
    uint64_t taken = atomic_load(&board_taken);
    int lowest = 0;
    do {
        if (taken == UINT64_MAX)
            return board_without_slot();
        lowest = __builtin_ctzll(~taken);
    } while (!atomic_compare_exchange_weak(&board_taken, &taken, taken | 1ull << lowest));
    uint32_t count = (uint32_t)lowest + 1;
    uint32_t threads = atomic_load(&board_slot->threads);
    while (threads < count &&
           !atomic_compare_exchange_weak(&board_slot->threads, &threads, count)) {
    }
    board_index = lowest;
    struct ot_record *record = &board_slot->records[lowest];
    slot_begin(record);
    record->tid = (uint32_t)gettid();
    slot_end(record);
    return record;
}

struct ot_record *board_record(void)
{
    if (board_mine == NULL)
        board_mine = board_claim();
    return board_mine;
}

int board_number(const struct ot_record *record)
{
    const struct ot_slot *slot = board_slot;
    if (slot == NULL || record < slot->records || record >= slot->records + OT_THREADS_MAX)
        return -1;
    return (int)(record - slot->records);
}

bool board_heirs(void)
{
    return board != NULL && atomic_load_explicit(&board->heirs, memory_order_relaxed) != 0;
}

bool board_siblings(void)
{
    return board_heirs() && board->facts.max_children > 1;
}

bool board_forsaken(void)
{
    return board != NULL && atomic_load_explicit(&board->forsaken, memory_order_relaxed) != 0;
}

void board_ring(uint32_t occasion)
{
    if (board == NULL || board_doorbell < 0)
        return;
    /* Either we see what is wanted, or the manager that has just asked sees the new state. */
    atomic_thread_fence(memory_order_seq_cst);
    if ((atomic_load_explicit(&board->want, memory_order_relaxed) & occasion) == 0)
        return;
    uint64_t one = 1;
    ssize_t n = write(board_doorbell, &one, sizeof one);
    (void)n; /* full means that it rings already */
}

void board_state(enum ot_state state)
{
    struct ot_record *record = board_record();
    uint32_t before = record->state;
    if (before == (uint32_t)state)
        return;
    slot_begin(record);
    record->state = state;
    record->state_since = clock_now();
    slot_end(record);
    board_ring(OT_WANT_LEAVE(before) | OT_WANT_ENTER(state));
}

void board_leaving(enum ot_exit_reason reason)
{
    uint32_t unsaid = OT_EXIT_UNSAID;
    struct ot_slot *slot = board_slot;
    if (slot != NULL && getpid() == board_pid)
        (void)__atomic_compare_exchange_n(&slot->exit_reason, &unsaid, (uint32_t)reason, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

void board_kept(unsigned count)
{
    if (board_slot != NULL)
        __atomic_store_n(&board_slot->records[0].kept, count, __ATOMIC_RELAXED);
}

void board_thread_end(void)
{
    if (board_index >= 0) {
        board_state(OT_STATE_EXITING);
        atomic_fetch_and(&board_taken, ~(1ull << board_index));
    }
    board_index = -1;
    board_mine = NULL;
    free(board_private);
    board_private = NULL;
}

/* In a forked child: the slot stays the parent's, so write to a private record from now on; and the
 * parent's siblings are not ours. */
static void board_after_fork(void)
{
    board_slot = NULL;
    board_index = -1;
    board_mine = NULL;
    if (board_doorbell >= 0)
        (void)close(board_doorbell);
    board_doorbell = -1;
    handoff_after_fork();
    answer_after_fork();
    access_after_fork();
}

/* Reads "VERSION SLOT". */
static bool board_treaty(const char *text, unsigned *version, unsigned *slot)
{
    char junk = 0;
    return sscanf(text, "%u %u%c", version, slot, &junk) == 2;
}

static bool board_fits(const struct ot_board *b, size_t size, unsigned slot)
{
    return b->magic == OT_BOARD_MAGIC && b->version == OT_TREATY_VERSION &&
           b->slot_stride >= sizeof(struct ot_slot) && slot < b->slot_count &&
           b->settings_size == sizeof(struct ot_settings) && b->slots_offset >= sizeof *b &&
           (size - b->slots_offset) / b->slot_stride >= b->slot_count;
}

static const struct ot_board *board_map(unsigned slot, struct ot_slot **own, size_t *length)
{
    struct stat st;
    if (fstat(OT_FD_BOARD, &st) < 0 || (size_t)st.st_size < sizeof(struct ot_board))
        return NULL;
    size_t size = (size_t)st.st_size;
    const struct ot_board *b = mmap(NULL, size, PROT_READ, MAP_SHARED, OT_FD_BOARD, 0);
    if (b == MAP_FAILED)
        return NULL;
    void *mine = MAP_FAILED;
    if (board_fits(b, size, slot))
        mine = mmap(NULL, sizeof(struct ot_slot), PROT_READ | PROT_WRITE, MAP_SHARED, OT_FD_SLOT,
                    (off_t)b->slots_offset + (off_t)slot * b->slot_stride);
    if (mine == MAP_FAILED) {
        (void)munmap((void *)(uintptr_t)b, size);
        return NULL;
    }
    *own = mine;
    *length = size;
    return b;
}

static void board_attach(unsigned slot)
{
    struct ot_slot *own = NULL;
    size_t size = 0;
    board = board_map(slot, &own, &size);
    if (board == NULL) {
        note("the scoreboard handed over by the manager cannot be used (%s); running without it",
             errno != 0 ? strerror(errno) : "wrong layout");
        return;
    }
    board_own_settings = board->settings;
    answer_from(&(struct answer_board){board, size}, 1, OT_FD_LISTEN, false);
    if (board_own_settings.dumpable == 0)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    own->version = OT_TREATY_VERSION;
    board_pid = getpid();
    own->pid = (int32_t)board_pid;
    board_slot = own;
    board_doorbell = fcntl(OT_FD_DOORBELL, F_DUPFD_CLOEXEC, OT_FD_FIRST_FREE);
    atomic_store(&own->threads, 1); /* the first record is there, whichever thread takes it */
    atomic_store(&own->magic, OT_SLOT_MAGIC);
}

/* Children of the application must get neither the library nor the treaty: takes our own file out
 * of LD_PRELOAD. */
static void board_hide_preload(void)
{
    Dl_info self;
    const char *list = getenv("LD_PRELOAD");
    if (list == NULL || dladdr((const void *)&board_defaults, &self) == 0 || self.dli_fname == NULL)
        return;
    const char *slash = strrchr(self.dli_fname, '/');
    const char *name = slash != NULL ? slash + 1 : self.dli_fname;
    char *copy = strdup(list);
    char *kept = calloc(1, strlen(list) + 1);
    char *rest = NULL;
    bool found = false;
    if (copy == NULL || kept == NULL) {
        free(copy);
        free(kept);
        return;
    }
    size_t at = 0;
    for (char *entry = strtok_r(copy, ": ", &rest); entry != NULL;
         entry = strtok_r(NULL, ": ", &rest)) {
        const char *base = strrchr(entry, '/');
        if (strcmp(base != NULL ? base + 1 : entry, name) == 0) {
            found = true;
            continue;
        }
        size_t length = strlen(entry);
        if (at > 0)
            kept[at++] = ':';
        memcpy(kept + at, entry, length);
        at += length;
    }
    if (found)
        (void)(at > 0 ? setenv("LD_PRELOAD", kept, 1) : unsetenv("LD_PRELOAD"));
    free(copy);
    free(kept);
}

void board_open(void)
{
    unsigned version = 0;
    unsigned slot = 0;
    const char *treaty = getenv(OT_TREATY_ENV);
    board_hide_preload();
    if (treaty == NULL)
        return;
    errno = 0;
    if (!board_treaty(treaty, &version, &slot) || version != OT_TREATY_VERSION)
        note("the manager speaks treaty version \"%s\", this library version %u: running without "
             "status and policies of the pool; install matching versions",
             treaty, OT_TREATY_VERSION);
    else
        board_attach(slot);
    /* Now, as an application may fork before it accepts, and the slot has one writer. */
    if (board_slot != NULL && pthread_atfork(NULL, NULL, board_after_fork) != 0)
        note("out of memory while starting: a forked child may write into the slot");
    (void)unsetenv(OT_TREATY_ENV);
    (void)close(OT_FD_BOARD);
    (void)close(OT_FD_SLOT);
    (void)close(OT_FD_DOORBELL);
    handoff_attach();
    access_attach(board_slot != NULL ? board : NULL, board_slot, slot);
}
