/* test_backoff.c: the wait after each kind of death, its doubling, and its end. */
#include "fpm/pool/backoff.h"

#include <criterion/criterion.h>
#include <signal.h>

static struct backoff_death crash(int64_t now, int64_t started)
{
    return (struct backoff_death){
        .now = now, .started = started, .attached = true, .exit_status = -1, .signal = SIGSEGV};
}

/* A worker that dies this long after the back-off let it start; returns the wait that follows. */
static int64_t crash_again(struct backoff *backoff, int64_t *now, int64_t lives)
{
    int64_t started = *now + backoff_wait(backoff, *now) + 1;
    *now = started + lives;
    struct backoff_death death = crash(*now, started);
    return backoff_note(backoff, &death, NULL);
}

Test(backoff, judges_every_kind_of_death)
{
    static const struct {
        const char *what;
        struct backoff_death death;
        enum backoff_verdict verdict;
    } cases[] = {
        {"exec failed", {.now = 1, .exec_failed = true, .exit_status = 127}, BACKOFF_FAILED},
        {"exec failed though asked to stop",
         {.exec_failed = true, .stopped = true},
         BACKOFF_FAILED},
        {"asked to stop", {.now = 5, .stopped = true, .signal = SIGKILL}, BACKOFF_RECYCLED},
        {"served, then left", {.now = 5, .attached = true, .served = 1}, BACKOFF_RECYCLED},
        {"served, then crashed",
         {.now = 5, .attached = true, .served = 1, .signal = SIGSEGV, .exit_status = -1},
         BACKOFF_RECYCLED},
        {"left at once", {.now = 5, .attached = true}, BACKOFF_FAILED},
        {"left from its accept loop",
         {.now = 5, .attached = true, .accepting = true},
         BACKOFF_FAILED},
        {"crashed at once",
         {.now = 5, .attached = true, .signal = SIGSEGV, .exit_status = -1},
         BACKOFF_FAILED},
        {"killed from outside while idle",
         {.now = 5, .attached = true, .accepting = true, .signal = SIGKILL, .exit_status = -1},
         BACKOFF_KILLED},
        {"killed from outside before it accepted",
         {.now = 5, .attached = true, .signal = SIGKILL, .exit_status = -1},
         BACKOFF_FAILED},
        {"crashed when stable",
         {.now = BACKOFF_STABLE_MS, .attached = true, .signal = SIGSEGV, .exit_status = -1},
         BACKOFF_RECYCLED},
        {"unattached left early", {.now = BACKOFF_USEFUL_MS - 1}, BACKOFF_FAILED},
        {"unattached left later", {.now = BACKOFF_USEFUL_MS}, BACKOFF_RECYCLED},
        {"unattached failed later", {.now = BACKOFF_USEFUL_MS, .exit_status = 1}, BACKOFF_FAILED},
        {"unattached killed early",
         {.now = 5, .signal = SIGKILL, .exit_status = -1},
         BACKOFF_FAILED},
        {"unattached killed later",
         {.now = BACKOFF_USEFUL_MS, .signal = SIGKILL, .exit_status = -1},
         BACKOFF_KILLED},
        {"a unattached's count is not believed", {.now = 5, .served = 9}, BACKOFF_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect(backoff_judge(&cases[i].death) == cases[i].verdict, "%s", cases[i].what);
}

Test(backoff, doubles_up_to_its_limit)
{
    cr_expect(backoff_delay(0) == 0);
    cr_expect(backoff_delay(1) == 100);
    cr_expect(backoff_delay(2) == 200);
    cr_expect(backoff_delay(10) == 51200);
    cr_expect(backoff_delay(11) == 60000);
    cr_expect(backoff_delay(4000000000u) == 60000);
}

Test(backoff, waits_longer_after_each_failure)
{
    struct backoff backoff = {0};
    int64_t now = 1000000;
    cr_expect(crash_again(&backoff, &now, 3) == 100);
    cr_expect(crash_again(&backoff, &now, 3) == 200);
    cr_expect(crash_again(&backoff, &now, 3) == 400);
    for (int i = 0; i < 20; i++)
        (void)crash_again(&backoff, &now, 3);
    cr_expect(crash_again(&backoff, &now, 3) == BACKOFF_LONGEST_MS);
}

Test(backoff, takes_workers_started_together_as_one_failure)
{
    struct backoff backoff = {0};
    struct backoff_death death = crash(1010, 1000);
    bool news;
    cr_expect(backoff_note(&backoff, &death, &news) == 100);
    cr_expect(news);
    death.now = 1050;
    cr_expect(backoff_note(&backoff, &death, &news) == 60);
    cr_expect(!news);
    death.now = 1200;
    cr_expect(backoff_note(&backoff, &death, &news) == 0);
    cr_expect(backoff.failures == 1);
}

Test(backoff, forgets_when_a_worker_served)
{
    struct backoff backoff = {0};
    int64_t now = 1000;
    (void)crash_again(&backoff, &now, 3);
    (void)crash_again(&backoff, &now, 3);
    struct backoff_death death = crash(now + 500, now + 300);
    death.served = 1;
    cr_expect(backoff_note(&backoff, &death, NULL) == 0);
    now += 500;
    cr_expect(crash_again(&backoff, &now, 3) == 100);
}

Test(backoff, begins_anew_when_siblings_served)
{
    struct backoff backoff = {0};
    int64_t now = 1000;
    for (int i = 0; i < 6; i++)
        (void)crash_again(&backoff, &now, 3);
    struct backoff_death death = crash(now + 5000, now + 4900);
    death.pool_served = true;
    cr_expect(backoff_note(&backoff, &death, NULL) == 100);
}

Test(backoff, begins_anew_after_a_quiet_time)
{
    struct backoff backoff = {0};
    int64_t now = 1000;
    for (int i = 0; i < 6; i++)
        (void)crash_again(&backoff, &now, 3);
    struct backoff_death death = crash(now, 0);
    death.now = backoff.until + BACKOFF_STABLE_MS;
    death.started = death.now - 5;
    cr_expect(backoff_note(&backoff, &death, NULL) == 100);
}

Test(backoff, a_foreign_kill_neither_counts_nor_ends_a_wait)
{
    struct backoff backoff = {0};
    int64_t now = 1000;
    (void)crash_again(&backoff, &now, 3);
    struct backoff_death death = crash(now + 10, now - 1);
    death.accepting = true;
    death.signal = SIGKILL;
    cr_expect(backoff_note(&backoff, &death, NULL) == 90);
    cr_expect(backoff.failures == 1);
}

Test(backoff, wait_runs_out)
{
    struct backoff backoff = {0};
    int64_t now = 1000;
    cr_expect(backoff_wait(&backoff, now) == 0);
    (void)crash_again(&backoff, &now, 3);
    cr_expect(backoff_wait(&backoff, now + 99) == 1);
    cr_expect(backoff_wait(&backoff, now + 100) == 0);
}

/* ---- many crashes within a short time ---- */

static struct backoff_crashes crashes;

static void forget(void)
{
    backoff_free_crashes(&crashes);
}

TestSuite(crashes, .fini = forget);

Test(crashes, never_without_a_threshold)
{
    for (int64_t at = 1; at < 100; at++) {
        cr_expect(!backoff_note_crash(&crashes, 0, 1000, at));
        cr_expect(!backoff_note_crash(&crashes, 3, 0, at));
    }
}

Test(crashes, the_last_of_so_many)
{
    cr_expect(!backoff_note_crash(&crashes, 3, 1000, 1));
    cr_expect(!backoff_note_crash(&crashes, 3, 1000, 500));
    cr_expect(backoff_note_crash(&crashes, 3, 1000, 1001));
}

Test(crashes, too_slow)
{
    for (int64_t at = 1; at < 100000; at += 501)
        cr_expect(!backoff_note_crash(&crashes, 3, 1000, at), "%lld", (long long)at);
}

Test(crashes, older_ones_slide_out)
{
    cr_expect(!backoff_note_crash(&crashes, 3, 1000, 1));
    cr_expect(!backoff_note_crash(&crashes, 3, 1000, 900));
    cr_expect(!backoff_note_crash(&crashes, 3, 1000, 1100));
    cr_expect(backoff_note_crash(&crashes, 3, 1000, 1900));
}

Test(crashes, forgotten_once_reported)
{
    for (int round = 0; round < 5; round++) {
        cr_expect(!backoff_note_crash(&crashes, 3, 1000, 10 + round));
        cr_expect(!backoff_note_crash(&crashes, 3, 1000, 10 + round));
        cr_expect(backoff_note_crash(&crashes, 3, 1000, 10 + round));
    }
}

Test(crashes, one_is_enough)
{
    cr_expect(backoff_note_crash(&crashes, 1, 1000, 1));
    cr_expect(backoff_note_crash(&crashes, 1, 1000, 2));
}

Test(crashes, another_threshold_begins_anew)
{
    cr_expect(!backoff_note_crash(&crashes, 3, 1000, 1));
    cr_expect(!backoff_note_crash(&crashes, 3, 1000, 2));
    cr_expect(!backoff_note_crash(&crashes, 2, 1000, 3));
    cr_expect(backoff_note_crash(&crashes, 2, 1000, 4));
}

/* Whatever a worker says that it has served: the number of early ends a second is what counts. */
Test(backoff, bounds_the_rate_of_early_ends)
{
    struct backoff backoff = {0};
    int64_t now = 1000000;
    unsigned starts = 0;
    for (int64_t end = now + 10000; now < end; now++) {
        for (; backoff_wait(&backoff, now) == 0; starts++) {
            struct backoff_death death = {
                .now = now, .started = now, .attached = true, .accepting = true, .served = 1000};
            (void)backoff_note(&backoff, &death, NULL);
        }
    }
    cr_expect(starts >= 10 * BACKOFF_RATE, "%u", starts);
    cr_expect(starts <= 10 * BACKOFF_RATE + BACKOFF_BURST + 1, "%u", starts);
    cr_expect(backoff.failures == 0);
    cr_expect(backoff_wait(&backoff, now + 2000) == 0);
}

Test(backoff, does_not_bound_ends_that_are_not_early)
{
    struct backoff backoff = {0};
    for (int i = 0; i < 1000; i++) {
        struct backoff_death death = {.now = 5000, .started = 5000 - BACKOFF_EARLY_MS};
        death.attached = death.accepting = true;
        death.served = 1;
        cr_expect(backoff_note(&backoff, &death, NULL) == 0);
        death.started = death.now;
        death.stopped = true;
        cr_expect(backoff_note(&backoff, &death, NULL) == 0);
    }
}
