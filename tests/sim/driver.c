/* driver.c: see sim.h: the life of a set of pools, drawn from one seed.
 *
 * Bursts of connections, reloads with changed, added, removed and failing pools, all while workers
 * do as the swarm says. Then faults and connections stop, and the pools must come to rest; at last
 * they are stopped, and nothing may be left.
 */
#include "fpm/config/config.h"
#include "tests/sim/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <unistd.h>

enum {
    DRIVER_POOLS = 3
};

/* The configuration, as this seed has it now. */
struct driver_pool {
    bool present, bad; /* bad: its socket cannot be made */
    const char *pm;
    unsigned max, spare, post, version;
    uint64_t request_limit, post_limit; /* ms, 0 = none */
};

static struct {
    char folder[64];
    struct driver_pool pools[DRIVER_POOLS];
    uint64_t grace, hard, idle_timeout; /* ms */
    unsigned process_max;
    struct pool_set set;
    bool crashed;
    bool sweep, waits; /* a reload waits to be settled */
    uint64_t happened; /* connections, reloads, and what processes did */
} driver;

/* ---- the configuration ---- */

static struct config *driver_load(void)
{
    char text[8192], path[64];
    size_t used = (size_t)snprintf(
        text, sizeof text, "[global]\nprocess_control_timeout = %" PRIu64 "ms\nprocess.max = %u\n",
        driver.grace, driver.process_max);
    for (unsigned i = 0; i < DRIVER_POOLS; i++) {
        const struct driver_pool *pool = &driver.pools[i];
        if (!pool->present)
            continue;
        used += (size_t)snprintf(
            text + used, sizeof text - used,
            "[p%u]\n%scommand = /bin/true\nlisten = %s/%sp%u.sock\npm = %s\npm.max_children = %u\n"
            "post_response.max_children = %u\nenv[VERSION] = %u\nhard_timeout = %" PRIu64
            "ms\nrequest_terminate_timeout = %" PRIu64
            "ms\npost_response.terminate_timeout = %" PRIu64 "ms\n",
            i, geteuid() == 0 ? "user = root\n" : "", driver.folder, pool->bad ? "none/" : "", i,
            pool->pm, pool->max, pool->post, pool->version, driver.hard, pool->request_limit,
            pool->post_limit);
        if (strcmp(pool->pm, "dynamic") == 0)
            used +=
                (size_t)snprintf(text + used, sizeof text - used,
                                 "pm.min_spare_servers = 1\npm.max_spare_servers = %u\n"
                                 "pm.start_servers = 1\npm.process_idle_timeout = %" PRIu64 "ms\n",
                                 pool->spare, driver.idle_timeout);
        else if (strcmp(pool->pm, "ondemand") == 0)
            used +=
                (size_t)snprintf(text + used, sizeof text - used,
                                 "pm.process_idle_timeout = %" PRIu64 "ms\n", driver.idle_timeout);
    }
    int fd = memfd_create("sim", MFD_CLOEXEC);
    if (fd < 0 || write(fd, text, used) != (ssize_t)used)
        sim_fail("driver", "no configuration: %s", strerror(errno));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config_report report = {0};
    struct config *config = config_load(path, CONFIG_ALLOW_ROOT, &report);
    bool bad = false;
    for (unsigned i = 0; i < DRIVER_POOLS; i++)
        bad = bad || (driver.pools[i].present && driver.pools[i].bad);
    if (config == NULL && !bad)
        sim_fail("driver", "%s\n%s", report.errors.items[0], text);
    config_report_free(&report);
    close(fd);
    return config;
}

static void driver_draw_pool(struct driver_pool *pool)
{
    static const char *const kinds[] = {"static", "dynamic", "ondemand"};
    pool->present = true;
    pool->pm = kinds[sim_random(3)];
    pool->max = 1 + (unsigned)sim_random(6);
    pool->spare = 1 + (unsigned)sim_random(pool->max);
    pool->post = (unsigned)sim_random(4);
    pool->request_limit = sim_chance(30) ? sim_between(200, 5000) : 0;
    pool->post_limit = sim_chance(30) ? sim_between(200, 5000) : 0;
}

/* Each seed does some things often and others never. */
static void driver_draw(void)
{
    struct sim_swarm *swarm = &sim_swarm;
    unsigned *const percents[] = {
        &swarm->launch_fails, &swarm->exec_fails, &swarm->without_library, &swarm->hangs,
        &swarm->ignores_stop, &swarm->crashes,    &swarm->leaves,          &swarm->forks,
        &swarm->hostile,      &swarm->slow,       &swarm->finishes_early};
    static const unsigned choices[] = {0, 0, 0, 5, 20, 60};
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
        *percents[i] = choices[sim_random(sizeof choices / sizeof *choices)];
    if (sim_chance(5))
        swarm->exec_fails = 100;
    swarm->load_max = sim_between(1, sim_chance(30) ? 2 * SIM_S : 50 * SIM_MS);
    swarm->serve_max = sim_between(1, sim_chance(30) ? 3 * SIM_S : 50 * SIM_MS);
    swarm->post_max = sim_between(1, sim_chance(30) ? 5 * SIM_S : 500 * SIM_MS);
    swarm->faults = true;
    driver.grace = sim_between(100, 4000);
    driver.hard = sim_between(100, 2000);
    driver.idle_timeout = sim_between(100, 10000);
    driver.process_max = sim_chance(20) ? 1 + (unsigned)sim_random(8) : 0;
    for (unsigned i = 0; i < DRIVER_POOLS; i++) {
        driver_draw_pool(&driver.pools[i]);
        driver.pools[i].version = 0;
        driver.pools[i].present = i == 0 || sim_chance(50);
    }
}

/* ---- what happens from outside ---- */

static void driver_connect(unsigned count)
{
    const struct pool *pool = &driver.set.items[sim_random(driver.set.count)]->pool;
    bool there = !socket_is_lost(&pool->listener) && pool->listener.path != NULL;
    unsigned made = 0;
    while (there && made < count && sim_queue_connect(pool->listener.fd))
        made++;
    sim_note("%u of %u connections for pool %s", made, count, pool->name);
}

/* `all`: every pool gets new workers, as after a USR2 or many crashes. */
static void driver_reload(bool all)
{
    struct driver_pool before[DRIVER_POOLS];
    struct reload_plan plan;
    struct pool_set_outcome outcome;
    char error[1024] = "";
    memcpy(before, driver.pools, sizeof before);
    struct driver_pool *pool = &driver.pools[sim_random(DRIVER_POOLS)];
    switch (sim_random(6)) {
    case 0:
        if (pool != driver.pools)
            pool->present = !pool->present;
        break;
    case 1:
        driver_draw_pool(pool);
        break;
    case 2:
        pool->bad = true;
        pool->version++;
        break;
    default:
        pool->version++;
    }
    struct config *wanted = driver_load();
    if (wanted == NULL) {
        sim_note("reload: the file has errors");
        memcpy(driver.pools, before, sizeof before);
        return;
    }
    if (pool_set_plan(&driver.set, wanted, all ? "" : NULL, &plan) != 0)
        sim_fail("driver", "no plan");
    sim_expect.serving_queue = true;
    int result = pool_set_reload(&driver.set, wanted, &plan, &outcome, error, sizeof error);
    sim_note("reload: %s", result == 0 ? "in force" : error);
    sim_expect.serving_queue = false;
    reload_plan_free(&plan);
    config_free(&wanted);
    if (result != 0)
        memcpy(driver.pools, before, sizeof before);
    driver.waits = driver.waits || result == 0;
    driver.sweep = true;
    driver.crashed = driver.crashed && !all;
}

/* `reload --wait` returns when this says so: no worker of an older generation may be left. */
static void driver_check_wait(void)
{
    const struct pool *failed = NULL;
    if (!driver.waits || !pool_set_settled(&driver.set, &failed))
        return;
    driver.waits = false;
    sim_note("reload: done");
    for (size_t i = 0; i < driver.set.count; i++) {
        const struct pool_set_item *item = driver.set.items[i];
        for (const struct generation *old = item->pool.current->older; old != NULL;
             old = old->older)
            if (old->live > 0)
                sim_fail("C6", "the reload is done, and pool %s has %u older workers",
                         item->pool.name, old->live);
    }
}

static void driver_changed(void *context)
{
    (void)context;
    driver.sweep = true;
}

static void driver_on_crash(void *context)
{
    (void)context;
    driver.crashed = true;
}

static const struct pool_set_events driver_events = {.changed = driver_changed,
                                                     .crashed = driver_on_crash};

/* ---- one seed ---- */

/* Runs until then. The number of turns in one moment is bounded: nothing spins. */
static void driver_advance(uint64_t until)
{
    uint64_t moment = sim_now;
    unsigned turns = 0;
    while (sim_turn(until)) {
        driver.happened += sim_was_process();
        if (sim_now != moment)
            turns = 0;
        moment = sim_now;
        if (++turns > 20000) {
            sim_note_last();
            sim_fail("C8", "the loop spins");
        }
        sim_check();
        if (driver.sweep) {
            driver.sweep = false;
            pool_set_sweep(&driver.set);
            sim_check();
        }
        driver_check_wait();
    }
}

static unsigned driver_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count;
}

static bool driver_waits_anywhere(void)
{
    for (size_t i = 0; i < driver.set.count; i++)
        if (sim_queue_waiting(driver.set.items[i]->pool.listener.fd) > 0)
            return true;
    return false;
}

/* Faults and connections have stopped: the pools come to rest, and rest costs nothing. */
static void driver_rest(void)
{
    sim_note("faults and connections stop");
    sim_swarm.faults = false;
    sim_swarm.slow = 0;
    for (size_t i = 0; i < sim_process_end; i++) {
        struct sim_process *process = &sim_processes[i];
        process->ignores_stop = process->hostile = false;
        if (process->hangs && process->phase == SIM_LOADING)
            process->next_at = sim_now + 1;
        process->hangs = false;
    }
    /* The longest back-off, the limits, and the grace period. */
    driver_advance(sim_now + 150 * SIM_S);
    for (size_t i = 0; i < driver.set.count; i++) {
        const struct pool_set_item *item = driver.set.items[i];
        if (item->removed)
            sim_fail("C6", "pool %s was removed and has %u workers", item->pool.name,
                     pool_live(&item->pool));
    }
    uint64_t turns = sim_totals.turns;
    driver_advance(sim_now + 10 * SIM_S);
    for (size_t i = 0; driver.waits && i < driver.set.count; i++) {
        const struct pool *pool = &driver.set.items[i]->pool;
        /* Where starts have failed, the client was told so. */
        if (!pool->older_retired || (!pool_ready(pool) && *pool->failure == '\0') ||
            pool->current->older != NULL)
            sim_fail("C6",
                     "a reload is never done: pool %s, %u of %u started, older workers %s, %s",
                     pool->name, pool->started, pool->first,
                     pool->older_retired ? "retired" : "kept", pool->failure);
    }
    sim_check_rest();
    if (!driver_waits_anywhere() && sim_totals.turns - turns > 10 * 10 * DRIVER_POOLS)
        sim_fail("C8", "%" PRIu64 " wake-ups in 10 s of rest", sim_totals.turns - turns);
}

static void driver_stop(void)
{
    static const enum pool_stop ways[] = {POOL_STOP_GRACEFUL, POOL_STOP_NOW, POOL_STOP_KILL};
    size_t way = sim_random(3);
    sim_note("stop %zu", way);
    sim_expect.killing = ways[way] == POOL_STOP_KILL;
    sim_expect.hurried = ways[way] == POOL_STOP_NOW;
    sim_expect.serving_queue = true;
    pool_set_stop(&driver.set, ways[way]);
    sim_expect.serving_queue = false;
    uint64_t until = sim_now + (driver.grace + 20000) * SIM_MS;
    if (sim_chance(30)) { /* TERM after QUIT, KILL after TERM */
        driver_advance(sim_now + sim_random(2 * SIM_S));
        way = MAX(way, sim_random(3));
        sim_note("stop %zu", way);
        sim_expect.killing = ways[way] == POOL_STOP_KILL;
        sim_expect.hurried = ways[way] == POOL_STOP_NOW;
        pool_set_stop(&driver.set, ways[way]);
    }
    while (pool_set_live(&driver.set) > 0 && sim_now < until)
        driver_advance(MIN(until, sim_now + 100 * SIM_MS));
    driver_advance(sim_now + SIM_MS); /* what the manager never watched is reaped */
    if (pool_set_live(&driver.set) > 0)
        sim_fail("C6", "%u workers are left long after a stop", pool_set_live(&driver.set));
}

/* C8: what the manager does is in proportion to what happens, and to the time. */
static void driver_check_work(uint64_t callbacks)
{
    uint64_t seconds = (sim_now - 1000 * SIM_S) / SIM_S;
    uint64_t bound = 2000 + 20 * driver.happened + 60 * DRIVER_POOLS * seconds;
    if (callbacks > bound)
        sim_fail("C8", "%" PRIu64 " turns for %" PRIu64 " events in %" PRIu64 " s", callbacks,
                 driver.happened, seconds);
}

/* SIM_DROP=",3,7," leaves out what happens from outside in these steps (tests/sim/shrink). */
static bool driver_is_dropped(unsigned step)
{
    const char *dropped = getenv("SIM_DROP");
    char number[16];
    snprintf(number, sizeof number, ",%u,", step);
    return dropped != NULL && strstr(dropped, number) != NULL;
}

void sim_run(uint64_t seed)
{
    char error[1024] = "";
    sim_seed(seed);
    memset(&driver, 0, sizeof driver);
    snprintf(driver.folder, sizeof driver.folder, "%s", sim_folder);
    driver_draw();
    sim_expect = (struct sim_expect){.grace = (int64_t)driver.grace, .hard = (int64_t)driver.hard};
    unsigned descriptors = driver_descriptors();
    struct mallinfo2 heap = mallinfo2();
    uint64_t callbacks = sim_totals.callbacks;
    struct config *config = driver_load();
    if (pool_set_open(&driver.set, sim_loop(), config, &driver_events, NULL, error, sizeof error) !=
        0)
        sim_fail("driver", "%s", error);
    config_free(&config);
    sim_check_reset(&driver.set);
    pool_set_start(&driver.set);

    unsigned reloads = sim_chance(40) ? 0 : (unsigned)sim_random(30);
    unsigned upgrades = sim_chance(60) ? 0 : (unsigned)sim_random(20);
    unsigned steps = 2 + (unsigned)sim_random(sim_chance(60) ? 8 : sim_chance(10) ? 200 : 40);
    for (unsigned i = 0; i < steps; i++) {
        driver_advance(sim_now + sim_random(sim_chance(10) ? 5 * SIM_S : 200 * SIM_MS));
        sim_note("step %u", i);
        if (driver_is_dropped(i))
            continue;
        if (sim_chance(upgrades)) {
            sim_note("upgrade");
            bool faults = sim_swarm.faults;
            sim_swarm.faults = false;
            sim_upgrade(&driver.set, &driver_events);
            sim_swarm.faults = faults;
            sim_check();
        }
        if (sim_chance(reloads) || (driver.crashed && sim_chance(10)))
            driver_reload(driver.crashed || sim_chance(20));
        else
            driver_connect(1 + (unsigned)sim_random(sim_chance(10) ? 40 : 3));
    }
    if (sim_chance(70))
        driver_rest();
    driver_stop();
    pool_set_close(&driver.set);
    sim_processes_reset();
    sim_loop_reset();
    if (driver_descriptors() != descriptors)
        sim_fail("C9", "%u descriptors at the beginning, %u at the end", descriptors,
                 driver_descriptors());
    if (sim_totals.seeds > 0 && mallinfo2().uordblks > heap.uordblks)
        sim_fail("C9", "%zu bytes of memory are left", mallinfo2().uordblks - heap.uordblks);
    driver_check_work(sim_totals.callbacks - callbacks);
    sim_totals.seeds++;
}
