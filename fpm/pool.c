/* pool.c: see pool.h. */
#include "fpm/pool.h"

#include "fpm/account.h"
#include "fpm/clock.h"
#include "fpm/fd.h"
#include "fpm/inherited.h"
#include "fpm/obituary.h"
#include "fpm/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    POOL_SENTENCE = 1024,
    POOL_DECORATION = 128, /* room that time, pool and process number take in a line */
    POOL_LINE_MAX = 65536
};

static void pool_fill(struct pool *pool);

/* ---- what workers write ---- */

static void pool_log_output(const struct pool_stream *stream, const char *text, bool begins,
                            bool ends)
{
    const struct pool *pool = stream->member->pool;
    bool error = stream == &stream->member->error;
    enum log_level level = error ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE;
    if (!pool->conf->decorate_workers_output) {
        log_raw(level, text);
        return;
    }
    log_at(level, "[pool %s] child %d said into %s: %s\"%s\"%s", pool->conf->name,
           (int)stream->member->worker.pid, stream->name, begins ? "" : "... ", text,
           ends ? "" : " ...");
}

/* Escapes make a text longer, so that a piece of output may need several lines of the log. */
static void pool_on_line(void *context, const char *text, size_t length, bool begins, bool ends)
{
    static char shown[POOL_LINE_MAX];
    struct pool_stream *stream = context;
    size_t limit = stream->capture.limit + 1;
    do {
        size_t taken = text_printable(shown, limit, text, length);
        text += taken;
        length -= taken;
        pool_log_output(stream, shown, begins, ends && length == 0);
        begins = false;
    } while (length > 0);
}

/* Where the worker's stream goes: a pipe of ours or /dev/null. Returns -1 with errno. */
static int pool_stream_open(struct pool_stream *stream)
{
    const struct pool *pool = stream->member->pool;
    size_t limit = (size_t)pool->global->log_limit - POOL_DECORATION;
    if (!pool->conf->catch_workers_output)
        return fcntl(pool->null_fd, F_DUPFD_CLOEXEC, 0);
    if (capture_init(&stream->capture, limit, pool_on_line, stream) != 0)
        return -1;
    return capture_open(&stream->capture, pool->loop);
}

/* ---- what is known of the dead ---- */

static void pool_take_over(struct pool *pool, const struct scoreboard_view *view)
{
    struct pool_totals *totals = &pool->totals;
    totals->requests += view->requests;
    totals->finished += view->finished;
    totals->aborted += view->aborted;
    totals->timed_out += view->timed_out;
    totals->dropped += view->dropped;
    totals->discarded += view->discarded;
    totals->shutdown_run += view->shutdown_run;
    totals->shutdown_late += view->shutdown_late;
    totals->shutdown_lost += view->shutdown_lost;
}

/* Requests begun by all workers so far. */
static uint64_t pool_served(const struct pool *pool)
{
    uint64_t served = pool->totals.requests;
    for (unsigned i = 0; i < pool->size; i++)
        if (pool->members[i].worker.state != WORKER_NONE)
            served += scoreboard_requests(&pool->scoreboard, i);
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
    if (!news || pool->stop != POOL_STAY)
        return;
    char delay[32];
    text_duration(wait, delay, sizeof delay);
    log_at(death->exec_failed ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
           "pool %s: %s; next start in %s", pool->conf->name, cause, delay);
}

static void pool_start_failed(struct pool *pool, const char *why, int64_t started)
{
    char cause[POOL_SENTENCE];
    struct backoff_death death = {
        .exec_failed = true, .started = started, .exit_status = -1, .signal = 0};
    pool->totals.start_failures++;
    pool->failed += pool->failed < pool->size;
    snprintf(cause, sizeof cause, "cannot start worker: %s", why);
    pool_note_death(pool, &death, cause);
}

static void pool_died(struct pool_member *member, const struct scoreboard_view *view)
{
    struct pool *pool = member->pool;
    const struct worker *worker = &member->worker;
    int status = worker->status;
    struct obituary obituary = {
        .pool = pool->conf->name,
        .pid = worker->pid,
        .slot = member->slot,
        .status = status,
        .uptime = clock_ms() - worker->started,
        .asked = worker->asked,
        .view = view,
    };
    struct backoff_death death = {
        .started = worker->started,
        .asked = worker->asked,
        .attached = view->attached,
        .accepting = view->lead.state != OT_STATE_STARTING,
        .served = view->requests,
        .exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
    };
    char line[OBITUARY_MAX];
    enum log_level level = obituary_compose(&obituary, clock_ns(), line, sizeof line);
    log_at(level, "%s", line);
    pool->totals.died += !worker->asked;
    pool_note_death(pool, &death, "workers die young without having served a request");
}

/* A worker that died after the kernel had woken it alone for a connection took the wake-up with it:
 * the connection would wait for the next one to arrive. The signal is ignored by who does not know
 * it and makes a waiting library look again. */
static void pool_pass_wakeup_on(struct pool *pool)
{
    if (!socket_pending(pool->listener.fd) && !socket_pending(pool->handoff[0]))
        return;
    for (unsigned i = 0; i < pool->size; i++) {
        struct scoreboard_view view;
        if (pool->members[i].worker.state != WORKER_RUNNING)
            continue;
        scoreboard_look(&pool->scoreboard, i, &view);
        if (view.attached && view.busy < view.threads && view.lead.state != OT_STATE_STARTING) {
            worker_signal(&pool->members[i].worker, SIGURG);
            return;
        }
    }
}

/* ---- news from workers ---- */

/* The one place where a member changes its state. */
static void pool_worker_moved(struct worker *worker, enum worker_state from, enum worker_state to)
{
    struct pool_member *member = worker->owner;
    struct pool *pool = member->pool;
    pool->counts[from]--;
    pool->counts[to]++;
    pool->live = pool->size - pool->counts[WORKER_NONE];
    log_debug("pool %s: worker %d (slot %u): %s -> %s", pool->conf->name, (int)worker->pid,
              member->slot, worker_state_name(from), worker_state_name(to));
    if (from == WORKER_STARTING && to == WORKER_RUNNING) {
        pool->started += pool->started < pool->size;
        pool->changed(pool, pool->context);
    }
}

/* It was asked to go, and the time for that is over. */
static void pool_worker_overdue(struct worker *worker)
{
    struct pool_member *member = worker->owner;
    struct pool *pool = member->pool;
    struct scoreboard_view view;
    char doing[OBITUARY_MAX], waited[32];
    scoreboard_look(&pool->scoreboard, member->slot, &view);
    obituary_doing(&view, clock_ns(), doing, sizeof doing);
    text_duration(clock_ms() - worker->asked_since, waited, sizeof waited);
    log_warning(
        "pool %s: worker %d (slot %u) is killed %s: it did not end within %s of being asked "
        "to; see `process_control_timeout`",
        pool->conf->name, (int)worker->pid, member->slot, doing, waited);
    worker_kill(worker);
}

static void pool_worker_ended(struct worker *worker)
{
    struct pool_member *member = worker->owner;
    struct pool *pool = member->pool;
    struct scoreboard_view view;
    scoreboard_look(&pool->scoreboard, member->slot, &view);
    if (view.alien != 0 && log_episode_begin(&pool->alien))
        log_warning("pool %s: workers run a library of treaty version %u, this manager speaks %u: "
                    "they are treated as programs without the library",
                    pool->conf->name, view.alien, OT_TREATY_VERSION);
    capture_close(&member->output.capture);
    capture_close(&member->error.capture);
    if (worker->start_failed) {
        char why[POOL_SENTENCE];
        launch_explain(&pool->spec.launch, &worker->failure, why, sizeof why);
        pool_start_failed(pool, why, worker->started);
    } else {
        pool_died(member, &view);
    }
    pool_take_over(pool, &view);
    scoreboard_release(&pool->scoreboard, member->slot);
    if (!worker->asked)
        pool_pass_wakeup_on(pool);
    pool_fill(pool);
    pool->changed(pool, pool->context);
}

static const struct worker_events pool_worker_events = {
    .moved = pool_worker_moved,
    .overdue = pool_worker_overdue,
    .ended = pool_worker_ended,
};

/* ---- starting ---- */

/* What one worker lacked, the next would lack too: the start is decided when those that are on
 * their way have told, not after as many waits as workers are missing. */
static void pool_start_gave_up(struct pool *pool)
{
    unsigned others = pool->started + pool->counts[WORKER_STARTING];
    unsigned missing = pool->size > others ? pool->size - others : 0;
    if (pool->failed < missing)
        pool->failed = missing;
}

/* The slot is taken; whatever fails is told to the back-off, which then has the pool wait. */
static void pool_spawn(struct pool *pool, unsigned slot)
{
    struct pool_member *member = &pool->members[slot];
    struct launch_spec *launch = &pool->spec.launch;
    char error[POOL_SENTENCE];
    bool good = false;
    spec_slot(&pool->spec, slot);
    launch->output_fd = pool_stream_open(&member->output);
    launch->error_fd = pool_stream_open(&member->error);
    if (launch->output_fd < 0 || launch->error_fd < 0)
        snprintf(error, sizeof error, "open its output: %s; check `rlimit_files` in [global]",
                 strerror(errno));
    else
        good = worker_spawn(&member->worker, launch, error, sizeof error) == 0;
    fd_close(&launch->output_fd);
    fd_close(&launch->error_fd);
    if (good) {
        pool->totals.spawned++;
        return;
    }
    capture_close(&member->output.capture);
    capture_close(&member->error.capture);
    scoreboard_release(&pool->scoreboard, slot);
    pool_start_failed(pool, error, clock_ms());
    pool_start_gave_up(pool);
}

/* As many workers as shall be, unless the back-off says wait. */
static void pool_fill(struct pool *pool)
{
    if (pool->stop != POOL_STAY)
        return;
    while (pool->live < pool->size) {
        int64_t wait = backoff_wait(&pool->backoff, clock_ms());
        if (wait > 0) {
            if (!ev_is_active(&pool->respawn)) {
                ev_now_update(pool->loop);
                ev_timer_set(&pool->respawn, (double)wait / 1000., 0.);
                ev_timer_start(pool->loop, &pool->respawn);
            }
            return;
        }
        int slot = scoreboard_assign(&pool->scoreboard);
        if (slot < 0)
            return;
        pool_spawn(pool, (unsigned)slot);
    }
}

static void pool_on_respawn(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct pool *pool = timer->data;
    pool_fill(pool);
    pool->changed(pool, pool->context);
}

void pool_start(struct pool *pool)
{
    pool_fill(pool);
}

bool pool_ready(const struct pool *pool)
{
    return pool->started >= pool->size;
}

bool pool_settled(const struct pool *pool)
{
    return pool->started + pool->failed >= pool->size;
}

/* ---- stopping ---- */

/* TERM is what ends a program that does not know us; the library knows QUIT. */
static void pool_stop_gracefully(struct pool_member *member, long patience)
{
    struct scoreboard_view view;
    scoreboard_look(&member->pool->scoreboard, member->slot, &view);
    worker_stop(&member->worker, view.attached ? SIGQUIT : SIGTERM, patience);
}

void pool_stop(struct pool *pool, enum pool_stop how)
{
    if (how <= pool->stop)
        return;
    pool->stop = how;
    ev_timer_stop(pool->loop, &pool->respawn);
    long patience = (long)pool->global->process_control_timeout;
    for (unsigned i = 0; i < pool->size; i++) {
        struct pool_member *member = &pool->members[i];
        if (how == POOL_STOP_GRACEFUL)
            pool_stop_gracefully(member, patience);
        else if (how == POOL_STOP_NOW)
            worker_stop(&member->worker, SIGTERM, patience);
        else
            worker_kill(&member->worker);
    }
}

/* ---- opening and closing ---- */

/* Returns 0 or an exit status, as pool_open. */
static int pool_listen(struct pool *pool, char *error, size_t size)
{
    const struct conf_pool *conf = pool->conf;
    const struct conf_identity *identity = &conf->identity;
    struct account owner = {.uid = identity->change ? identity->uid : (uid_t)-1};
    gid_t group = identity->change ? identity->gid : (gid_t)-1;
    if ((conf->listen_owner != NULL &&
         account_user(conf->listen_owner, &owner, error, size) != 0) ||
        (conf->listen_group != NULL && account_group(conf->listen_group, &group, error, size) != 0))
        return EX_SOFTWARE;
    struct socket_spec spec = {
        .path = conf->listen.kind == CONF_ADDRESS_UNIX ? conf->listen.path : NULL,
        .host = conf->listen.host,
        .port = conf->listen.port,
        .backlog = (int)conf->listen_backlog,
        .mode = conf->listen_mode,
        .uid = owner.uid,
        .gid = group,
    };
    char why[POOL_SENTENCE];
    int taken = inherited_take(conf->name, &spec, &pool->listener, why, sizeof why);
    if (taken > 0 && *why != '\0')
        log_warning("pool %s: `listen = %s`: %s", conf->name, conf->listen.text, why);
    if (taken > 0 || (taken == 0 && socket_listen(&pool->listener, &spec, why, sizeof why) == 0))
        return 0;
    if (taken == 0 && errno == EMFILE) {
        snprintf(error, size, "%s", why);
        return EX_SOFTWARE;
    }
    snprintf(error, size, "`listen = %s`: %s", conf->listen.text, why);
    return EX_CONFIG;
}

/* The settings a worker reads from its board, each from the directive of the same name. */
static struct ot_settings pool_settings(const struct conf_pool *conf)
{
    return (struct ot_settings){
        .ignore_user_abort = conf->ignore_user_abort,
        .abort_detection = conf->abort_detection,
        .drop_dead_on_arrival = conf->drop_dead_on_arrival,
        .bailout = conf->bailout,
        .max_execution_time = conf->max_execution_time,
        .max_execution_cpu_time = conf->max_execution_cpu_time,
        .hard_timeout = conf->hard_timeout,
        .post_response_time_limit = conf->post_response_time_limit,
        .shutdown_functions_time_limit = conf->shutdown_functions_time_limit,
        .request_header_timeout = conf->request_header_timeout,
        .keepalive_timeout = conf->keepalive_timeout,
        .keepalive_max = (uint64_t)conf->keepalive_max,
        .limit_params_size = (uint64_t)conf->limit_params_size,
        .dumpable = conf->rlimit_core > 0 || !conf->identity.change,
        .max_requests = (uint64_t)conf->pm_max_requests,
        .max_requests_jitter = (uint64_t)conf->pm_max_requests_jitter,
        .max_memory = (uint64_t)conf->pm_max_memory,
    };
}

static int pool_make_members(struct pool *pool, char *error, size_t size)
{
    pool->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pool->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    pool->members = calloc(pool->size, sizeof *pool->members);
    if (pool->doorbell_fd < 0 || pool->null_fd < 0 || pool->members == NULL ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pool->handoff) != 0) {
        snprintf(error, size, "cannot prepare the pool: %s", strerror(errno));
        return -1;
    }
    for (unsigned i = 0; i < pool->size; i++) {
        struct pool_member *member = &pool->members[i];
        member->pool = pool;
        member->slot = i;
        worker_init(&member->worker, pool->loop, &pool_worker_events, member);
        member->output = (struct pool_stream){member, "stdout", CAPTURE_NONE};
        member->error = (struct pool_stream){member, "stderr", CAPTURE_NONE};
    }
    pool->counts[WORKER_NONE] = pool->size;
    return 0;
}

static void pool_prepare_launch(struct pool *pool)
{
    struct launch_spec *launch = &pool->spec.launch;
    launch->listen_fd = pool->listener.fd;
    launch->board_fd = pool->scoreboard.read_fd;
    launch->slot_fd = pool->scoreboard.fd;
    launch->doorbell_fd = pool->doorbell_fd;
    launch->handoff_in = pool->handoff[0];
    launch->handoff_out = pool->handoff[1];
}

int pool_open(struct pool *pool, struct ev_loop *loop, const struct conf_global *global,
              const struct conf_pool *conf, char *error, size_t size)
{
    *pool = (struct pool){
        .conf = conf,
        .global = global,
        .loop = loop,
        .listener = SOCKET_NONE,
        .scoreboard = {.fd = -1, .read_fd = -1},
        .doorbell_fd = -1,
        .handoff = {-1, -1},
        .null_fd = -1,
        .size = (unsigned)conf->pm_max_children,
        .opened = clock_ms(),
        .opened_time = time(NULL),
    };
    struct ot_settings settings = pool_settings(conf);
    ev_timer_init(&pool->respawn, pool_on_respawn, 0., 0.);
    pool->respawn.data = pool;
    errno = 0;
    int status = pool_listen(pool, error, size);
    if (status == 0 && (scoreboard_create(&pool->scoreboard, conf->name, pool->size, &settings,
                                          error, size) != 0 ||
                        spec_build(&pool->spec, conf, error, size) != 0 ||
                        pool_make_members(pool, error, size) != 0))
        status = EX_SOFTWARE;
    if (status != 0) {
        size_t used = strlen(error);
        if (errno == EMFILE)
            snprintf(error + used, size - used, "; check `rlimit_files` in [global]");
        pool_close(pool);
        return status;
    }
    pool_prepare_launch(pool);
    return 0;
}

void pool_close(struct pool *pool)
{
    ev_timer_stop(pool->loop, &pool->respawn);
    free(pool->members);
    pool->members = NULL;
    spec_free(&pool->spec);
    fd_close(&pool->null_fd);
    fd_close(&pool->doorbell_fd);
    fd_close(&pool->handoff[0]);
    fd_close(&pool->handoff[1]);
    scoreboard_destroy(&pool->scoreboard);
    socket_close(&pool->listener);
}
