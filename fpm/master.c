/* master.c: see master.h. */
#include "fpm/master.h"

#include "fpm/access_log/access_log.h"
#include "fpm/config/log_settings.h"
#include "fpm/control/commands.h"
#include "fpm/control/control_server.h"
#include "fpm/log/log.h"
#include "fpm/manager/pool_set.h"
#include "fpm/manager/systemd_watchdog.h"
#include "fpm/pool/backoff.h"
#include "fpm/pool/orphan_workers.h"
#include "fpm/signals.h"
#include "fpm/slow_log/slow_log.h"
#include "fpm/slow_log/trace_runner.h"
#include "fpm/upgrade/upgrade.h"
#include "fpm/util/child.h"
#include "fpm/util/error.h"
#include "fpm/util/systemd_notify.h"
#include "fpm/util/version.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/scalar.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#define MASTER_PROOF 0.02 /* s between looks whether a pool serves */

enum master_state {
    MASTER_STARTING, /* not all first workers run yet */
    MASTER_RUNNING,
    MASTER_RELOADING, /* a new configuration is in force, some older workers still run */
    MASTER_STOPPING
};

struct master {
    struct ev_loop *loop;
    struct config *config; /* in force */
    const struct master_hooks *hooks;
    enum master_state state;
    enum pool_stop stop;
    bool announced; /* the hooks `up` and `announced` were called */
    bool listening; /* the control socket is open */
    int exit_status;
    int64_t started; /* ms, clock.h */
    struct pool_set pools;
    struct signals signals;
    struct control_server control;
    struct commands commands;
    struct backoff_crashes crashes;
    bool restart_due; /* emergency_restart_threshold was reached: replace all workers */
    unsigned reloads; /* put in force */
    unsigned waiting[CONTROL_SERVER_CLIENTS_MAX]; /* tickets of calls that wait for the reload */
    unsigned waiting_count;
    ev_timer proof; /* until a pool serves, with `must_serve` */
    ev_timer sweep; /* frees what has ended, outside of its callbacks */
    struct systemd_watchdog watchdog;
    struct upgrade upgrade;
    unsigned upgrading; /* ticket of the call that asked for an upgrade */
    bool upgrade_wait;
};

/* ---- life ---- */

/* Answers the calls that wait for the reload; `why` it failed, NULL = it did not. */
static void master_answer_waiting(struct master *master, const char *why)
{
    for (unsigned i = 0; i < master->waiting_count; i++)
        control_server_answer(&master->control, master->waiting[i], why);
    master->waiting_count = 0;
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
        log_notice("%s: already stopping", why);
        return;
    }
    log_notice("%s: %s, %u left", why, manners[how], pool_set_live(&master->pools));
    if (master->state != MASTER_STOPPING)
        (void)systemd_notify_stopping();
    master->state = MASTER_STOPPING;
    master_answer_waiting(master, "the manager stops");
    master->stop = how;
    pool_set_stop(&master->pools, how);
    if (pool_set_live(&master->pools) == 0)
        ev_break(master->loop, EVBREAK_ALL);
}

static void master_fail_start(struct master *master, const char *why)
{
    log_alert("%s", why);
    master->exit_status = EX_SOFTWARE;
    master_stop(master, POOL_STOP_NOW, "failed start");
}

/* Reports the outcome of the start once it is known of every first worker. If some could not be
 * started, the other pools serve meanwhile, and the report is repeated when all are ready. */
static void master_check_start(struct master *master)
{
    bool ready = true, settled = true;
    unsigned started = 0;
    for (size_t i = 0; i < master->pools.count; i++) {
        const struct pool *pool = &master->pools.items[i]->pool;
        ready = ready && pool_ready(pool);
        settled = settled && pool_settled(pool);
        started += pool->started + (pool->first == 0);
    }
    if (!settled || (!ready && master->announced))
        return;
    for (size_t i = 0; i < master->pools.count; i++)
        if (!pool_ready(&master->pools.items[i]->pool))
            log_error("pool %s: not all workers could be started; still trying",
                      master->pools.items[i]->pool.name);
    if (!ready && started == 0) {
        master_fail_start(master, "no pool could start a worker");
        return;
    }
    char error[ERROR_SIZE];
    if (!master->announced && master->hooks->up(master->hooks->context, error, sizeof error) != 0) {
        master_fail_start(master, error);
        return;
    }

    size_t pools = pool_set_configured(&master->pools);
    unsigned live = pool_set_live(&master->pools);
    if (ready) {
        /* A reload that was requested during the start ends as every other does. */
        master->state = master->waiting_count > 0 ? MASTER_RELOADING : MASTER_RUNNING;
        log_notice("ready: %zu pool%s, %u worker%s, version %s", pools, pools == 1 ? "" : "s", live,
                   live == 1 ? "" : "s", OVERTIME_VERSION);
    } else {
        log_warning("not ready: other pools serve meanwhile");
    }
    if (master->announced)
        return;
    master->announced = true;
    (void)systemd_notify_ready();
    systemd_watchdog_start(&master->watchdog, master->config->global.systemd_interval);
    if (!master->hooks->must_serve)
        master->hooks->announced(master->hooks->context);
    else
        ev_timer_again(master->loop, &master->proof);
}

/* Does some pool serve? If not, and no pool can, the start has failed. */
static void master_on_proof(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    const struct pool *failing = NULL;
    bool serves = false, undecided = false;
    char why[ERROR_SIZE];
    for (size_t i = 0; i < master->pools.count && !serves; i++) {
        struct pool *pool = &master->pools.items[i]->pool;
        bool fails = pool->backoff.failures > 0 && *pool->failure != '\0';
        serves = pool->first == 0 || pool_is_proven(pool, clock_ms());
        failing = fails ? pool : failing;
        undecided = undecided || !fails;
    }
    if (!serves && undecided && master->state != MASTER_STOPPING)
        return;
    ev_timer_stop(loop, timer);
    if (serves) {
        master->hooks->announced(master->hooks->context);
    } else if (failing != NULL && master->state != MASTER_STOPPING) {
        snprintf(why, sizeof why, "no pool serves; pool %s: %s", failing->name, failing->failure);
        master_fail_start(master, why);
    }
}

/* Ends a reload that is complete, and answers the calls that wait for it or for the start. */
static void master_check_reload(struct master *master)
{
    const struct pool *failed;
    char why[ERROR_SIZE];
    bool settled = pool_set_settled(&master->pools, &failed);
    if (settled && master->state == MASTER_RELOADING) {
        master->state = MASTER_RUNNING;
        log_notice("reload: done, %u worker%s", pool_set_live(&master->pools),
                   pool_set_live(&master->pools) == 1 ? "" : "s");
    }
    if (failed != NULL && master->waiting_count > 0) {
        snprintf(why, sizeof why, "pool %s: %s; %sthe manager keeps trying", failed->name,
                 failed->failure,
                 failed->current->older != NULL ? "its older workers keep serving, and " : "");
        master_answer_waiting(master, why);
    } else if (settled) {
        master_answer_waiting(master, NULL);
    }
}

/* A worker started, failed to start or ended. What it leaves is freed outside of its callback. */
static void master_changed(void *context)
{
    struct master *master = context;
    if (master->state == MASTER_STARTING)
        master_check_start(master);
    if (ev_is_active(&master->sweep))
        return;
    ev_timer_set(&master->sweep, 0., 0.);
    ev_timer_start(master->loop, &master->sweep);
}

/* ---- reload ---- */

/* Reads the file again. Every fault goes to the log and into `error`, a line each. Returns the
 * configuration, the caller's to free, or NULL. */
static struct config *master_read_config(const struct master *master, char *error, size_t size)
{
    struct config_report report = {0};
    struct config *config = config_load(master->config->file, master->hooks->flags, &report);
    size_t used = 0;
    for (size_t i = 0; i < report.errors.count; i++) {
        log_error("reload: %s", report.errors.items[i]);
        int more = snprintf(error + used, size - used, "%s%s", used > 0 ? "\n" : "",
                            report.errors.items[i]);
        if (more > 0 && (size_t)more < size - used)
            used += (size_t)more;
    }
    for (size_t i = 0; config != NULL && i < report.warnings.count; i++)
        log_warning("reload: %s", report.warnings.items[i]);
    config_report_free(&report);
    return config;
}

/* Puts `wanted` in force, or nothing of it. Says what changed to the log and to `out`, which may be
 * NULL. */
static int master_put_in_force(struct master *master, struct config *wanted, const char *all,
                               FILE *out, char *error, size_t size)
{
    struct reload_plan plan;
    struct pool_set_outcome done;
    char line[ERROR_SIZE];
    if (pool_set_plan(&master->pools, wanted, all, &plan) != 0) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    const struct config_global *before = &master->pools.config->global;
    char why[ERROR_SIZE];
    if (log_settings_files(&wanted->global, error, size) != 0 ||
        pool_set_reload(&master->pools, wanted, &plan, &done, error, size) != 0) {
        (void)log_settings_files(before, why, sizeof why);
        log_error("reload: %s", error);
        reload_plan_free(&plan);
        return -1;
    }
    if (log_settings_apply(&wanted->global, error, size) != 0)
        log_error("reload: %s; the log stays as it was", error);
    snprintf(line, sizeof line,
             "pools: %zu replaced, %zu changed in place, %zu added, %zu removed, %zu as they were",
             done.replaced, done.applied, done.added, done.removed, done.kept);
    log_notice("reload: in force; %s", line);
    if (out != NULL)
        fprintf(out, "%s\n", line);
    for (size_t i = 0; i < plan.later.count; i++) {
        log_warning("reload: %s", plan.later.items[i]);
        if (out != NULL)
            fprintf(out, "%s\n", plan.later.items[i]);
    }
    reload_plan_free(&plan);
    return 0;
}

/* Follows a configuration that was put in force: a new one, or the present one again. */
static void master_follow(struct master *master, struct config *config)
{
    struct config *before = master->config;
    master->config = config_keep(config);
    master->commands.config = master->config;
    config_free(&before);
    if (master->announced)
        master->state = MASTER_RELOADING;
    systemd_watchdog_start(&master->watchdog, master->config->global.systemd_interval);
    master_changed(master);
}

/* Returns 0, or -1 with one line for each error. */
static int master_reload(void *owner, const char *why, const char *all, FILE *out, char *error,
                         size_t size)
{
    struct master *master = owner;
    if (master->state == MASTER_STOPPING) {
        snprintf(error, size, "the manager stops");
        return -1;
    }
    log_notice("%s: reload of %s", why, master->config->file);
    if (master->announced)
        (void)systemd_notify_reloading();
    struct config *wanted = master_read_config(master, error, size);
    int result = wanted == NULL ? -1 : master_put_in_force(master, wanted, all, out, error, size);
    if (result == 0) {
        master->reloads++;
        master_follow(master, wanted);
    } else {
        static const char sentence[] = "nothing has changed";
        log_error("reload: %s", sentence);
        /* Errors beyond the buffer are in the log. */
        size_t used = MIN(strlen(error), size - sizeof sentence - 1);
        snprintf(error + used, size - used, "\n%s", sentence);
    }
    config_free(&wanted);
    if (master->announced)
        (void)systemd_notify_ready();
    return result;
}

/* A call at the control socket waits for the reload's end. */
static void master_wait(void *owner, unsigned ticket)
{
    struct master *master = owner;
    if (master->waiting_count < CONTROL_SERVER_CLIENTS_MAX)
        master->waiting[master->waiting_count++] = ticket;
    master_changed(master); /* answers later: this call is still running */
}

/* Many crashes in a short time may come from what all workers share. The workers are replaced after
 * the callback of this one. */
static void master_crashed(void *context)
{
    struct master *master = context;
    const struct config_global *global = &master->config->global;
    if (backoff_note_crash(&master->crashes, (size_t)global->emergency_restart_threshold,
                           global->emergency_restart_interval, clock_ms()))
        master->restart_due = true;
}

static void master_on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    if (master->state == MASTER_STOPPING) {
        if (pool_set_live(&master->pools) == 0)
            ev_break(master->loop, EVBREAK_ALL);
        return;
    }
    if (master->restart_due) {
        char error[ERROR_SIZE];
        master->restart_due = false;
        log_alert("%d workers crashed within `emergency_restart_interval`: all pools get new "
                  "workers",
                  (int)master->config->global.emergency_restart_threshold);
        /* The configuration in force stays: a changed file was not asked for. */
        if (master_put_in_force(master, master->config, "", NULL, error, sizeof error) == 0)
            master_follow(master, master->config);
    }
    pool_set_sweep(&master->pools);
    if (master->state == MASTER_RELOADING || (master->announced && master->waiting_count > 0))
        master_check_reload(master);
}

static const struct pool_set_events master_pools_events = {
    .changed = master_changed,
    .crashed = master_crashed,
};

/* Returns 0, or -1 with the last error; the log has all. */
static int master_reopen_logs(void *owner, const char *why, char *error, size_t size)
{
    int result = log_reopen(error, size);
    if (result != 0)
        log_error("%s: %s; the log goes on where it was", why, error);
    else
        log_notice("%s: log reopened", why);
    if (access_log_reopen(error, size) != 0) {
        log_error("%s: %s; it goes on where it was", why, error);
        result = -1;
    }
    if (slow_log_reopen(error, size) != 0) {
        log_error("%s: %s; it goes on where it was", why, error);
        result = -1;
    }
    return result;
}

static const char *master_state_name(void *owner)
{
    const struct master *master = owner;
    static const char *const names[] = {
        [MASTER_STARTING] = "starting",
        [MASTER_RUNNING] = "running",
        [MASTER_RELOADING] = "reloading",
        [MASTER_STOPPING] = "stopping",
    };
    return names[master->state];
}

static void master_answer(void *owner, unsigned ticket, const char *text, const char *why)
{
    struct master *master = owner;
    control_server_say(&master->control, ticket, text);
    control_server_answer(&master->control, ticket, why);
}

/* ---- upgrade ---- */

static int master_upgrade(void *owner, const char *why, unsigned ticket, bool wait, char *error,
                          size_t size)
{
    struct master *master = owner;
    log_notice("%s: version %s asks %s whether it can take over", why, OVERTIME_VERSION,
               master->hooks->program.path);
    if (upgrade_begin(&master->upgrade, master->hooks->flags, error, size) != 0) {
        log_error("upgrade: %s; nothing changes", error);
        return -1;
    }
    master->upgrading = ticket;
    master->upgrade_wait = wait;
    return 0;
}

static int master_save(void *owner, struct upgrade_manager *manager, char *error, size_t size)
{
    const struct master *master = owner;
    if (master->state == MASTER_STOPPING || !master->announced) {
        snprintf(error, size,
                 master->announced ? "the manager stops" : "the manager is still starting");
        return -1;
    }
    manager->state = master->state;
    manager->started = master->started;
    manager->reloads = master->reloads;
    manager->listening = master->listening;
    manager->ticket = master->upgrading;
    manager->wait = master->upgrade_wait;
    manager->waiting_count = master->waiting_count;
    memcpy(manager->waiting, master->waiting, sizeof manager->waiting);
    master->hooks->save(master->hooks->context, manager);
    return 0;
}

static void master_upgrade_failed(void *owner, const char *why)
{
    struct master *master = owner;
    log_error("upgrade: %s; nothing changes", why);
    control_server_answer(&master->control, master->upgrading, why);
}

static const struct upgrade_events master_upgrade_events = {
    .save = master_save,
    .failed = master_upgrade_failed,
};

/* Everything that ran before still runs; the file is read as for any reload. */
static void master_come(struct master *master)
{
    const struct upgrade_manager *manager = &master->hooks->saved->manager;
    char line[ERROR_SIZE], error[ERROR_SIZE], *outcome = NULL;
    size_t size = 0;
    bool foreign = upgrade_state_foreign(&master->pools);
    FILE *out = open_memstream(&outcome, &size);
    snprintf(line, sizeof line, "process %d was version %s and is version %s, with %u workers\n",
             (int)getpid(), manager->version, OVERTIME_VERSION, pool_set_live(&master->pools));
    log_notice("upgrade: %.*s", (int)strcspn(line, "\n"), line);
    if (foreign)
        log_notice("upgrade: the contract with the workers has changed: all get new workers");
    pool_set_start(&master->pools);
    int result = master_reload(master, "upgrade", foreign ? "" : NULL, out, error, sizeof error);
    systemd_watchdog_start(&master->watchdog, master->config->global.systemd_interval);
    if (out != NULL)
        (void)fclose(out);
    control_server_say(&master->control, manager->ticket, line);
    if (outcome != NULL)
        control_server_say(&master->control, manager->ticket, outcome);
    free(outcome);
    if (result != 0) {
        size_t used = strcspn(line, "\n");
        snprintf(line + used, sizeof line - used, "; the configuration file is not in force:\n%s",
                 error);
        control_server_answer(&master->control, manager->ticket, line);
    } else if (manager->wait) {
        master_wait(master, manager->ticket);
    } else {
        control_server_answer(&master->control, manager->ticket, NULL);
    }
}

/* ---- signals ---- */

static void master_orphan(pid_t pid, int status)
{
    log_debug("orphaned process %d ended with status %#x", (int)pid, (unsigned)status);
}

static void master_on_signal(void *context, int number)
{
    struct master *master = context;
    char why[32], error[ERROR_SIZE];
    snprintf(why, sizeof why, "SIG%s", sigabbrev_np(number));
    switch (number) {
    case SIGTERM:
    case SIGINT: /* a second one kills */
        master_stop(master, master->stop >= POOL_STOP_NOW ? POOL_STOP_KILL : POOL_STOP_NOW, why);
        break;
    case SIGQUIT:
        master_stop(master, POOL_STOP_GRACEFUL, why);
        break;
    case SIGUSR1:
        (void)master_reopen_logs(master, why, error, sizeof error);
        break;
    case SIGUSR2:
    case SIGHUP:
        (void)master_reload(master, why, NULL, NULL, error, sizeof error);
        break;
    default: /* SIGCHLD */
        /* Also children that are not ours: orphans of workers, and those of the program that
         * executed this one. */
        child_reap_all(master_orphan);
    }
}

static const struct signals_row master_signals[] = {
    {SIGTERM, master_on_signal},
    {SIGINT, master_on_signal},
    {SIGQUIT, master_on_signal},
    {SIGUSR1, master_on_signal},
    {SIGUSR2, master_on_signal},
    {SIGHUP, master_on_signal},
    {SIGCHLD, master_on_signal},
    {SIGPIPE, NULL},
    {SIGXFSZ, NULL},
};

/* ---- start and end ---- */

/* Returns 0 or an exit status. */
static int master_open_control(struct master *master)
{
    const struct config_global *global = &master->config->global;
    const struct directive_origin *origin = &global->origins[DIRECTIVE_GLOBAL_control_listen];
    struct socket_spec spec;
    char error[ERROR_SIZE];
    if (global->control_listen.kind != VALUE_PARSE_ADDRESS_UNIX)
        return 0;
    if (control_server_spec(global, &spec, error, sizeof error) != 0) {
        log_alert("%s", error);
        return EX_CONFIG;
    }
    if (control_server_open(&master->control, master->loop, &spec, commands_table,
                            &master->commands, error, sizeof error) == 0) {
        master->listening = true;
        return 0;
    }
    int status = socket_may_pass(errno) ? EX_SOFTWARE : EX_CONFIG;
    if (origin->file != NULL)
        log_alert("%s:%u: `control.listen`: %s", origin->file, origin->line, error);
    else
        log_alert("`control.listen` (by default): %s", error);
    return status;
}

/* Restores the state after an upgrade. What cannot be restored is stopped. */
static int master_restore(struct master *master)
{
    struct upgrade_saved *saved = master->hooks->saved;
    const struct upgrade_manager *manager = &saved->manager;
    struct socket_spec spec = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
    char error[ERROR_SIZE];
    if (control_server_spec(&master->config->global, &spec, error, sizeof error) != 0)
        log_error("%s", error);
    master->announced = true;
    master->state = (enum master_state)manager->state;
    master->started = manager->started;
    master->reloads = manager->reloads;
    master->waiting_count = manager->waiting_count;
    memcpy(master->waiting, manager->waiting, sizeof master->waiting);
    pool_set_begin(&master->pools, master->loop, master->config, &master_pools_events, master);
    int result = upgrade_restore(saved, master->loop, &master->pools, &master->control, &spec,
                                 commands_table, &master->commands, error, sizeof error);
    master->listening = manager->listening && master->control.listener.fd >= 0;
    if (result == 0) {
        master_come(master);
        return 0;
    }
    log_alert("upgrade: %s", error);
    master_stop(master, POOL_STOP_NOW, "failed upgrade");
    return EX_SOFTWARE;
}

static void master_on_nothing(struct ev_loop *loop, ev_periodic *periodic, int events)
{
}

/* The default loop of libev would reap children that are ours to reap. Returns NULL without
 * resources. */
static struct ev_loop *master_new_loop(void)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
    ev_periodic calendar;
    if (loop == NULL)
        return NULL;
    /* libev checks once a minute whether the clock was set, unless the kernel reports it, which
     * libev asks for with the first periodic watcher: an idle manager then sleeps on. */
    ev_periodic_init(&calendar, master_on_nothing, 0., 0., NULL);
    ev_periodic_start(loop, &calendar);
    ev_periodic_stop(loop, &calendar);
    return loop;
}

/* Returns 0 or an exit status. */
static int master_open(struct master *master)
{
    master->loop = master_new_loop();
    if (master->loop == NULL) {
        log_alert("cannot make an event loop");
        return EX_SOFTWARE;
    }
    ev_timer_init(&master->sweep, master_on_sweep, 0., 0.);
    master->sweep.data = master;
    ev_timer_init(&master->proof, master_on_proof, 0., MASTER_PROOF);
    master->proof.data = master;
    systemd_watchdog_init(&master->watchdog, master->loop, &master->pools);
    upgrade_init(&master->upgrade, master->loop, &master->hooks->program, &master->pools,
                 &master->control, &master_upgrade_events, master);
    trace_runner_open(master->loop);
    signals_start(&master->signals, master->loop, master_signals,
                  sizeof master_signals / sizeof *master_signals, master);
    /* What a worker's process leaves behind becomes our child: its end is noticed, and its number
     * cannot become another's before. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        log_warning("cannot become the reaper of what workers leave behind: %s", strerror(errno));
    master->control.listener.fd = -1;
    if (master->hooks->saved != NULL)
        return 0;
    char error[ERROR_SIZE];
    int status = master_open_control(master);
    if (status != 0)
        return status;
    orphan_workers_open(master->loop, master->hooks->take_over);
    status = pool_set_open(&master->pools, master->loop, master->config, &master_pools_events,
                           master, error, sizeof error);
    orphan_workers_started();
    if (status != 0)
        log_alert("%s", error);
    return status;
}

static void master_close(struct master *master)
{
    upgrade_stop(&master->upgrade);
    if (master->loop != NULL)
        pool_set_close(&master->pools);
    trace_runner_finish();
    access_log_finish();
    backoff_free_crashes(&master->crashes);
    master->hooks->down(master->hooks->context);
    if (master->listening)
        control_server_close(&master->control);
    if (master->loop == NULL)
        return;
    orphan_workers_close();
    ev_timer_stop(master->loop, &master->sweep);
    ev_timer_stop(master->loop, &master->proof);
    systemd_watchdog_stop(&master->watchdog);
    signals_stop(&master->signals);
    ev_loop_destroy(master->loop);
}

int master_run(struct config *config, const struct master_hooks *hooks)
{
    struct master master = {.config = config_keep(config), .hooks = hooks, .started = clock_ms()};
    master.commands = (struct commands){.config = config,
                                        .pools = &master.pools,
                                        .state = master_state_name,
                                        .stop = master_stop,
                                        .reload = master_reload,
                                        .wait = master_wait,
                                        .reopen_logs = master_reopen_logs,
                                        .upgrade = master_upgrade,
                                        .answer = master_answer,
                                        .owner = &master};
    char uptime[32];
    log_debug("starting with %s, version %s", config->file, OVERTIME_VERSION);
    master.exit_status = master_open(&master);
    if (master.exit_status == 0) {
        if (hooks->saved != NULL)
            master.exit_status = master_restore(&master);
        else
            pool_set_start(&master.pools);
        master_changed(&master);
        /* Children that ended before SIGCHLD was handled: of the program that executed us. */
        child_reap_all(master_orphan);
        ev_run(master.loop, 0);
    }
    master_close(&master);
    config_free(&master.config);
    scalar_duration(clock_ms() - master.started, uptime, sizeof uptime);
    log_notice("%s after %s", master.exit_status == 0 ? "stopped" : "start failed", uptime);
    return master.exit_status;
}
