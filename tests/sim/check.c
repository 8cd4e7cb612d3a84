/* check.c: see sim.h: what must hold after every event. */
#include "fpm/worker/exit_message.h"
#include "sapi-shim/util/clock.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <string.h>
#include <sys/param.h>

enum {
    CHECK_POOLS = 64
};

/* What is remembered of a pool between two checks. */
struct check_pool {
    char name[OT_POOL_NAME_MAX];
    uint64_t opened;
    uint64_t spawned, ended, served;
    uint64_t starved_since;      /* ns: connections wait and nothing happens; 0 = no */
    uint64_t failures, requests; /* requests: of ended workers, as they themselves count */
    bool tainted;                /* a worker wrote any bytes into its slot */
};

struct sim_expect sim_expect;
static struct pool_set *check_set;
static struct check_pool check_pools[CHECK_POOLS];
static uint64_t check_messages; /* exit messages so far */
static uint64_t check_deaths;   /* of which there must be messages */

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
    check_deaths = 0;
    memset(check_pools, 0, sizeof check_pools);
}

static struct check_pool *check_find(const struct pool *pool)
{
    size_t unused = CHECK_POOLS;
    for (size_t i = 0; i < CHECK_POOLS; i++) {
        struct check_pool *each = &check_pools[i];
        if (each->opened == (uint64_t)pool->opened && strcmp(each->name, pool->name) == 0)
            return each;
        if (each->name[0] == '\0' && unused == CHECK_POOLS)
            unused = i;
    }
    if (unused == CHECK_POOLS)
        sim_fail("check", "more than %d pools", CHECK_POOLS);
    struct check_pool *one = &check_pools[unused % CHECK_POOLS];
    snprintf(one->name, sizeof one->name, "%s", pool->name);
    one->opened = (uint64_t)pool->opened;
    return one;
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

/* C4: the books balance, and counters never fall. */
static void check_counts(const struct pool *pool, struct check_pool *was)
{
    uint64_t ended = check_ended(pool), served = pool->stats.elsewhere.requests;
    unsigned live = pool_live(pool);
    if (pool->stats.spawned < was->spawned || ended < was->ended ||
        pool->stats.start_failures < was->failures)
        sim_fail("C4", "pool %s: a counter fell", pool->name);
    if (pool->stats.spawned - ended != live)
        sim_fail("C4", "pool %s: %" PRIu64 " started, %" PRIu64 " ended, %u alive", pool->name,
                 pool->stats.spawned, ended, live);
    if (!was->tainted && served < was->served)
        sim_fail("C4", "pool %s: requests of ended workers fell", pool->name);
    if (!was->tainted && served > was->requests)
        sim_fail("C4", "pool %s: %" PRIu64 " requests of ended workers, they say %" PRIu64,
                 pool->name, served, was->requests);
    check_deaths += ended - was->ended - (pool->stats.start_failures - was->failures);
    was->spawned = pool->stats.spawned;
    was->ended = ended;
    was->failures = pool->stats.start_failures;
    was->served = served;
    /* The longest delay is a minute. */
    if (backoff_wait(&pool->backoff, clock_ms()) > BACKOFF_LONGEST_MS)
        sim_fail("C6", "pool %s: the next start is in %" PRId64 " ms", pool->name,
                 backoff_wait(&pool->backoff, clock_ms()));
}

static bool check_waiting(const struct pool *pool)
{
    return sim_queue_waiting(pool->listener.fd) > 0;
}

/* C6: connections wait, and there is room: a worker starts within a second. Failed starts and
 * back-off are its excuse, another pool's are not (C7). */
static void check_liveness(const struct pool *pool, struct check_pool *was)
{
    if (!check_waiting(pool)) {
        was->starved_since = 0;
        return;
    }
    const struct config_pool *settings = pool_settings(pool);
    int64_t max = check_set->config->global.process_max;
    unsigned service = 0, coming = 0, post = 0;
    for (size_t i = 0; i < check_set->count; i++)
        service += pool_in_service(&check_set->items[i]->pool);
    for (unsigned i = 0; i < pool->current->size; i++) {
        const struct generation_member *member = &pool->current->members[i];
        const struct sim_process *process =
            generation_member_in_service(member) ? sim_find(member->worker.pid) : NULL;
        if (process == NULL)
            continue;
        /* For 5 s a worker that does not attach may only be slow. */
        coming += process->phase <= SIM_IDLE ||
                  (!process->attached && clock_ms() - member->worker.started < 5200);
        post += process->phase == SIM_POST && process->attached;
    }
    post = MIN(post, (unsigned)settings->post_response_max_children);
    bool excused = pool->stop != POOL_STOP_NONE || was->tainted ||
                   backoff_wait(&pool->backoff, clock_ms()) > 0 || coming > 0 ||
                   (max > 0 && service >= (unsigned)max) ||
                   pool_in_service(pool) - post >= (unsigned)settings->pm_max_children ||
                   pool->stats.spawned != was->spawned ||
                   pool->current->live == pool->current->size;
    if (excused)
        was->starved_since = 0;
    else if (was->starved_since == 0)
        was->starved_since = sim_now;
    else if (sim_now - was->starved_since > SIM_S)
        sim_fail("C6", "pool %s: connections wait for a second, %u of %" PRId64 " workers",
                 pool->name, pool_in_service(pool), settings->pm_max_children);
}

/* C2, C3: a process that the manager does not know any more must not be there, and the other way
 * round: each living first process is a member's. */
static void check_members(void)
{
    unsigned live = pool_set_live(check_set), present = 0;
    for (size_t i = 0; i < sim_process_end; i++)
        present += sim_processes[i].serial != 0 && sim_processes[i].leads &&
                   (!sim_processes[i].ended || sim_processes[i].on_end != NULL);
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
    for (size_t i = 0; i < check_set->count; i++) {
        const struct pool *pool = &check_set->items[i]->pool;
        struct check_pool *was = check_find(pool);
        check_limits(pool);
        check_liveness(pool, was);
        check_counts(pool, was);
    }
    check_members();
    check_stopped();
    /* C5: one message for each death. */
    if (check_messages != check_deaths)
        sim_fail("C5", "%" PRIu64 " exit messages for %" PRIu64 " ends", check_messages,
                 check_deaths);
}

void sim_check_rest(void)
{
    for (size_t i = 0; i < check_set->count; i++) {
        const struct pool *pool = &check_set->items[i]->pool;
        if (check_waiting(pool) && check_set->config->global.process_max == 0 &&
            pool_in_service(pool) < (unsigned)pool_settings(pool)->pm_max_children)
            sim_fail("C6", "pool %s: %u connections still wait, %u workers", pool->name,
                     sim_queue_waiting(pool->listener.fd), pool_in_service(pool));
        if (pool->current->older != NULL)
            sim_fail("C6", "pool %s: generation %u is still there", pool->name,
                     pool->current->older->number);
    }
}

/* ---- what happens to a worker ---- */

/* C1, at each start: workers that are not in post-response work, and those of it that are too many.
 */
void sim_check_launch(const struct launch_arguments *arguments, struct sim_process *process)
{
    int64_t max = check_set->config->global.process_max;
    unsigned service = 0;
    for (size_t i = 0; i < check_set->count; i++) {
        if (check_set->items[i] == NULL) /* a reload is being put in force */
            continue;
        const struct pool *pool = &check_set->items[i]->pool;
        const struct generation *generation = pool->current;
        service += pool_in_service(pool);
        if (arguments != &generation->spec.launch)
            continue;
        const struct config_pool *settings = pool_settings(pool);
        unsigned post = 0, leaving = 0;
        process->pool = (unsigned)(check_find(pool) - check_pools);
        for (unsigned j = 0; j < generation->size; j++) {
            const struct generation_member *member = &generation->members[j];
            const struct sim_process *other = sim_find(member->worker.pid);
            bool serves = generation_member_in_service(member);
            post += serves && other != NULL && !other->ended && other->phase == SIM_POST;
            leaving += serves && (other == NULL || other->ended);
        }
        unsigned over = post - MIN(post, (unsigned)settings->post_response_max_children);
        if (!check_pools[process->pool].tainted && pool_live(pool) > 0 &&
            pool_in_service(pool) - post - leaving + over >= (unsigned)settings->pm_max_children)
            sim_fail("C1", "pool %s: a worker starts, %u in service, of which %u in post-response",
                     pool->name, pool_in_service(pool), post);
    }
    /* The queue of a socket that is given up gets a worker in any case. */
    if (max > 0 && service >= (unsigned)max && service > 0 && !sim_expect.serving_queue)
        sim_fail("C1", "a worker starts, %u of process.max = %" PRId64, service, max);
}

void sim_check_taint(const struct sim_process *process)
{
    check_pools[process->pool].tainted = true;
}

void sim_check_end(const struct sim_process *process)
{
    struct check_pool *pool = &check_pools[process->pool];
    if (process->attached)
        pool->requests += process->requests;
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
static const struct generation_member *check_member(const struct sim_process *process)
{
    for (size_t i = 0; i < check_set->count; i++) {
        const struct pool *pool = check_set->items[i] != NULL ? &check_set->items[i]->pool : NULL;
        const struct generation *generation = pool != NULL ? pool->current : NULL;
        for (; generation != NULL; generation = generation->older)
            for (unsigned j = 0; j < generation->size; j++)
                if (generation->members[j].worker.state != WORKER_NONE &&
                    generation->members[j].worker.pid == process->group)
                    return &generation->members[j];
    }
    return NULL;
}

/* C10: a limit ends only a worker whose request, or work, is that old; what others write into their
 * slots changes nothing. */
void sim_check_stop(const struct sim_process *process)
{
    const struct generation_member *member = check_member(process);
    if (member == NULL || process->scribbled || !process->leads || !process->attached)
        return;
    const struct config_pool *limits =
        pool_settings((const struct pool *)member->generation->owner);
    int64_t age = (int64_t)((sim_now - process->since) / SIM_MS) + 2;
    bool request = member->stop_reason == EXIT_CAUSE_STOP_REQUEST;
    if (request && (process->phase != SIM_SERVING || age < limits->request_terminate_timeout) &&
        process->told_at == 0)
        sim_fail("C10", "process %d is ended for a request that is %" PRId64 " ms old",
                 (int)process->pid, age);
}

/* C3: it had to go before, and had its time. What is only known to have been left behind is asked
 * by TERM first. */
void sim_check_kill(const struct sim_process *process)
{
    const struct generation_member *member = check_member(process);
    const struct worker *worker = member != NULL ? &member->worker : NULL;
    if (sim_expect.killing || process->phase == SIM_EXEC || process->ended)
        return;
    if (worker == NULL)
        sim_fail("C3", "process %d is killed and is no worker's", (int)process->pid);
    if (process->stopped && process->pending != 0)
        sim_fail("C3", "process %d is killed, and was stopped when it was asked to go",
                 (int)process->pid);
    int64_t least = MIN(MIN(sim_expect.grace, sim_expect.hard), 1000);
    bool graceful = member->stop_reason == EXIT_CAUSE_STOP_RELOAD ||
                    (member->stop_reason == EXIT_CAUSE_STOP_MANAGER && !sim_expect.hurried);
    if (graceful && process->leads)
        least = sim_expect.grace;
    if (worker->stop_since == 0 || clock_ms() - worker->stop_since + 2 < least)
        sim_fail("C3", "process %d is killed before its time is over", (int)process->pid);
    if (!process->told && !process->hangs && process->leads)
        sim_fail("C3", "process %d is killed and was not asked to go", (int)process->pid);
}
