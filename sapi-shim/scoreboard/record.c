/* record.c: see record.h. */
#include "sapi-shim/scoreboard/record.h"

#include "sapi-shim/contract.h"

#include <stddef.h>
#include <string.h>

enum {
    RECORD_TRIES = 64
};

/* Every block begins with its change counter. */
_Static_assert(offsetof(struct ot_record, change) == 0 &&
                   offsetof(struct ot_pool_stats, change) == 0,
               "a block begins with its change counter");

void record_begin(_Atomic uint32_t *change)
{
    /* In one instruction: a signal handler of the same thread may make a change in between. */
    (void)atomic_fetch_add_explicit(change, 1, memory_order_relaxed);
    /* No store of the change may be seen before the odd number is. */
    atomic_thread_fence(memory_order_release);
}

void record_end(_Atomic uint32_t *change)
{
    (void)atomic_fetch_add_explicit(change, 1, memory_order_release);
}

bool record_read(const void *from, void *to, size_t size)
{
    const _Atomic uint32_t *change = from;
    for (int i = 0; i < RECORD_TRIES; i++) {
        uint32_t before = atomic_load_explicit(change, memory_order_acquire);
        if (before & 1)
            continue;
        memcpy(to, from, size);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(change, memory_order_relaxed) == before)
            return true;
    }
    return false;
}

/* A worker can write anything into its record, so every copy is clamped before it is used. */
static void record_clamp_state(struct ot_record *record)
{
    if (record->state >= OT_STATE_COUNT)
        record->state = OT_STATE_STARTING;
    record->status &= OT_BIT_ABORTED | OT_BIT_TIMEOUT;
}

static void record_clamp(struct ot_record *record)
{
    record_clamp_state(record);
    record->method[sizeof record->method - 1] = '\0';
    record->uri[sizeof record->uri - 1] = '\0';
    record->label[sizeof record->label - 1] = '\0';
    record->remote[sizeof record->remote - 1] = '\0';
    record->user[sizeof record->user - 1] = '\0';
}

bool record_copy(const struct ot_record *from, struct ot_record *to)
{
    if (!record_read(from, to, offsetof(struct ot_record, reserved)))
        return false;
    record_clamp(to);
    return true;
}

bool record_peek(const struct ot_record *from, struct ot_record *to)
{
    if (!record_read(from, to, offsetof(struct ot_record, logged)))
        return false;
    record_clamp_state(to);
    return true;
}

void record_copy_dead(const struct ot_record *from, struct ot_record *to)
{
    memcpy(to, from, sizeof *to);
    record_clamp(to);
}

/* Puts OT_CUT at the end of a field that has no room for all of its text, after a whole character.
 * Stray bytes are no character, so at most three bytes more are dropped. */
static void record_mark_cut(char *field, size_t size)
{
    size_t mark = sizeof OT_CUT - 1;
    if (size <= mark)
        return;
    size_t keep = size - 1 - mark;
    for (int i = 0; i < 3 && keep > 0 && ((unsigned char)field[keep] & 0xc0) == 0x80; i++)
        keep--;
    memcpy(field + keep, OT_CUT, mark + 1);
}

void record_text(char *field, size_t size, const char *text)
{
    size_t used = 0;
    /* Most texts are so short that calls of the C library cost more. */
    for (; text != NULL && used < size - 1 && text[used] != '\0'; used++)
        field[used] = text[used];
    field[used] = '\0';
    if (text != NULL && text[used] != '\0')
        record_mark_cut(field, size);
}
