/* pool.c: see pool.h. */
#include "fpm/pool/pool.h"

#include "fpm/pool/socket_activation.h"
#include "fpm/util/account.h"
#include "fpm/util/error.h"
#include "fpm/worker/exit_message.h"
#include "fpm/worker/proc_activity.h"
#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/scalar.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

static const struct generation_events pool_generation_events;

const struct config_pool *pool_settings(const struct pool *pool)
{
    return pool->current->pool;
}

static int64_t pool_patience(const struct pool *pool)
{
    return pool->current->config->global.process_control_timeout;
}

/* ---- what is known of the dead ---- */

/* Work that went on when the worker died ended with it. */
static void pool_take_over(struct pool *pool, const struct slot_view *view)
{
    struct ot_counts *gone = &pool->totals.gone;
    const struct ot_record *lead = &view->lead;
    uint64_t now = clock_ns();
    bool went_on = lead->state == OT_STATE_POST || lead->state == OT_STATE_SHUTDOWN;
    histogram_counts(gone, &view->counts);
    if (went_on && lead->ended_at == 0 && lead->finished_at != 0 && lead->finished_at < now)
        histogram_add(&gone->measures[OT_MEASURE_POST], now - lead->finished_at);
}

/* Requests begun by all workers so far. */
static uint64_t pool_served(const struct pool *pool)
{
    const struct generation *generation = pool->current;
    uint64_t served = pool->totals.gone.requests;
    for (unsigned i = 0; i < generation->size; i++)
        if (generation->members[i].worker.state != WORKER_NONE)
            served += scoreboard_requests(&generation->scoreboard, i);
    return served;
}

/* Takes a death or a failed start into the back-off; tells the operator of each new step. */
static void pool_note_death(struct pool *pool, struct backoff_death *death, const char *cause)
{
    bool news = false;
    death->now = clock_ms();
    if (backoff_judge(death) == BACKOFF_FAILED) {
        uint64_t served = pool_served(pool);
        death->pool_served = served > pool->served_at_failure;
        pool->served_at_failure = served;
    }
    int64_t wait = backoff_note(&pool->backoff, death, &news);
    if (!news || pool->stop != POOL_STOP_NONE)
        return;
    char delay[32];
    scalar_duration(wait, delay, sizeof delay);
    log_about(death->exec_failed ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
              &(struct log_about){.pool = pool->name}, "pool %s: %s; next start in %s", pool->name,
              cause, delay);
}

/* What one worker lacked, the next would lack too: the start is decided when those that are on
 * their way have told, not after as many waits as workers are missing. */
static void pool_start_gave_up(struct pool *pool)
{
    unsigned others = pool->started + pool->current->counts[WORKER_STARTING];
    unsigned missing = pool->first > others ? pool->first - others : 0;
    if (pool->failed < missing)
        pool->failed = missing;
}

static void pool_on_start_failed(struct generation *generation, const char *why, int64_t started)
{
    struct pool *pool = generation->owner;
    char cause[ERROR_SIZE];
    struct backoff_death death = {
        .exec_failed = true, .started = started, .exit_status = -1, .signal = 0};
    pool->totals.start_failures++;
    pool->totals.ended[EXIT_CAUSE_BY_START]++;
    if (generation == pool->current) {
        pool->failed += pool->failed < pool->first;
        snprintf(pool->failure, sizeof pool->failure, "cannot start worker: %s", why);
        snprintf(cause, sizeof cause, "cannot start worker: %s", why);
        pool_note_death(pool, &death, cause);
        pool_start_gave_up(pool);
    }
    pool->events->changed(pool);
}

/* ---- ends ---- */

static struct exit_cause_facts pool_ending(const struct generation_member *member)
{
    return (struct exit_cause_facts){
        .asked = member->stop_reason,
        .said = scoreboard_exit_reason(&member->generation->scoreboard, member->slot),
        .status = member->worker.status,
    };
}

static void pool_log_end(const struct pool *pool, const struct generation_member *member,
                         const struct slot_view *view)
{
    const struct worker *worker = &member->worker;
    const struct exit_cause_facts facts = pool_ending(member);
    struct exit_message exit_message = {
        .pool = pool->name,
        .pid = worker->pid,
        .slot = member->slot,
        .status = worker->status,
        .uptime = clock_ms() - worker->started,
        .asked = worker->asked,
        .expected = exit_cause_is_expected(exit_cause_judge(&facts)),
        .reason = exit_cause_reason(&facts),
        .view = view,
    };
    char line[EXIT_MESSAGE_MAX];
    enum log_level level = exit_message_compose(&exit_message, clock_ns(), line, sizeof line);
    const struct log_about about = {pool->name, worker->pid, member->slot};
    log_about(level, &about, "%s", line);
}

/* A worker that died after the kernel had woken it alone for a connection took the wake-up with it:
 * the connection would wait for the next one to arrive. The signal is ignored by who does not know
 * it and makes a waiting library look again. */
static void pool_wake_idle(const struct generation *generation)
{
    for (unsigned i = 0; i < generation->size; i++) {
        const struct generation_member *member = &generation->members[i];
        if (member->worker.state == WORKER_RUNNING &&
            scoreboard_glance(&generation->scoreboard, i).phase == SCOREBOARD_IDLE) {
            worker_signal(&member->worker, SIGURG);
            return;
        }
    }
}

/* Of each generation one: an older one may be the only one that serves, or that has the socket. */
static void pool_pass_wakeup_on(const struct pool *pool)
{
    if (!socket_pending(pool->listener.fd) && !socket_pending(pool->former.fd) &&
        !socket_pending(pool->current->handoff[0]))
        return;
    pool_wake_idle(pool->current);
    for (const struct generation *g = pool->older; g != NULL; g = g->older)
        pool_wake_idle(g);
}

static void pool_warn_of_alien(struct pool *pool, uint32_t version)
{
    if (version != 0 && log_episode_begin(&pool->alien))
        log_about(LOG_LEVEL_WARNING, &(struct log_about){.pool = pool->name},
                  "pool %s: workers run a library of contract version %u, this manager speaks %u: "
                  "they are treated as programs without the library",
                  pool->name, version, OT_CONTRACT_VERSION);
}

/* By how it ended, whatever the reason. */
static void pool_count_status(struct pool_totals *totals, int status)
{
    if (status == -1)
        return;
    if (WIFEXITED(status))
        totals->exits[WEXITSTATUS(status)]++;
    else if (WIFSIGNALED(status) && WTERMSIG(status) < OT_SIGNALS_MAX)
        totals->signals[WTERMSIG(status)]++;
}

static void pool_count_end(struct pool *pool, const struct generation_member *member)
{
    const struct worker *worker = &member->worker;
    const struct exit_cause_facts facts = pool_ending(member);
    int signal = worker->status != -1 && WIFSIGNALED(worker->status) ? WTERMSIG(worker->status) : 0;
    enum exit_cause ending = exit_cause_judge(&facts);
    bool served = ending == EXIT_CAUSE_BY_REQUESTS || ending == EXIT_CAUSE_BY_MEMORY;
    pool->totals.ended[ending]++;
    pool_count_status(&pool->totals, worker->status);
    pool->totals.died += !worker->asked && !served;
    pool->cut_off +=
        (member->stop_reason == EXIT_CAUSE_RELOAD || member->stop_reason == EXIT_CAUSE_STOP) &&
        signal == SIGKILL;
    if (signal == SIGSEGV || signal == SIGBUS)
        pool->events->crashed(pool);
}

static void pool_on_ended(struct generation *generation, const struct generation_member *member,
                          const struct slot_view *view)
{
    struct pool *pool = generation->owner;
    const struct worker *worker = &member->worker;
    int status = worker->status;
    struct backoff_death death = {
        .started = worker->started,
        .stopped = worker->asked,
        .attached = view->attached,
        .accepting = view->lead.state != OT_STATE_STARTING,
        .served = view->counts.requests,
        .exit_status = status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = status != -1 && WIFSIGNALED(status) ? WTERMSIG(status) : 0,
    };
    pool_warn_of_alien(pool, view->alien);
    pool_log_end(pool, member, view);
    pool_count_end(pool, member);
    if (generation == pool->current) {
        if (backoff_judge(&death) == BACKOFF_FAILED)
            snprintf(pool->failure, sizeof pool->failure,
                     "workers die young without having served a request");
        pool_note_death(pool, &death, "workers die young without having served a request");
    }
    pool_take_over(pool, view);
    if (!worker->asked)
        pool_pass_wakeup_on(pool);
    pool->events->changed(pool);
}

static void pool_on_started(struct generation *generation, const struct generation_member *member)
{
    struct pool *pool = generation->owner;
    (void)member;
    if (generation != pool->current)
        return;
    pool->started += pool->started < pool->first;
    pool->events->changed(pool);
}

static const struct generation_events pool_generation_events = {
    .started = pool_on_started,
    .start_failed = pool_on_start_failed,
    .ended = pool_on_ended,
};

/* ---- starting ---- */

int64_t pool_start_delay(const struct pool *pool, int64_t now)
{
    return backoff_wait(&pool->backoff, now);
}

void pool_spawn(struct pool *pool, unsigned count, const char *reason)
{
    if (pool->stop != POOL_STOP_NONE || count == 0)
        return;
    log_debug("pool %s: %u worker%s started: %s", pool->name, count, count == 1 ? " is" : "s are",
              reason);
    while (count-- > 0 && pool_start_delay(pool, clock_ms()) == 0) {
        uint64_t failed = pool->totals.start_failures;
        bool good = generation_spawn(pool->current);
        pool->totals.spawned += good || failed != pool->totals.start_failures;
        if (!good)
            return;
    }
}

bool pool_ready(const struct pool *pool)
{
    return pool->started >= pool->first;
}

void pool_limit_first(struct pool *pool, unsigned count)
{
    if (count >= pool->first)
        return;
    pool->first = count;
    pool->events->changed(pool);
}

bool pool_failing(const struct pool *pool, unsigned accepting)
{
    return accepting == 0 && pool->stop == POOL_STOP_NONE && pool->backoff.failures > 0 &&
           *pool->failure != '\0' && (pool->first > 0 || pool_start_delay(pool, clock_ms()) > 0);
}

bool pool_settled(const struct pool *pool)
{
    return pool->started + pool->failed >= pool->first;
}

/* The workers that a generation begins with, whatever the load is then. */
static unsigned pool_first(const struct config_pool *settings)
{
    switch (settings->pm) {
    case CONFIG_PM_DYNAMIC:
        return (unsigned)settings->pm_start_servers;
    case CONFIG_PM_ONDEMAND:
        return 0;
    default:
        return (unsigned)settings->pm_max_children;
    }
}

/* ---- ending ---- */

struct pool_idle {
    uint64_t since;
    struct generation_member *member;
};

static int pool_idle_order(const void *a, const void *b)
{
    uint64_t first = ((const struct pool_idle *)a)->since;
    uint64_t second = ((const struct pool_idle *)b)->since;
    return (first > second) - (first < second);
}

/* Of black boxes that may be idle the one that has run longest counts as idle longest. */
static unsigned pool_find_idle(struct generation *generation, struct pool_idle *idle)
{
    unsigned count = 0;
    for (unsigned i = 0; i < generation->size; i++) {
        struct generation_member *member = &generation->members[i];
        if (!generation_member_in_service(member) || member->worker.state != WORKER_RUNNING)
            continue;
        struct scoreboard_glance glance = scoreboard_glance(&generation->scoreboard, i);
        if (glance.phase == SCOREBOARD_IDLE)
            idle[count++] = (struct pool_idle){glance.idle_since, member};
        else if (glance.phase == SCOREBOARD_BLACK_BOX &&
                 proc_activity_doing(member->worker.pid) != PROC_ACTIVITY_BUSY)
            idle[count++] =
                (struct pool_idle){(uint64_t)member->worker.started * CLOCK_NS_PER_MS, member};
    }
    qsort(idle, count, sizeof *idle, pool_idle_order);
    return count;
}

/* Workers that cannot be retired now are still there at the next pass. */
void pool_retire(struct pool *pool, unsigned count, const char *reason)
{
    struct pool_idle *idle = count > 0 ? calloc(pool->current->size, sizeof *idle) : NULL;
    if (idle == NULL)
        return;
    unsigned found = pool_find_idle(pool->current, idle);
    if (count > found)
        count = found;
    log_debug("pool %s: %u worker%s retired: %s", pool->name, count, count == 1 ? " is" : "s are",
              reason);
    for (unsigned i = 0; i < count; i++)
        generation_stop(idle[i].member, EXIT_CAUSE_SUPERFLUOUS, pool_patience(pool));
    free(idle);
}

static void pool_retire_generation(struct pool *pool, struct generation *generation)
{
    for (unsigned i = 0; i < generation->size; i++)
        generation_stop(&generation->members[i], EXIT_CAUSE_RELOAD, pool_patience(pool));
}

void pool_allow_handoff(struct pool *pool, bool current, bool older)
{
    scoreboard_siblings_take_over(&pool->current->scoreboard, current);
    for (struct generation *g = pool->older; g != NULL; g = g->older)
        scoreboard_siblings_take_over(&g->scoreboard, older);
}

static void pool_stop_generation(struct pool *pool, struct generation *generation,
                                 enum pool_stop how)
{
    for (unsigned i = 0; i < generation->size; i++) {
        struct generation_member *member = &generation->members[i];
        if (how == POOL_STOP_GRACEFUL)
            generation_stop(member, EXIT_CAUSE_STOP, pool_patience(pool));
        else if (how == POOL_STOP_NOW)
            generation_terminate(member, EXIT_CAUSE_STOP, pool_patience(pool));
        else
            generation_kill(member, EXIT_CAUSE_STOP);
    }
}

/* Is its queue lost when the workers have gone? */
static bool pool_owns_socket(const struct pool *pool)
{
    return !pool->listener.given && !pool->passed_on;
}

/* Do workers that go serve first what is in the queue? For all that are there. */
static void pool_forsake(struct pool *pool, bool forsaken)
{
    scoreboard_last_drain(&pool->current->scoreboard, forsaken);
    for (struct generation *g = pool->older; g != NULL; g = g->older)
        scoreboard_last_drain(&g->scoreboard, forsaken);
}

/* Somebody may have come before a worker was started for him. */
static void pool_serve_queue(struct pool *pool)
{
    if (pool_owns_socket(pool) && pool_live(pool) == 0 && socket_pending(pool->listener.fd))
        pool_spawn(pool, 1, "the socket is given up and its queue is not empty");
}

void pool_stop(struct pool *pool, enum pool_stop how)
{
    if (how <= pool->stop)
        return;
    if (how == POOL_STOP_GRACEFUL)
        pool_serve_queue(pool);
    pool->stop = how;
    pool_allow_handoff(pool, false, false);
    if (how != POOL_STOP_GRACEFUL || pool_owns_socket(pool))
        pool_forsake(pool, how == POOL_STOP_GRACEFUL);
    if (pool_owns_socket(pool))
        socket_refuse(&pool->listener);
    socket_refuse(&pool->former);
    pool_stop_generation(pool, pool->current, how);
    for (struct generation *g = pool->older; g != NULL; g = g->older)
        pool_stop_generation(pool, g, how);
}

unsigned pool_live(const struct pool *pool)
{
    unsigned live = pool->current->live;
    for (const struct generation *g = pool->older; g != NULL; g = g->older)
        live += g->live;
    return live;
}

unsigned pool_in_service(const struct pool *pool)
{
    return pool->current->live - pool->current->retiring;
}

/* ---- the socket ---- */

int pool_socket_spec(const struct config_pool *settings, struct socket_spec *spec, char *error,
                     size_t size)
{
    const struct config_identity *identity = &settings->identity;
    struct account owner = {.uid = identity->change ? identity->uid : (uid_t)-1};
    gid_t group = identity->change ? identity->gid : (gid_t)-1;
    if ((settings->listen_owner != NULL &&
         account_user(settings->listen_owner, &owner, error, size) != 0) ||
        (settings->listen_group != NULL &&
         account_group(settings->listen_group, &group, error, size) != 0))
        return -1;
    *spec = (struct socket_spec){
        .path = settings->listen.kind == CONFIG_ADDRESS_UNIX ? settings->listen.path : NULL,
        .host = settings->listen.host,
        .port = settings->listen.port,
        .backlog = (int)settings->listen_backlog,
        .mode = settings->listen_mode,
        .uid = owner.uid,
        .gid = group,
    };
    return 0;
}

/* Returns 0 or an exit status, as pool_open. */
static int pool_listen(const struct pool_request *wish, struct socket_listener *listener,
                       char *error, size_t size)
{
    const struct config_pool *settings = wish->settings;
    struct socket_spec spec;
    char why[ERROR_SIZE];
    if (wish->inherit != NULL)
        return socket_share(wish->inherit, listener, error, size) == 0 ? 0 : EX_SOFTWARE;
    if (pool_socket_spec(settings, &spec, error, size) != 0)
        return EX_SOFTWARE;
    int taken = socket_activation_take(settings->name, &spec, listener, why, sizeof why);
    if (taken > 0 && *why != '\0')
        log_about(LOG_LEVEL_WARNING, &(struct log_about){.pool = settings->name},
                  "pool %s: `listen = %s`: %s", settings->name, settings->listen.text, why);
    if (taken > 0 || (taken == 0 && socket_listen(listener, &spec, why, sizeof why) == 0))
        return 0;
    if (taken == 0 && errno == EMFILE) {
        snprintf(error, size, "%s", why);
        return EX_SOFTWARE;
    }
    snprintf(error, size, "`listen = %s`: %s", settings->listen.text, why);
    return EX_CONFIG;
}

/* Whoever made it holds its place, so that no other can be made there. */
static void pool_keep_socket(const struct socket_listener *listener, const char *name)
{
    if (listener->given && socket_activation_keep(name, listener->fd) != 0)
        log_error("cannot keep a socket that was passed to the manager: %s", strerror(errno));
}

void pool_return_socket(struct pool *pool)
{
    if (!pool->listener.given || pool->passed_on)
        return;
    pool_keep_socket(&pool->listener, pool->name);
    pool->passed_on = true;
}

/* ---- opening and closing ---- */

int pool_open(struct pool *pool, struct ev_loop *loop, const struct pool_request *wish,
              const struct pool_events *events, void *owner, char *error, size_t size)
{
    *pool = (struct pool){
        .loop = loop,
        .events = events,
        .owner = owner,
        .listener = SOCKET_NONE,
        .former = SOCKET_NONE,
        .number = 1,
        .handed_over = true,
        .first = pool_first(wish->settings),
        .opened = clock_ms(),
        .opened_time = time(NULL),
    };
    pool->name = strdup(wish->settings->name);
    if (pool->name == NULL) {
        snprintf(error, size, "out of memory");
        return EX_SOFTWARE;
    }
    int status = pool_listen(wish, &pool->listener, error, size);
    if (status == 0) {
        pool->current = generation_open(loop, wish->config, wish->settings, NULL, pool->listener.fd,
                                        &pool_generation_events, pool, error, size);
        status = pool->current != NULL ? 0 : EX_SOFTWARE;
    }
    if (status == 0 && slow_log_open(&pool->slowlog, wish->settings, error, size) != 0)
        status = EX_SOFTWARE;
    if (status != 0)
        pool_close(pool);
    return status;
}

void pool_adopt(struct pool *pool, struct ev_loop *loop, char *name,
                const struct pool_events *events, void *owner)
{
    *pool = (struct pool){
        .loop = loop,
        .events = events,
        .owner = owner,
        .listener = SOCKET_NONE,
        .former = SOCKET_NONE,
    };
    pool->name = name;
}

struct generation *pool_adopt_generation(struct pool *pool, struct config *config,
                                         const struct config_pool *settings,
                                         const struct generation_saved *heir, char *error,
                                         size_t size)
{
    struct generation **link = &pool->current;
    while (*link != NULL)
        link = link == &pool->current ? &pool->older : &(*link)->older;
    *link = generation_adopt(pool->loop, config, settings, heir, &pool_generation_events, pool,
                             error, size);
    char why[ERROR_SIZE];
    if (link == &pool->current && slow_log_open(&pool->slowlog, settings, why, sizeof why) != 0)
        log_about(LOG_LEVEL_ERROR, &(struct log_about){.pool = pool->name}, "pool %s: %s",
                  pool->name, why);
    return *link;
}

void pool_sweep(struct pool *pool)
{
    struct generation **link = &pool->older;
    while (*link != NULL) {
        struct generation *generation = *link;
        if (generation->live > 0) {
            link = &generation->older;
            continue;
        }
        *link = generation->older;
        log_debug("pool %s: generation %u is gone", pool->name, generation->number);
        slow_log_forget(generation);
        generation_close(&generation);
    }
    if (pool->older == NULL)
        socket_close(&pool->former);
}

void pool_close(struct pool *pool)
{
    if (pool->current != NULL)
        pool_sweep(pool);
    slow_log_forget(pool->current);
    generation_close(&pool->current);
    slow_log_close(&pool->slowlog);
    pool_return_socket(pool);
    socket_close(&pool->former);
    socket_close(&pool->listener);
    free(pool->name);
    pool->name = NULL;
}

/* ---- reload ---- */

int pool_prepare(struct pool *pool, const struct pool_request *wish, struct pool_prepared *change,
                 char *error, size_t size)
{
    *change = (struct pool_prepared){.listener = SOCKET_NONE, .shared = wish->inherit != NULL};
    int status = wish->listen ? pool_listen(wish, &change->listener, error, size) : 0;
    if (status == 0 && wish->replace) {
        int fd = wish->listen ? change->listener.fd : pool->listener.fd;
        change->generation =
            generation_open(pool->loop, wish->config, wish->settings, pool->current, fd,
                            &pool_generation_events, pool, error, size);
        status = change->generation != NULL ? 0 : EX_SOFTWARE;
    }
    if (status == 0 && slow_log_open(&change->slowlog, wish->settings, error, size) != 0)
        status = EX_SOFTWARE;
    if (status != 0)
        pool_abandon(change);
    return status;
}

void pool_abandon(struct pool_prepared *change)
{
    generation_close(&change->generation);
    if (!change->shared)
        pool_keep_socket(&change->listener, "");
    socket_close(&change->listener);
    slow_log_close(&change->slowlog);
}

/* A reload meets the load that is there: as many workers as accept requests now shall be there at
 * once, or requests would wait for the new ones to be started one by one. */
static unsigned pool_first_of_next(const struct pool *pool, const struct config_pool *settings)
{
    unsigned wanted = pool_first(settings);
    unsigned now = pool_in_service(pool);
    unsigned most = (unsigned)settings->pm_max_children;
    if (now > wanted)
        wanted = now;
    return wanted < most ? wanted : most;
}

static void pool_next_generation(struct pool *pool, struct generation *next)
{
    struct generation *present = pool->current;
    pool->first = pool_first_of_next(pool, next->pool);
    if (!pool->handed_over)
        pool_retire_generation(pool, present); /* overtaken before it served */
    scoreboard_notify(&present->scoreboard, 0);
    present->older = pool->older;
    pool->older = present;
    pool->current = next;
    pool->number = next->number;
    pool->handed_over = false;
    pool->started = pool->failed = 0;
    pool->failure[0] = '\0';
    pool->backoff = (struct backoff){0};
}

void pool_disown_socket(struct pool *pool)
{
    socket_disown(&pool->listener);
    pool->passed_on = true;
}

/* Owner, mode and backlog of a socket that stays. */
static void pool_update_socket(struct pool *pool, const struct config_pool *settings)
{
    struct socket_spec spec;
    char why[ERROR_SIZE];
    if (pool_socket_spec(settings, &spec, why, sizeof why) != 0 ||
        socket_update(&pool->listener, &spec, why, sizeof why) != 0)
        log_about(LOG_LEVEL_ERROR, &(struct log_about){.pool = pool->name},
                  "pool %s: `listen = %s`: %s", pool->name, settings->listen.text, why);
}

/* A socket that is given up takes no new connections by name; those in its queue are the older
 * workers', who go when it is empty. */
static void pool_change_socket(struct pool *pool, struct socket_listener *next)
{
    pool_serve_queue(pool);
    socket_refuse(&pool->former);
    socket_close(&pool->former);
    if (!pool->passed_on)
        pool_keep_socket(&pool->listener, "");
    if (pool_owns_socket(pool)) {
        pool_forsake(pool, true);
        socket_unlink(&pool->listener);
    }
    pool->former = pool->listener;
    pool->former.given = !pool_owns_socket(pool);
    pool->passed_on = false;
    pool->listener = *next;
    *next = SOCKET_NONE;
}

void pool_commit(struct pool *pool, const struct pool_request *wish, struct pool_prepared *change)
{
    if (change->listener.fd >= 0)
        pool_change_socket(pool, &change->listener);
    else
        pool_update_socket(pool, wish->settings);
    if (change->generation != NULL)
        pool_next_generation(pool, change->generation);
    else
        generation_apply(pool->current, wish->config, wish->settings);
    change->generation = NULL;
    slow_log_close(&pool->slowlog);
    pool->slowlog = change->slowlog;
    change->slowlog = NULL;
}

bool pool_hand_over(struct pool *pool, unsigned accepting)
{
    if (pool->handed_over || accepting < pool->first)
        return pool->handed_over;
    pool->handed_over = true;
    log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name},
              "pool %s: generation %u serves", pool->name, pool->number);
    socket_refuse(&pool->former);
    for (struct generation *g = pool->older; g != NULL; g = g->older)
        pool_retire_generation(pool, g);
    return true;
}
