/* test_record_interleavings.c: all interleavings of a writer and a reader of one block.
 *
 * record.c is compiled into this test with hooks: each atomic step, and each word that is stored or
 * copied, gives the turn back to the explorer, which tries every order of the steps. That a torn
 * copy would be found is shown by three planted faults.
 */
#include "sapi-shim/contract.h"

#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

static uint32_t explorer_add(_Atomic uint32_t *change, memory_order order);
static uint32_t explorer_load(const _Atomic uint32_t *change, memory_order order);
static void explorer_copy(void *to, const void *from, size_t size);

#undef atomic_fetch_add_explicit
#undef atomic_load_explicit
#undef memcpy
#define atomic_fetch_add_explicit(change, one, order) explorer_add(change, order)
#define atomic_load_explicit(change, order)           explorer_load(change, order)
#define memcpy(to, from, size)                        explorer_copy(to, from, size)
#include "sapi-shim/scoreboard/record.c"
#undef memcpy

#include <criterion/criterion.h>

enum {
    WORDS = 2,
    CHANGES = 2,
    STEPS_MAX = 256
};

struct block {
    _Atomic uint32_t change;
    volatile uint32_t words[WORDS]; /* agree between two changes */
};

enum actor {
    WRITER,
    READER,
    ACTORS
};

enum planted {
    NOTHING,
    NO_ODD_MARK,    /* record_begin does nothing */
    NO_SECOND_LOOK, /* the reader does not compare the counter after its copy */
    LATE_STORE      /* the writer stores once more after record_end */
};

static struct {
    enum planted planted;
    struct block block;
    ucontext_t scheduler, context[ACTORS];
    char stacks[ACTORS][65536];
    bool done[ACTORS];
    bool running; /* an actor has the turn; hooks outside of a run give no turn back */
    enum actor turn;
    bool spins; /* the reader saw an odd number: nothing changes until the writer moves */
    uint32_t last_look;
    struct block copy;
    bool copied;
    /* The order that is tried: the choice at each step. */
    unsigned char choice[STEPS_MAX];
    bool other[STEPS_MAX]; /* the other actor could have moved as well, and was not tried yet */
    unsigned depth;
} explorer;

static void explorer_yield(void)
{
    if (explorer.running)
        swapcontext(&explorer.context[explorer.turn], &explorer.scheduler);
}

static uint32_t explorer_add(_Atomic uint32_t *change, memory_order order)
{
    explorer_yield();
    if (explorer.planted == NO_ODD_MARK) /* the counter goes on by two at the end */
        return order == memory_order_release ? atomic_fetch_add(change, 2) : *change;
    return atomic_fetch_add(change, 1);
}

static uint32_t explorer_load(const _Atomic uint32_t *change, memory_order order)
{
    explorer_yield();
    if (order == memory_order_relaxed && explorer.planted == NO_SECOND_LOOK)
        return explorer.last_look;
    explorer.last_look = *change;
    explorer.spins = explorer.running && (explorer.last_look & 1);
    return explorer.last_look;
}

static void explorer_copy(void *to, const void *from, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof(uint32_t)) {
        size_t left = size - at < sizeof(uint32_t) ? size - at : sizeof(uint32_t);
        if (at > 0) /* the copy of the counter itself is not looked at */
            explorer_yield();
        memmove((char *)to + at, (const char *)from + at, left);
    }
}

static void explorer_write(void)
{
    for (uint32_t value = 1; value <= CHANGES; value++) {
        record_begin(&explorer.block.change);
        for (int i = 0; i < WORDS - (explorer.planted == LATE_STORE); i++) {
            explorer_yield();
            explorer.block.words[i] = value;
        }
        record_end(&explorer.block.change);
        if (explorer.planted == LATE_STORE) {
            explorer_yield();
            explorer.block.words[WORDS - 1] = value;
        }
    }
}

static void explorer_act(void)
{
    if (explorer.turn == WRITER)
        explorer_write();
    else
        explorer.copied = record_read(&explorer.block, &explorer.copy, sizeof explorer.copy);
    explorer.done[explorer.turn] = true;
}

/* May it move? A reader that waits for an even number would only look again. */
static bool explorer_can_move(enum actor actor)
{
    return !explorer.done[actor] && !(actor == READER && explorer.spins);
}

static void explorer_move(enum actor actor)
{
    if (actor == WRITER)
        explorer.spins = false;
    explorer.turn = actor;
    explorer.running = true;
    swapcontext(&explorer.scheduler, &explorer.context[actor]);
    explorer.running = false;
}

/* One run: repeats the first `known` choices, then lets the writer go first. */
static void explorer_run(unsigned known)
{
    explorer.block = (struct block){0};
    explorer.spins = explorer.copied = false;
    /* getcontext may return twice, for all that the compiler knows. */
    for (volatile int i = 0; i < ACTORS; i++) {
        explorer.done[i] = false;
        getcontext(&explorer.context[i]);
        explorer.context[i].uc_link = &explorer.scheduler;
        explorer.context[i].uc_stack.ss_sp = explorer.stacks[i];
        explorer.context[i].uc_stack.ss_size = sizeof explorer.stacks[i];
        makecontext(&explorer.context[i], explorer_act, 0);
    }
    explorer.depth = 0;
    while (!explorer.done[READER] || !explorer.done[WRITER]) {
        cr_assert_lt(explorer.depth, STEPS_MAX);
        unsigned step = explorer.depth++;
        if (step >= known) {
            explorer.other[step] = explorer_can_move(WRITER) && explorer_can_move(READER);
            explorer.choice[step] = explorer_can_move(WRITER) ? WRITER : READER;
        }
        explorer_move(explorer.choice[step]);
    }
}

/* Tries all orders. Returns how many gave a torn copy, and in *runs how many there are. */
static unsigned long explorer_search(enum planted planted, unsigned long *runs)
{
    unsigned long torn = 0;
    unsigned known = 0;
    explorer.planted = planted;
    for (*runs = 0;; ++*runs) {
        explorer_run(known);
        for (int i = 1; i < WORDS && explorer.copied; i++)
            if (explorer.copy.words[i] != explorer.copy.words[0]) {
                torn++;
                break;
            }
        if (planted == NOTHING && !explorer.copied)
            cr_assert_fail("the reader gave up although the writer ended");
        /* The last step at which the other actor was not tried. */
        for (known = explorer.depth; known > 0 && !explorer.other[known - 1];)
            known--;
        if (known == 0)
            return torn;
        explorer.other[known - 1] = false;
        explorer.choice[known - 1] = READER;
    }
}

Test(interleavings, no_order_gives_a_torn_copy)
{
    unsigned long runs = 0;
    cr_expect_eq(explorer_search(NOTHING, &runs), 0);
    cr_log_info("%lu orders", runs);
    cr_expect_gt(runs, 1000, "%lu orders: is there a yield at each step?", runs);
}

Test(interleavings, planted_faults_are_found)
{
    for (enum planted planted = NO_ODD_MARK; planted <= LATE_STORE; planted++) {
        unsigned long runs = 0;
        unsigned long torn = explorer_search(planted, &runs);
        cr_expect_gt(torn, 0, "fault %d: none of %lu orders is torn", (int)planted, runs);
        cr_log_info("fault %d: %lu of %lu orders", (int)planted, torn, runs);
    }
}
