/* check.c: see sim.h: what must hold after every event. */
#include "fpm/worker/exit_message.h"
#include "sapi-shim/util/clock.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <string.h>
#include <sys/param.h>

enum {
    CHECK_POOLS = 16,
    CHECK_TREES = 4096
};

/* What is remembered of a pool between two checks. */
struct check_pool {
    char name[OT_POOL_NAME_MAX];
    uint64_t opened;
    uint64_t spawned, ended, served;
    uint64_t starved_since; /* ns: connections wait and nothing happens; 0 = no */
};

struct sim_expect sim_expect;
static struct pool_set *check_set;
static struct check_pool check_pools[CHECK_POOLS];
static uint64_t check_messages; /* exit messages so far */
static uint64_t check_deaths_before;

enum log_level __real_exit_message_compose(const struct exit_message *message, int64_t now,
                                           char *text, size_t size);
enum log_level __wrap_exit_message_compose(const struct exit_message *message, int64_t now,
                                           char *text, size_t size);

enum log_level __wrap_exit_message_compose(const struct exit_message *message, int64_t now,
                                           char *text, size_t size)
{
    check_messages++;
    return __real_exit_message_compose(message, now, text, size);
}

void sim_check_reset(struct pool_set *pools)
{
    check_set = pools;
    check_messages = 0;
    check_deaths_before = 0;
    memset(check_pools, 0, sizeof check_pools);
}

static struct check_pool *check_find(const struct pool *pool)
{
    struct check_pool *unused = NULL;
    for (size_t i = 0; i < CHECK_POOLS; i++) {
        struct check_pool *each = &check_pools[i];
        if (each->opened == (uint64_t)pool->opened && strcmp(each->name, pool->name) == 0)
            return each;
        if (each->name[0] == '\0' && unused == NULL)
            unused = each;
    }
    if (unused == NULL)
        return NULL;
    snprintf(unused->name, sizeof unused->name, "%s", pool->name);
    unused->opened = (uint64_t)pool->opened;
    return unused;
}

static uint64_t check_ended(const struct pool *pool)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < EXIT_CAUSE_COUNT; i++)
        sum += pool->stats.ended[i];
    return sum;
}

/* C1: no limit is exceeded. */
static void check_limits(const struct pool *pool)
{
    const struct config_pool *settings = pool_settings(pool);
    unsigned service = pool_in_service(pool);
    if (pool->current->live > pool->current->size)
        sim_fail("C1", "pool %s: %u processes in %u slots", pool->name, pool->current->live,
                 pool->current->size);
    if (service > (unsigned)(settings->pm_max_children + settings->post_response_max_children) &&
        pool->current->older == NULL && pool->current->size == generation_size_for(settings))
        sim_fail("C1", "pool %s: %u workers in service", pool->name, service);
}

/* C4: the books balance, and counters never fall. C5: one message for each death. */
static void check_counts(const struct pool *pool, struct check_pool *was)
{
    uint64_t ended = check_ended(pool);
    unsigned live = pool_live(pool);
    if (pool->stats.spawned < was->spawned || ended < was->ended)
        sim_fail("C4", "pool %s: a counter fell", pool->name);
    if (pool->stats.spawned - ended != live)
        sim_fail("C4", "pool %s: %" PRIu64 " started, %" PRIu64 " ended, %u alive", pool->name,
                 pool->stats.spawned, ended, live);
    if (sim_swarm.hostile == 0 && pool->stats.elsewhere.requests < was->served)
        sim_fail("C4", "pool %s: requests of ended workers fell", pool->name);
    was->spawned = pool->stats.spawned;
    was->ended = ended;
    was->served = pool->stats.elsewhere.requests;
}

static bool check_waiting(const struct pool *pool)
{
    return sim_queue_waiting(pool->listener.fd) > 0;
}

/* C6: connections wait, and there is room: a worker starts within a second. Failed starts and
 * back-off are its excuse, another pool's are not (C7). */
static void check_liveness(const struct pool *pool, struct check_pool *was)
{
    const struct scaling_counts *seen = &pool->seen.counts;
    if (!check_waiting(pool)) {
        was->starved_since = 0;
        return;
    }
    int64_t max = check_set->config->global.process_max;
    unsigned service = 0, starting = 0;
    for (size_t i = 0; i < check_set->count; i++)
        service += pool_in_service(&check_set->items[i]->pool);
    for (unsigned i = 0; i < pool->current->size; i++) {
        const struct generation_member *member = &pool->current->members[i];
        starting += generation_member_in_service(member) &&
                    scoreboard_glance(&pool->current->scoreboard, i).phase <= SCOREBOARD_STARTING;
    }
    bool excused = pool->stop != POOL_STOP_NONE || backoff_wait(&pool->backoff, clock_ms()) > 0 ||
                   starting > 0 || seen->idle > 0 || (max > 0 && service >= (unsigned)max) ||
                   pool_in_service(pool) >= (unsigned)pool_settings(pool)->pm_max_children ||
                   pool->stats.spawned != was->spawned ||
                   pool->current->live == pool->current->size;
    if (excused)
        was->starved_since = 0;
    else if (was->starved_since == 0)
        was->starved_since = sim_now;
    else if (sim_now - was->starved_since > SIM_S)
        sim_fail("C6", "pool %s: connections wait for a second, %u of %" PRId64 " workers",
                 pool->name, pool_in_service(pool), pool_settings(pool)->pm_max_children);
}

/* C2, C3: a process that the manager does not know any more must not be there, and the other way
 * round: each living first process is a member's. */
static void check_members(void)
{
    unsigned live = pool_set_live(check_set), present = 0;
    for (size_t i = 0; i < sim_process_end; i++)
        present += sim_processes[i].serial != 0 && sim_processes[i].leads;
    if (present > live)
        sim_fail("C2", "%u first processes, and the manager knows of %u workers", present, live);
}

/* A process that is stopped to be looked at goes on soon. */
static void check_stopped(void)
{
    for (size_t i = 0; i < sim_process_end; i++)
        if (sim_processes[i].serial != 0 && sim_processes[i].stopped && !sim_processes[i].ended &&
            sim_now - sim_processes[i].stopped_at > 2 * SIM_S)
            sim_fail("C6", "process %d was stopped, and not let go on", (int)sim_processes[i].pid);
}

void sim_check(void)
{
    uint64_t deaths = 0;
    for (size_t i = 0; i < check_set->count; i++) {
        const struct pool *pool = &check_set->items[i]->pool;
        struct check_pool *was = check_find(pool);
        if (was == NULL)
            continue;
        check_limits(pool);
        check_liveness(pool, was);
        check_counts(pool, was);
        deaths += check_ended(pool);
    }
    check_members();
    check_stopped();
    (void)deaths;
}

/* A first process that was reaped is not in the table: a process with its number is another one. */
void sim_check_owner(const struct process_tree *tree, const struct sim_process *process)
{
    const char *bytes = (const char *)tree;
    const struct worker *worker =
        (const struct worker *)(const void *)(bytes - offsetof(struct worker, tree));
    if (worker->state == WORKER_NONE || (tree->led && worker->child.pid != tree->leader))
        sim_fail("C2", "a signal to process %d by a worker that is gone", (int)process->pid);
}

/* The worker that the process belongs to, NULL = none. */
static const struct worker *check_worker(const struct sim_process *process)
{
    for (size_t i = 0; i < check_set->count; i++) {
        const struct pool *pool = check_set->items[i] != NULL ? &check_set->items[i]->pool : NULL;
        const struct generation *generation = pool != NULL ? pool->current : NULL;
        for (; generation != NULL; generation = generation->older)
            for (unsigned j = 0; j < generation->size; j++)
                if (generation->members[j].worker.state != WORKER_NONE &&
                    generation->members[j].worker.pid == process->group)
                    return &generation->members[j].worker;
    }
    return NULL;
}

/* C3: it had to go before, and had its time. What is only known to have been left behind is asked
 * by TERM first. */
void sim_check_kill(const struct sim_process *process)
{
    const struct worker *worker = check_worker(process);
    if (sim_expect.killing || process->phase == SIM_EXEC)
        return;
    int64_t least = MIN(MIN(sim_expect.grace, sim_expect.hard), 1000);
    if (worker == NULL)
        sim_fail("C3", "process %d is killed and is no worker's", (int)process->pid);
    if (worker->stop_since == 0 || clock_ms() - worker->stop_since + 2 < least)
        sim_fail("C3", "process %d is killed before its time is over", (int)process->pid);
    if (!process->told && !process->hangs && process->leads && !process->ended)
        sim_fail("C3", "process %d is killed and was not asked to go", (int)process->pid);
}
