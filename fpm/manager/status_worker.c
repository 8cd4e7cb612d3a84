/* status_worker.c: see status_worker.h. */
#include "fpm/manager/status_worker.h"

#include "fpm/log/log.h"
#include "fpm/util/error.h"
#include "fpm/util/fd.h"
#include "fpm/worker/helper_process.h"
#include "fpm/worker/launch_spec.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STATUS_WORKER_GRACE = 2000, /* ms that it has to finish an answer */
    STATUS_WORKER_BOARDS = 6    /* generations that it shows at most */
};

/* ---- the socket ---- */

static bool status_worker_wanted(const struct status_worker_process *status)
{
    return status->pool->stop == POOL_STOP_NONE &&
           pool_settings(status->pool)->pm_status_listen.kind != VALUE_PARSE_ADDRESS_NONE;
}

static void status_worker_close_socket(struct status_worker_process *status)
{
    socket_close(&status->listener);
    free(status->listens);
    status->listens = NULL;
}

int status_worker_listen(struct status_worker_process *status, char *error, size_t size)
{
    const struct config_pool *settings = pool_settings(status->pool);
    const struct value_parse_address *address = &settings->pm_status_listen;
    struct socket_spec spec;
    char why[ERROR_SIZE];
    if (!status_worker_wanted(status) ||
        (status->listens != NULL && strcmp(status->listens, address->text) == 0))
        return 0;
    status_worker_close_socket(status);
    if (pool_socket_spec(settings, &spec, error, size) != 0)
        return -1;
    spec.path = address->kind == VALUE_PARSE_ADDRESS_UNIX ? address->path : NULL;
    spec.host = address->host;
    spec.port = address->port;
    if (socket_listen(&status->listener, &spec, why, sizeof why) != 0) {
        snprintf(error, size, "`pm.status_listen = %s`: %s", address->text, why);
        return -1;
    }
    status->listens = strdup(address->text);
    return 0;
}

/* ---- the process ---- */

static void status_worker_retry(struct status_worker_process *status, int64_t in)
{
    ev_timer_stop(status->loop, &status->retry);
    ev_now_update(status->loop);
    ev_timer_set(&status->retry, (double)in / 1000., 0.);
    ev_timer_start(status->loop, &status->retry);
}

static void status_worker_failed(struct status_worker_process *status, const char *why)
{
    struct backoff_death death = {.now = clock_ms(), .exec_failed = true, .exit_status = -1};
    bool new_step = false;
    int64_t wait = backoff_note(&status->backoff, &death, &new_step);
    if (new_step)
        log_pool(LOG_LEVEL_ERROR, status->pool->name, "%s; `pm.status_listen` is not answered",
                 why);
    status_worker_retry(status, wait);
}

/* In place of what workers inherit, the program gets the scoreboards from OT_FD_BOARD on, the
 * current one first. */
static void status_worker_boards(struct pool *pool, int fds[STATUS_WORKER_BOARDS])
{
    struct generation *generation = pool->current;
    for (size_t i = 0; i < STATUS_WORKER_BOARDS; i++) {
        fds[i] = generation != NULL && scoreboard_share(&generation->scoreboard) == 0
                     ? scoreboard_read_only(&generation->scoreboard)
                     : -1;
        generation = generation != NULL ? generation->older : NULL;
    }
}

static int status_worker_launch(struct status_worker_process *status, struct launch_spec *spec,
                                char *error, size_t size)
{
    char path[PATH_MAX];
    char name[] = STATUS_WORKER_PROGRAM;
    char pool[OT_POOL_NAME_MAX + 16], none[] = "";
    const struct config_pool *settings = pool_settings(status->pool);
    char *argv[] = {name,
                    pool,
                    settings->pm_status_path != NULL ? settings->pm_status_path : none,
                    settings->ping_path != NULL ? settings->ping_path : none,
                    settings->ping_response,
                    NULL};
    struct launch_arguments *launch = &spec->launch;
    int boards[STATUS_WORKER_BOARDS];
    int *const places[STATUS_WORKER_BOARDS] = {&launch->board_fd,         &launch->slot_fd,
                                               &launch->doorbell_fd,      &launch->conn_handoff_in,
                                               &launch->conn_handoff_out, &launch->access_log_fd};
    size_t count = 0;
    if (helper_process_find(name, path, sizeof path, error, size) != 0)
        return -1;
    while (spec->environment[count] != NULL)
        count++;
    char **environment = calloc(count + 1, sizeof *environment);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int result = -1;
    snprintf(pool, sizeof pool, "pool %s", status->pool->name);
    if (environment == NULL || null < 0) {
        snprintf(error, size, "cannot start it: %s", strerror(errno));
    } else {
        /* The pool's environment without the contract, which is first, and without variables that
         * would load other code into our program. */
        size_t used = 0;
        for (size_t i = 1; i < count; i++)
            if (strncmp(spec->environment[i], "LD_", 3) != 0)
                environment[used++] = spec->environment[i];
        launch->program = path;
        launch->argv = argv;
        launch->envp = environment;
        launch->chroot = NULL;
        launch->chdir = "/";
        launch->listen_fd = status->listener.fd;
        launch->output_fd = launch->error_fd = null;
        launch->core.set = launch->address_space.set = launch->priority.set = false;
        launch->no_new_privs = true;
        status_worker_boards(status->pool, boards);
        for (size_t i = 0; i < STATUS_WORKER_BOARDS; i++)
            *places[i] = boards[i];
        if (boards[0] >= 0)
            result = worker_spawn(&status->worker, launch, error, size);
        else
            snprintf(error, size,
                     "cannot share its scoreboard: %s; check `rlimit_files` in [global]",
                     strerror(errno));
        for (size_t i = 0; i < STATUS_WORKER_BOARDS; i++)
            fd_close(&boards[i]);
    }
    fd_close(&null);
    free(environment);
    return result;
}

static void status_worker_start(struct status_worker_process *status)
{
    struct launch_spec spec;
    char error[ERROR_SIZE];
    int built = launch_spec_build(&spec, pool_settings(status->pool), error, sizeof error);
    status->generation = status->pool->current;
    if (built != 0 || status_worker_launch(status, &spec, error, sizeof error) != 0)
        status_worker_failed(status, error);
    if (built == 0)
        launch_spec_free(&spec);
}

/* ---- its events ---- */

static void status_worker_moved(struct worker *worker, enum worker_state from, enum worker_state to)
{
    const struct status_worker_process *status = worker->owner;
    log_debug("pool %s: status worker %d: %s -> %s", status->pool->name, (int)worker->pid,
              worker_state_name(from), worker_state_name(to));
}

static void status_worker_stop_timeout(struct worker *worker)
{
    worker_kill(worker);
}

static void status_worker_ended(struct worker *worker)
{
    struct status_worker_process *status = worker->owner;
    char why[ERROR_SIZE];
    if (worker->start_failed) {
        snprintf(why, sizeof why, "cannot start its status worker: %s",
                 worker->failure.error == EINTR ? "another process of its user stopped it"
                                                : strerror(worker->failure.error));
        status_worker_failed(status, why);
    } else if (worker->stop_requested) {
        status_worker_retry(status, 0);
    } else {
        snprintf(why, sizeof why, "its status worker %d ended with status %#x", (int)worker->pid,
                 (unsigned)worker->status);
        if (clock_ms() - worker->started >= BACKOFF_STABLE_MS)
            status->backoff = (struct backoff){0};
        status_worker_failed(status, why);
    }
}

static const struct worker_events status_worker_events = {
    .moved = status_worker_moved,
    .stop_timeout = status_worker_stop_timeout,
    .ended = status_worker_ended,
};

static void status_worker_on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    status_worker_update(timer->data);
}

/* ---- what the pool needs ---- */

void status_worker_init(struct status_worker_process *status, struct ev_loop *loop,
                        struct pool *pool)
{
    *status = (struct status_worker_process){.pool = pool, .loop = loop, .listener = SOCKET_NONE};
    worker_init(&status->worker, loop, &status_worker_events, status);
    ev_timer_init(&status->retry, status_worker_on_retry, 0., 0.);
    status->retry.data = status;
}

/* Its descriptors do not change while it runs: another socket or generation needs another process.
 */
static bool status_worker_stale(const struct status_worker_process *status)
{
    const struct value_parse_address *address = &pool_settings(status->pool)->pm_status_listen;
    return !status_worker_wanted(status) || status->generation != status->pool->current ||
           status->listens == NULL || strcmp(status->listens, address->text) != 0;
}

void status_worker_update(struct status_worker_process *status)
{
    char error[ERROR_SIZE];
    bool runs = status->worker.state != WORKER_NONE;
    if (runs && status_worker_stale(status) && status->worker.state != WORKER_STOPPING &&
        status->worker.state != WORKER_KILLED)
        worker_stop(&status->worker, SIGTERM, STATUS_WORKER_GRACE);
    if (runs)
        return;
    if (!status_worker_wanted(status)) {
        status_worker_close_socket(status);
        return;
    }
    int64_t wait = backoff_wait(&status->backoff, clock_ms());
    if (wait > 0) {
        if (!ev_is_active(&status->retry))
            status_worker_retry(status, wait);
        return;
    }
    if (status_worker_listen(status, error, sizeof error) != 0)
        status_worker_failed(status, error);
    else
        status_worker_start(status);
}

void status_worker_close(struct status_worker_process *status)
{
    pid_t pid = status->worker.state != WORKER_NONE ? status->worker.pid : 0;
    ev_timer_stop(status->loop, &status->retry);
    if (pid > 0) {
        worker_kill(&status->worker);
        child_forget(&status->worker.child);
        ev_io_stop(status->loop, &status->worker.report);
        fd_close(&status->worker.report_fd);
        for (int ms = 0; ms < STATUS_WORKER_GRACE && waitpid(pid, NULL, WNOHANG) == 0; ms++)
            (void)usleep(1000);
        worker_init(&status->worker, status->loop, &status_worker_events, status);
    }
    status_worker_close_socket(status);
}
