/* worker.c: see worker.h. */
#include "fpm/worker/worker.h"

#include "sapi-shim/util/clock.h"
#include "fpm/util/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

const char *worker_state_name(enum worker_state state)
{
    static const char *const names[WORKER_STATE_COUNT] = {
        [WORKER_NONE] = "none",       [WORKER_STARTING] = "starting",
        [WORKER_RUNNING] = "running", [WORKER_STOPPING] = "stopping",
        [WORKER_KILLED] = "killed",
    };
    return state < WORKER_STATE_COUNT ? names[state] : "unknown";
}

static void worker_move(struct worker *worker, enum worker_state to)
{
    enum worker_state from = worker->state;
    worker->state = to;
    worker->events->moved(worker, from, to);
}

/* The report pipe has said all it can say, or its child is gone. */
static void worker_read_report(struct worker *worker)
{
    if (worker->report_fd < 0)
        return;
    int told = launch_report(worker->report_fd, &worker->failure);
    if (told == 0)
        return;
    ev_io_stop(worker->loop, &worker->report);
    fd_close(&worker->report_fd);
    if (told < 0)
        worker->start_failed = true;
    else if (worker->state == WORKER_STARTING)
        worker_move(worker, WORKER_RUNNING);
}

static void worker_on_report(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    worker_read_report(io->data);
}

static void worker_on_overdue(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct worker *worker = timer->data;
    worker->events->overdue(worker);
}

static void worker_on_end(struct child *child, int status)
{
    struct worker *worker = child->owner;
    worker->status = status;
    worker_read_report(worker);
    ev_timer_stop(worker->loop, &worker->patience);
    ev_io_stop(worker->loop, &worker->report);
    fd_close(&worker->report_fd);
    worker_move(worker, WORKER_NONE);
    worker->events->ended(worker);
}

void worker_init(struct worker *worker, struct ev_loop *loop, const struct worker_events *events,
                 void *owner)
{
    *worker = (struct worker){
        .report_fd = -1, .loop = loop, .events = events, .owner = owner, .state = WORKER_NONE};
    child_init(&worker->child, loop, worker_on_end, worker);
    ev_timer_init(&worker->patience, worker_on_overdue, 0., 0.);
    worker->patience.data = worker;
}

/* It would run unseen, so it is not let to begin anything. */
static int worker_unwatched(pid_t pid, char *error, size_t size)
{
    const char *remedy = errno == ENOSYS                      ? "; Linux 5.3 or later is needed"
                         : errno == EMFILE || errno == ENFILE ? "; check `rlimit_files` in [global]"
                                                              : "";
    snprintf(error, size, "watch process %d: %s%s", (int)pid, strerror(errno), remedy);
    return -1;
}

static void worker_watch_report(struct worker *worker, int report_fd)
{
    worker->report_fd = report_fd;
    ev_io_init(&worker->report, worker_on_report, report_fd, EV_READ);
    worker->report.data = worker;
    ev_io_start(worker->loop, &worker->report);
}

static void worker_time(struct worker *worker, int64_t patience_ms)
{
    ev_timer_stop(worker->loop, &worker->patience);
    ev_timer_set(&worker->patience, (double)patience_ms / 1000., 0.);
    ev_timer_start(worker->loop, &worker->patience);
}

int worker_spawn(struct worker *worker, const struct launch_arguments *spec, char *error,
                 size_t size)
{
    int report_fd;
    pid_t pid = launch(spec, &report_fd, error, size);
    if (pid < 0)
        return -1;
    worker_init(worker, worker->loop, worker->events, worker->owner);
    if (child_watch(&worker->child, pid) != 0) {
        (void)worker_unwatched(pid, error, size);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        fd_close(&report_fd);
        return -1;
    }
    worker->pid = pid;
    worker->started = clock_ms();
    worker_watch_report(worker, report_fd);
    worker_move(worker, WORKER_STARTING);
    return 0;
}

int worker_adopt(struct worker *worker, const struct worker_heir *heir, char *error, size_t size)
{
    worker_init(worker, worker->loop, worker->events, worker->owner);
    if (child_watch(&worker->child, heir->pid) != 0)
        return worker_unwatched(heir->pid, error, size);
    worker->pid = heir->pid;
    worker->started = heir->started;
    worker->asked = heir->asked;
    worker->asked_since = heir->asked_since;
    if (heir->report_fd >= 0)
        worker_watch_report(worker, heir->report_fd);
    if (heir->patience >= 0)
        worker_time(worker, heir->patience);
    worker_move(worker, heir->state);
    return 0;
}

struct worker_heir worker_leave(struct worker *worker)
{
    bool timed = ev_is_active(&worker->patience);
    double left = timed ? ev_timer_remaining(worker->loop, &worker->patience) : 0.;
    return (struct worker_heir){
        .state = worker->state,
        .pid = worker->pid,
        .started = worker->started,
        .asked_since = worker->asked_since,
        .asked = worker->asked,
        .patience = !timed      ? -1
                    : left > 0. ? (int64_t)(left * 1000.)
                                : 0,
        .report_fd = worker->report_fd,
    };
}

void worker_stop(struct worker *worker, int signal, long patience_ms)
{
    if (worker->state == WORKER_NONE || worker->state == WORKER_KILLED)
        return;
    if (!worker->asked)
        worker->asked_since = clock_ms();
    worker->asked = true;
    worker_time(worker, patience_ms);
    if (signal != 0)
        worker_signal(worker, signal);
    if (worker->state != WORKER_STOPPING)
        worker_move(worker, WORKER_STOPPING);
}

void worker_kill(struct worker *worker)
{
    if (worker->state == WORKER_NONE || worker->state == WORKER_KILLED)
        return;
    if (!worker->asked)
        worker->asked_since = clock_ms();
    worker->asked = true;
    ev_timer_stop(worker->loop, &worker->patience);
    (void)kill(-worker->pid, SIGKILL);
    worker_signal(worker, SIGKILL);
    worker_move(worker, WORKER_KILLED);
}

/* The process is reaped in the turn of the loop that calls worker_on_end: its number is its own. */
void worker_signal(const struct worker *worker, int signal)
{
    if (worker->state != WORKER_NONE)
        (void)kill(worker->pid, signal);
}
