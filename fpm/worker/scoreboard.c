/* scoreboard.c: see scoreboard.h. */
#include "fpm/worker/scoreboard.h"

#include "fpm/util/fd.h"
#include "fpm/util/invariant.h"
#include "fpm/worker/process_tree.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static size_t scoreboard_round(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* The members follow the board. */
static size_t scoreboard_members_at(void)
{
    const size_t one = sizeof(struct ot_member);
    return (sizeof(struct ot_board) + one - 1) / one * one;
}

struct ot_slot *scoreboard_slot(const struct scoreboard *scoreboard, unsigned slot)
{
    INVARIANT(slot < scoreboard->count);
    char *first = (char *)scoreboard->board + scoreboard->offset;
    return (struct ot_slot *)(first + scoreboard->stride * slot);
}

/* Nothing but the board and its members is in use before the first worker starts. The seals keep a
 * worker from truncating the memory. */
int scoreboard_share(struct scoreboard *scoreboard)
{
    if (scoreboard->fd >= 0)
        return 0;
    int fd = memfd_create(scoreboard->board->pool, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *memory = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)scoreboard->size) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        memory = mmap(NULL, scoreboard->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        fd_close(&fd);
        return -1;
    }
    memcpy(memory, scoreboard->board, scoreboard->offset);
    (void)munmap(scoreboard->board, scoreboard->size);
    scoreboard->board = memory;
    scoreboard->fd = fd;
    return 0;
}

int scoreboard_read_only(const struct scoreboard *scoreboard)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", scoreboard->fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int scoreboard_create(struct scoreboard *scoreboard, const char *pool, unsigned slots,
                      const struct ot_settings *settings, char *error, size_t size)
{
    size_t members = scoreboard_members_at();
    size_t offset = scoreboard_round(members + slots * sizeof(struct ot_member));
    size_t stride = scoreboard_round(sizeof(struct ot_slot));
    *scoreboard = (struct scoreboard){.fd = -1,
                                      .count = slots,
                                      .size = offset + stride * slots,
                                      .offset = offset,
                                      .members_at = members,
                                      .stride = stride};
    scoreboard->free = calloc(slots, sizeof *scoreboard->free);
    scoreboard->members = calloc(slots, sizeof *scoreboard->members);
    void *memory = mmap(NULL, scoreboard->size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED)
        scoreboard->board = memory;
    if (scoreboard->free == NULL || scoreboard->members == NULL || memory == MAP_FAILED) {
        snprintf(error, size, "cannot make the scoreboard: %s", strerror(errno));
        scoreboard_destroy(scoreboard);
        return -1;
    }
    for (unsigned i = 0; i < slots; i++)
        scoreboard->free[scoreboard->free_top++] = slots - 1 - i;
    struct ot_board *board = scoreboard->board;
    board->magic = OT_BOARD_MAGIC;
    board->version = OT_CONTRACT_VERSION;
    board->slot_count = slots;
    board->slot_stride = (uint32_t)stride;
    board->slots_offset = (uint32_t)offset;
    board->members_offset = (uint32_t)members;
    board->settings_size = (uint32_t)sizeof *settings;
    board->settings = *settings;
    snprintf(board->pool, sizeof board->pool, "%s", pool);
    return 0;
}

/* The board is not trusted: only its version is read, and how often slots were used, which is only
 * shown. */
int scoreboard_adopt(struct scoreboard *scoreboard, const struct scoreboard *before, char *error,
                     size_t size)
{
    struct stat status;
    unsigned count = before->count;
    *scoreboard = (struct scoreboard){.fd = before->fd,
                                      .offset = before->offset,
                                      .stride = before->stride,
                                      .members_at = scoreboard_members_at(),
                                      .count = count,
                                      .stale_end = count,
                                      .size = before->offset + before->stride * count};
    void *memory = MAP_FAILED;
    scoreboard->free = calloc(count, sizeof *scoreboard->free);
    scoreboard->members = calloc(count, sizeof *scoreboard->members);
    if (fstat(before->fd, &status) == 0 && status.st_size == (off_t)scoreboard->size)
        memory =
            mmap(NULL, scoreboard->size, PROT_READ | PROT_WRITE, MAP_SHARED, scoreboard->fd, 0);
    if (scoreboard->free == NULL || scoreboard->members == NULL || memory == MAP_FAILED) {
        snprintf(error, size, "cannot take over a scoreboard of %zu bytes", scoreboard->size);
        return -1;
    }
    scoreboard->board = memory;
    scoreboard->foreign = scoreboard->board->version != OT_CONTRACT_VERSION;
    const struct ot_member *published =
        (const void *)((const char *)memory + scoreboard->members_at);
    bool readable = !scoreboard->foreign &&
                    scoreboard->members_at + count * sizeof *published <= scoreboard->offset;
    for (unsigned i = 0; i < count; i++) {
        scoreboard->free[scoreboard->free_top++] = count - 1 - i;
        if (readable)
            scoreboard->members[i].restarts = published[i].restarts;
    }
    return 0;
}

bool scoreboard_claim(struct scoreboard *scoreboard, unsigned slot)
{
    for (unsigned i = scoreboard->free_top; i-- > 0;) {
        if (scoreboard->free[i] != slot)
            continue;
        memmove(&scoreboard->free[i], &scoreboard->free[i + 1],
                (scoreboard->free_top - i - 1) * sizeof *scoreboard->free);
        scoreboard->free_top--;
        return true;
    }
    return false;
}

void scoreboard_destroy(struct scoreboard *scoreboard)
{
    struct ot_board *board = scoreboard->board;
    if (board != NULL && !scoreboard->foreign) {
        /* Others may have the memory mapped for longer: the status worker shows no member of it any
         * more. */
        struct ot_member *members = (void *)((char *)board + scoreboard->members_at);
        record_begin(&board->stats.change);
        for (unsigned i = 0; i < scoreboard->count; i++)
            members[i].process = OT_PROCESS_NONE;
        record_end(&board->stats.change);
    }
    if (board != NULL)
        (void)munmap(board, scoreboard->size);
    fd_close(&scoreboard->fd);
    free(scoreboard->free);
    free(scoreboard->members);
    *scoreboard = (struct scoreboard){.fd = -1};
}

/* Clears only the pages that were used, which the file has as data; most never were. To give the
 * pages back instead would cost time for each worker that maps them. */
static void scoreboard_clear(const struct scoreboard *scoreboard, unsigned slot)
{
    char *board = (char *)scoreboard->board;
    off_t from = (off_t)(scoreboard->offset + scoreboard->stride * slot);
    off_t end = from + (off_t)scoreboard->stride;
    while (from < end) {
        off_t data = lseek(scoreboard->fd, from, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            return; /* the rest of the file is a hole */
        off_t hole = data < 0 ? -1 : lseek(scoreboard->fd, data, SEEK_HOLE);
        data = data < 0 ? from : data;
        hole = hole < 0 || hole > end ? end : hole;
        if (data >= end)
            return;
        memset(board + data, 0, (size_t)(hole - data));
        from = hole;
    }
}

int scoreboard_assign(struct scoreboard *scoreboard)
{
    if (scoreboard->free_top == 0)
        return -1;
    INVARIANT(scoreboard->fd >= 0 && scoreboard->free_top <= scoreboard->count);
    unsigned slot = scoreboard->free[--scoreboard->free_top];
    INVARIANT(slot < scoreboard->count && scoreboard->members[slot].process == OT_PROCESS_NONE);
    scoreboard_clear(scoreboard, slot);
    return (int)slot;
}

void scoreboard_set_process(struct scoreboard *scoreboard, unsigned slot, enum ot_process process,
                            pid_t pid, int64_t started)
{
    INVARIANT(slot < scoreboard->count && process < OT_PROCESS_COUNT);
    INVARIANT((process == OT_PROCESS_NONE) == (pid == 0));
    struct ot_member *member = &scoreboard->members[slot];
    if (member->process == OT_PROCESS_NONE && process != OT_PROCESS_NONE) {
        member->restarts += member->started_at != 0;
        atomic_store(&member->stop, 0);
        member->started_at = (uint64_t)started * CLOCK_NS_PER_MS;
        member->started_time = time(NULL) - (clock_ms() - started) / 1000;
    }
    member->process = process;
    member->pid = (int32_t)pid;
    if (scoreboard->stale == scoreboard->stale_end)
        scoreboard->stale = scoreboard->stale_end = slot;
    if (slot < scoreboard->stale)
        scoreboard->stale = slot;
    if (slot >= scoreboard->stale_end)
        scoreboard->stale_end = slot + 1;
}

void scoreboard_ask_to_stop(struct scoreboard *scoreboard, unsigned slot, pid_t pid)
{
    struct ot_member *members = (void *)((char *)scoreboard->board + scoreboard->members_at);
    if (scoreboard->foreign)
        return;
    atomic_store(&scoreboard->members[slot].stop, (int32_t)pid);
    atomic_store(&members[slot].stop, (int32_t)pid);
}

void scoreboard_publish(struct scoreboard *scoreboard, const struct ot_pool_stats *stats)
{
    struct ot_pool_stats *published = &scoreboard->board->stats;
    struct ot_member *members = (void *)((char *)scoreboard->board + scoreboard->members_at);
    const size_t counter = sizeof published->change;
    if (scoreboard->foreign)
        return;
    INVARIANT(scoreboard->stale <= scoreboard->stale_end &&
              scoreboard->stale_end <= scoreboard->count);
    record_begin(&published->change);
    memcpy((char *)published + counter, (const char *)stats + counter, sizeof *stats - counter);
    memcpy(&members[scoreboard->stale], &scoreboard->members[scoreboard->stale],
           (scoreboard->stale_end - scoreboard->stale) * sizeof *members);
    record_end(&published->change);
    scoreboard->stale = scoreboard->stale_end = 0;
}

void scoreboard_release(struct scoreboard *scoreboard, unsigned slot)
{
    INVARIANT(slot < scoreboard->count && scoreboard->free_top < scoreboard->count);
    scoreboard->free[scoreboard->free_top++] = slot;
}

bool scoreboard_thread_dead(const struct scoreboard *scoreboard, unsigned slot, unsigned thread,
                            struct ot_record *out)
{
    uint32_t other_version = 0;
    const struct ot_slot *memory = scoreboard_slot(scoreboard, slot);
    if (thread >= slot_view_threads(memory, &other_version))
        return false;
    record_copy_dead(&memory->records[thread], out);
    return true;
}

int32_t scoreboard_pid(const struct scoreboard *scoreboard, unsigned slot)
{
    return atomic_load(&scoreboard_slot(scoreboard, slot)->pid);
}

pid_t scoreboard_program_pid(const struct scoreboard *scoreboard, unsigned slot, pid_t pid)
{
    pid_t own = scoreboard_pid(scoreboard, slot);
    const struct process_tree tree = {.leader = pid, .led = true};
    if (own <= 0 || own == pid)
        return pid;
    return getpgid(own) == pid || process_tree_has(&tree, own) ? own : pid;
}

uint64_t scoreboard_requests(const struct scoreboard *scoreboard, unsigned slot)
{
    const struct ot_slot *memory = scoreboard_slot(scoreboard, slot);
    uint32_t other_version;
    unsigned threads = slot_view_threads(memory, &other_version);
    uint64_t requests = 0;
    for (unsigned i = 0; i < threads; i++)
        requests += *(const volatile uint64_t *)&memory->records[i].requests;
    return requests;
}

/* After the end of its request a thread keeps the last state of that request until it waits again;
 * it is not in post-response work then. */
static enum scoreboard_phase scoreboard_thread_phase(const struct ot_record *record)
{
    bool goes_on = record->finished_at != 0 && record->ended_at == 0;
    switch (record->state) {
    case OT_STATE_IDLE:
        return SCOREBOARD_IDLE;
    case OT_STATE_READING:
    case OT_STATE_RUNNING:
        return SCOREBOARD_SERVING;
    case OT_STATE_POST:
    case OT_STATE_SHUTDOWN:
        return goes_on ? SCOREBOARD_POST_RESPONSE : SCOREBOARD_SERVING;
    case OT_STATE_EXITING:
        return SCOREBOARD_LEAVING;
    default:
        return SCOREBOARD_STARTING;
    }
}

void scoreboard_since(const struct ot_record *record, uint64_t *running, uint64_t *finished)
{
    enum scoreboard_phase phase = scoreboard_thread_phase(record);
    *running = phase == SCOREBOARD_SERVING && record->ended_at == 0 ? record->running_at : 0;
    *finished = phase == SCOREBOARD_POST_RESPONSE ? record->finished_at : 0;
}

struct scoreboard_glance scoreboard_glance(const struct scoreboard *scoreboard, unsigned slot)
{
    /* The phase of the thread with the highest rank is the worker's. */
    static const unsigned char rank[SCOREBOARD_PHASES] = {
        [SCOREBOARD_STARTING] = 0, [SCOREBOARD_LEAVING] = 1, [SCOREBOARD_POST_RESPONSE] = 2,
        [SCOREBOARD_SERVING] = 3,  [SCOREBOARD_IDLE] = 4,
    };
    const struct ot_slot *memory = scoreboard_slot(scoreboard, slot);
    struct scoreboard_glance glance = {
        .phase = SCOREBOARD_UNATTACHED,
        .preloaded = (atomic_load(&memory->loaded) & OT_LOADED_PRELOADED) != 0,
    };
    uint32_t other_version;
    unsigned threads = slot_view_threads(memory, &other_version);
    if (threads > 0 || slot_view_is_starting(memory))
        glance.phase = SCOREBOARD_STARTING;
    for (unsigned i = 0; i < threads; i++) {
        struct ot_record record;
        enum scoreboard_phase phase =
            SCOREBOARD_SERVING; /* a record that keeps changing is a busy thread's */
        if (record_peek(&memory->records[i], &record)) {
            phase = scoreboard_thread_phase(&record);
            if (phase == SCOREBOARD_IDLE && record.state_since > glance.idle_since)
                glance.idle_since = record.state_since;
            uint64_t running, finished;
            scoreboard_since(&record, &running, &finished);
            glance.busy += record.state == OT_STATE_READING ||
                           (slot_view_state_busy(record.state) && record.ended_at == 0);
            glance.running_since = clock_earlier(glance.running_since, running);
            glance.finished_since = clock_earlier(glance.finished_since, finished);
        } else {
            glance.changing = true;
            glance.busy++;
        }
        if (rank[phase] > rank[glance.phase])
            glance.phase = phase;
    }
    return glance;
}

void scoreboard_siblings_take_over(const struct scoreboard *scoreboard, bool take_over)
{
    atomic_store_explicit(&scoreboard->board->siblings_take_over, take_over, memory_order_relaxed);
}

void scoreboard_last_drain(const struct scoreboard *scoreboard, bool last)
{
    if (!scoreboard->foreign)
        atomic_store_explicit(&scoreboard->board->last_drain, last, memory_order_seq_cst);
}

bool scoreboard_is_last_drain(const struct scoreboard *scoreboard)
{
    return !scoreboard->foreign && atomic_load(&scoreboard->board->last_drain) != 0;
}

void scoreboard_notify(const struct scoreboard *scoreboard, uint32_t mask)
{
    if (!scoreboard->foreign)
        atomic_store_explicit(&scoreboard->board->notify_mask, mask, memory_order_relaxed);
    /* A worker publishes its state and then reads this: a change that does not ring is visible to
     * all reads after the fence. */
    atomic_thread_fence(memory_order_seq_cst);
}

unsigned scoreboard_exit_reason(const struct scoreboard *scoreboard, unsigned slot)
{
    return *(const volatile uint32_t *)&scoreboard_slot(scoreboard, slot)->exit_reason;
}
