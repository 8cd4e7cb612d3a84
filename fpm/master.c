/* master.c: see master.h. */
#include "fpm/master.h"

#include "fpm/account.h"
#include "fpm/clock.h"
#include "fpm/control.h"
#include "fpm/log.h"
#include "fpm/notify.h"
#include "fpm/pool.h"
#include "fpm/signals.h"
#include "fpm/text.h"
#include "fpm/verbs.h"
#include "fpm/version.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    MASTER_SENTENCE = 1024
};

enum master_state {
    MASTER_STARTING, /* not every first worker runs yet */
    MASTER_RUNNING,
    MASTER_STOPPING
};

struct master {
    struct ev_loop *loop;
    const struct conf *conf;
    const struct master_hooks *hooks;
    enum master_state state;
    enum pool_stop stop;
    bool announced; /* `up` and `told` of the hooks were called */
    bool listening; /* the control socket is open */
    int exit_status;
    int64_t started; /* ms, clock.h */
    struct pool *pools;
    size_t pool_count; /* opened */
    struct signals signals;
    struct control control;
    struct verbs verbs;
};

/* ---- life ---- */

static unsigned master_live(const struct master *master)
{
    unsigned live = 0;
    for (size_t i = 0; i < master->pool_count; i++)
        live += master->pools[i].live;
    return live;
}

static void master_stop(void *owner, enum pool_stop how, const char *why)
{
    struct master *master = owner;
    static const char *const manners[] = {
        [POOL_STOP_GRACEFUL] = "stopping when the workers have done their work",
        [POOL_STOP_NOW] = "stopping now",
        [POOL_STOP_KILL] = "killing the workers",
    };
    if (how <= master->stop) {
        log_notice("%s: stopping already", why);
        return;
    }
    log_notice("%s: %s, %u left", why, manners[how], master_live(master));
    if (master->state != MASTER_STOPPING)
        (void)notify_stopping();
    master->state = MASTER_STOPPING;
    master->stop = how;
    for (size_t i = 0; i < master->pool_count; i++)
        pool_stop(&master->pools[i], how);
    if (master_live(master) == 0)
        ev_break(master->loop, EVBREAK_ALL);
}

/* The start is decided; main may still have a reason to give it up. */
static bool master_may_go_up(struct master *master)
{
    char error[MASTER_SENTENCE];
    if (master->announced || master->hooks->up(master->hooks->context, error, sizeof error) == 0)
        return true;
    log_alert("%s", error);
    master->exit_status = EX_SOFTWARE;
    master_stop(master, POOL_STOP_NOW, "failed start");
    return false;
}

/* Tells the world, once, after the log was told. */
static void master_announce(struct master *master)
{
    if (master->announced)
        return;
    master->announced = true;
    (void)notify_ready();
    master->hooks->told(master->hooks->context);
}

static void master_ready(struct master *master)
{
    if (!master_may_go_up(master))
        return;
    master->state = MASTER_RUNNING;
    log_notice("ready: %zu pool%s, %u worker%s, version %s", master->pool_count,
               master->pool_count == 1 ? "" : "s", master_live(master),
               master_live(master) == 1 ? "" : "s", OVERTIME_VERSION);
    master_announce(master);
}

/* Every first start is decided, and some failed: the others serve meanwhile. */
static void master_settled(struct master *master)
{
    unsigned started = 0;
    if (master->announced)
        return;
    for (size_t i = 0; i < master->pool_count; i++) {
        started += master->pools[i].started;
        if (!pool_ready(&master->pools[i]))
            log_error("pool %s: not all workers could be started; still trying",
                      master->pools[i].conf->name);
    }
    if (started > 0) {
        if (!master_may_go_up(master))
            return;
        log_warning("not ready: other pools serve meanwhile");
        master_announce(master);
        return;
    }
    log_alert("no pool could start a worker");
    master->exit_status = EX_SOFTWARE;
    master_stop(master, POOL_STOP_NOW, "failed start");
}

/* A worker started, failed or ended somewhere. */
static void master_changed(struct pool *pool, void *context)
{
    (void)pool;
    struct master *master = context;
    bool ready = true, settled = true;
    if (master->state == MASTER_STOPPING && master_live(master) == 0)
        ev_break(master->loop, EVBREAK_ALL);
    if (master->state != MASTER_STARTING)
        return;
    for (size_t i = 0; i < master->pool_count; i++) {
        ready = ready && pool_ready(&master->pools[i]);
        settled = settled && pool_settled(&master->pools[i]);
    }
    if (ready)
        master_ready(master);
    else if (settled)
        master_settled(master);
}

static void master_reopen_logs(void *owner, const char *why)
{
    (void)owner;
    char error[MASTER_SENTENCE];
    if (log_reopen(error, sizeof error) != 0)
        log_error("%s: %s; the log goes on where it was", why, error);
    else
        log_notice("%s: log reopened", why);
}

static const char *master_state_name(void *owner)
{
    const struct master *master = owner;
    static const char *const names[] = {
        [MASTER_STARTING] = "starting",
        [MASTER_RUNNING] = "running",
        [MASTER_STOPPING] = "stopping",
    };
    return names[master->state];
}

/* ---- signals ---- */

static void master_on_stop_signal(void *context, int number)
{
    struct master *master = context;
    char why[32];
    snprintf(why, sizeof why, "SIG%s", sigabbrev_np(number));
    master_stop(master, master->stop >= POOL_STOP_NOW ? POOL_STOP_KILL : POOL_STOP_NOW, why);
}

static void master_on_quit(void *context, int number)
{
    (void)number;
    master_stop(context, POOL_STOP_GRACEFUL, "SIGQUIT");
}

static void master_on_reopen(void *context, int number)
{
    (void)number;
    master_reopen_logs(context, "SIGUSR1");
}

static void master_on_reload(void *context, int number)
{
    (void)context;
    log_warning("SIG%s: reload is not implemented yet, nothing changes", sigabbrev_np(number));
}

static const struct signals_row master_signals[] = {
    {SIGTERM, master_on_stop_signal},
    {SIGINT, master_on_stop_signal},
    {SIGQUIT, master_on_quit},
    {SIGUSR1, master_on_reopen},
    {SIGUSR2, master_on_reload},
    {SIGHUP, master_on_reload},
    {SIGPIPE, NULL},
    {SIGXFSZ, NULL},
};

/* ---- birth and end ---- */

static int master_open_control(struct master *master)
{
    const struct conf_global *global = &master->conf->global;
    const struct conf_origin *origin = &global->origins[DIRECTIVE_GLOBAL_control_listen];
    struct account owner = {.uid = (uid_t)-1};
    gid_t group = (gid_t)-1;
    char error[MASTER_SENTENCE];
    if (global->control_listen.kind != CONF_ADDRESS_UNIX)
        return 0;
    if ((global->control_owner != NULL &&
         account_user(global->control_owner, &owner, error, sizeof error) != 0) ||
        (global->control_group != NULL &&
         account_group(global->control_group, &group, error, sizeof error) != 0)) {
        log_alert("control socket: owner or group %s", error);
        return -1;
    }
    struct socket_spec spec = {
        .path = global->control_listen.path,
        .backlog = CONTROL_CLIENTS_MAX,
        .mode = global->control_mode,
        .uid = owner.uid,
        .gid = group,
    };
    if (control_open(&master->control, master->loop, &spec, verbs_table, &master->verbs, error,
                     sizeof error) == 0) {
        master->listening = true;
        return 0;
    }
    if (origin->file != NULL)
        log_alert("%s:%u: `control.listen`: %s", origin->file, origin->line, error);
    else
        log_alert("`control.listen` (by default): %s", error);
    return -1;
}

/* Returns 0 or an exit status. */
static int master_open_pools(struct master *master)
{
    const struct conf *conf = master->conf;
    char error[MASTER_SENTENCE];
    master->pools = calloc(conf->pool_count, sizeof *master->pools);
    if (master->pools == NULL) {
        log_alert("out of memory");
        return EX_SOFTWARE;
    }
    master->verbs.pools = master->pools;
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct conf_pool *wanted = &conf->pools[i];
        struct pool *pool = &master->pools[i];
        int status = pool_open(pool, master->loop, &conf->global, wanted, error, sizeof error);
        if (status != 0) {
            const struct conf_origin *origin =
                status == EX_CONFIG ? &wanted->origins[DIRECTIVE_POOL_listen] : &wanted->origin;
            log_alert("%s:%u: pool %s: %s", origin->file, origin->line, wanted->name, error);
            return status;
        }
        pool->changed = master_changed;
        pool->context = master;
        master->verbs.pool_count = ++master->pool_count;
    }
    return 0;
}

static void master_on_nothing(struct ev_loop *loop, ev_periodic *periodic, int events)
{
    (void)loop;
    (void)periodic;
    (void)events;
}

/* libev looks once a minute whether the clock was set, unless the kernel tells it; it begins to
 * listen to the kernel with the first watcher that follows the calendar. An idle manager then
 * sleeps on. */
static void master_sleep_deeply(struct ev_loop *loop)
{
    ev_periodic calendar;
    ev_periodic_init(&calendar, master_on_nothing, 0., 0., NULL);
    ev_periodic_start(loop, &calendar);
    ev_periodic_stop(loop, &calendar);
}

static int master_open(struct master *master)
{
    master->loop = ev_default_loop(EVFLAG_NOENV);
    if (master->loop == NULL) {
        log_alert("cannot make an event loop");
        return EX_SOFTWARE;
    }
    master_sleep_deeply(master->loop);
    signals_start(&master->signals, master->loop, master_signals,
                  sizeof master_signals / sizeof *master_signals, master);
    if (master_open_control(master) != 0)
        return EX_CONFIG;
    return master_open_pools(master);
}

static void master_close(struct master *master)
{
    for (size_t i = master->pool_count; i-- > 0;)
        pool_close(&master->pools[i]);
    free(master->pools);
    master->hooks->down(master->hooks->context);
    if (master->listening)
        control_close(&master->control);
    if (master->loop == NULL)
        return;
    signals_stop(&master->signals);
    ev_loop_destroy(master->loop);
}

int master_run(const struct conf *conf, const struct master_hooks *hooks)
{
    struct master master = {.conf = conf, .hooks = hooks, .started = clock_ms()};
    master.verbs = (struct verbs){.conf = conf,
                                  .state = master_state_name,
                                  .stop = master_stop,
                                  .reopen_logs = master_reopen_logs,
                                  .owner = &master};
    char lived[32];
    log_debug("starting with %s, version %s", conf->file, OVERTIME_VERSION);
    master.exit_status = master_open(&master);
    if (master.exit_status == 0) {
        for (size_t i = 0; i < master.pool_count; i++)
            pool_start(&master.pools[i]);
        master_changed(NULL, &master);
        ev_run(master.loop, 0);
    }
    master_close(&master);
    text_duration(clock_ms() - master.started, lived, sizeof lived);
    log_notice("%s after %s", master.exit_status == 0 ? "stopped" : "start failed", lived);
    return master.exit_status;
}
