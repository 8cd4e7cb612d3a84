/* test_worker_monitor.c: the workers of a pool counted by state, as the slots change. */
#include "fpm/pool/worker_monitor.h"

#include <criterion/criterion.h>

static struct worker_monitor_tally tally;

static void setup(void)
{
    cr_assert(worker_monitor_tally_open(&tally, 3) == 0);
}

static void teardown(void)
{
    worker_monitor_tally_close(&tally);
}

TestSuite(worker_monitor, .init = setup, .fini = teardown);

static unsigned total(void)
{
    unsigned sum = 0;
    for (int state = 0; state < WORKER_MONITOR_STATES; state++)
        sum += tally.counts[state];
    return sum;
}

static enum worker_monitor_state set(unsigned slot, enum worker_monitor_state state)
{
    return worker_monitor_tally_set(&tally, slot, state);
}

Test(worker_monitor, begins_with_empty_slots)
{
    cr_expect(tally.counts[WORKER_MONITOR_NONE] == 3 && total() == 3);
    worker_monitor_tally_close(&tally);
    cr_expect(tally.states == NULL && total() == 0);
}

Test(worker_monitor, counts_each_slot_once)
{
    cr_expect(set(1, WORKER_MONITOR_STARTING) == WORKER_MONITOR_NONE);
    cr_expect(set(1, WORKER_MONITOR_IDLE) == WORKER_MONITOR_STARTING);
    cr_expect(set(1, WORKER_MONITOR_IDLE) == WORKER_MONITOR_IDLE, "set twice, counted once");
    cr_expect(set(2, WORKER_MONITOR_UNATTACHED_UNKNOWN) == WORKER_MONITOR_NONE);
    cr_expect(tally.counts[WORKER_MONITOR_IDLE] == 1);
    cr_expect(tally.counts[WORKER_MONITOR_UNATTACHED_UNKNOWN] == 1);
    cr_expect(tally.counts[WORKER_MONITOR_NONE] == 1 && total() == 3);
    cr_expect(set(1, WORKER_MONITOR_NONE) == WORKER_MONITOR_IDLE);
    cr_expect(tally.counts[WORKER_MONITOR_NONE] == 2 && total() == 3);
}

Test(worker_monitor, opening_again_forgets)
{
    (void)set(0, WORKER_MONITOR_POST);
    cr_assert(worker_monitor_tally_open(&tally, 4) == 0);
    cr_expect(tally.counts[WORKER_MONITOR_POST] == 0 && tally.counts[WORKER_MONITOR_NONE] == 4);
}

Test(worker_monitor, ignores_a_slot_out_of_range)
{
    cr_expect(set(3, WORKER_MONITOR_IDLE) == WORKER_MONITOR_NONE);
    cr_expect(tally.counts[WORKER_MONITOR_IDLE] == 0 && total() == 3);
}
