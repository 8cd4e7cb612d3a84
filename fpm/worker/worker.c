/* worker.c: see worker.h. */
#include "fpm/worker/worker.h"

#include "fpm/util/fd.h"
#include "fpm/util/invariant.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum {
    WORKER_START_LOOK = 1,    /* s between looks whether a start goes on */
    WORKER_START_LOOKS = 30,  /* then it is given up */
    WORKER_REST_FIRST = 5,    /* ms until the rest is looked for, doubled up to */
    WORKER_REST_LONGEST = 160 /* ms */
};

const char *worker_state_name(enum worker_state state)
{
    static const char *const names[WORKER_STATE_COUNT] = {
        [WORKER_NONE] = "none",       [WORKER_STARTING] = "starting",
        [WORKER_RUNNING] = "running", [WORKER_STOPPING] = "stopping",
        [WORKER_KILLED] = "killed",
    };
    return state < WORKER_STATE_COUNT ? names[state] : "unknown";
}

#define WORKER_TO(state) (1U << WORKER_##state)

/* A worker that another program started begins in any state. */
static const unsigned char worker_moves[WORKER_STATE_COUNT] = {
    [WORKER_NONE] =
        WORKER_TO(STARTING) | WORKER_TO(RUNNING) | WORKER_TO(STOPPING) | WORKER_TO(KILLED),
    [WORKER_STARTING] =
        WORKER_TO(RUNNING) | WORKER_TO(STOPPING) | WORKER_TO(KILLED) | WORKER_TO(NONE),
    [WORKER_RUNNING] = WORKER_TO(STOPPING) | WORKER_TO(KILLED) | WORKER_TO(NONE),
    [WORKER_STOPPING] = WORKER_TO(KILLED) | WORKER_TO(NONE),
    [WORKER_KILLED] = WORKER_TO(NONE),
};

static void worker_move(struct worker *worker, enum worker_state to)
{
    enum worker_state from = worker->state;
    INVARIANT(from < WORKER_STATE_COUNT && to < WORKER_STATE_COUNT);
    INVARIANT((worker_moves[from] >> to & 1) != 0);
    INVARIANT(to == WORKER_NONE || worker->pid > 0);
    worker->state = to;
    worker->events->moved(worker, from, to);
}

static void worker_end_report(struct worker *worker)
{
    ev_timer_stop(worker->loop, &worker->start_timer);
    ev_io_stop(worker->loop, &worker->report);
    fd_close(&worker->report_fd);
}

/* Reads the report of the start, if it is there. */
static void worker_read_report(struct worker *worker)
{
    if (worker->report_fd < 0)
        return;
    int result = launch_report(worker->report_fd, &worker->failure);
    if (result == 0)
        return;
    worker_end_report(worker);
    if (result < 0)
        worker->start_failed = true;
    else if (worker->state == WORKER_STARTING)
        worker_move(worker, WORKER_RUNNING);
}

static void worker_on_report(struct ev_loop *loop, ev_io *io, int events)
{
    worker_read_report(io->data);
}

/* From its change of user on, others of that user can stop a process that has not executed its
 * program. A slow disk may take long, too, which is no reason to begin again. */
static void worker_on_start_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct worker *worker = timer->data;
    struct process_tree_process process = {.stopped = false};
    worker_read_report(worker);
    if (worker->report_fd < 0)
        return;
    (void)process_tree_read(worker->pid, &process);
    if (!process.stopped && ++worker->start_looks < WORKER_START_LOOKS)
        return;
    worker_end_report(worker);
    worker->failure = launch_without_report(process.stopped);
    worker->start_failed = true;
    worker_kill(worker);
}

static void worker_on_stop_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct worker *worker = timer->data;
    INVARIANT(worker->state != WORKER_NONE && worker->state != WORKER_KILLED);
    INVARIANT(worker->stop_since != 0);
    worker->stop_at = -1;
    worker->events->stop_timeout(worker);
}

static void worker_finish(struct worker *worker)
{
    INVARIANT(worker->state != WORKER_NONE);
    INVARIANT(!worker->tree.led && worker->child.pid == 0 && worker->report_fd < 0);
    ev_timer_stop(worker->loop, &worker->stop_timer);
    ev_timer_stop(worker->loop, &worker->rest);
    process_tree_free(&worker->tree);
    worker_move(worker, WORKER_NONE);
    worker->events->ended(worker);
}

static void worker_set_rest_timer(struct worker *worker, double seconds)
{
    ev_timer_stop(worker->loop, &worker->rest);
    ev_timer_set(&worker->rest, 0., seconds);
    ev_timer_again(worker->loop, &worker->rest);
}

/* The first look comes after what ended together with the first process is reaped. What was killed
 * may have forked before it died. */
static void worker_on_rest(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct worker *worker = timer->data;
    struct process_tree_list rest;
    INVARIANT(worker->state != WORKER_NONE && !worker->tree.led);
    process_tree_look(&worker->tree, &rest);
    INVARIANT(rest.count <= PROCESS_TREE_MAX);
    if (rest.count == 0 && !process_tree_may_remain(&worker->tree)) {
        worker_finish(worker);
        return;
    }
    double pause = timer->repeat * 2.;
    worker_set_rest_timer(
        worker, pause < WORKER_REST_LONGEST / 1000. ? pause : WORKER_REST_LONGEST / 1000.);
    if (worker->state == WORKER_KILLED) {
        process_tree_signal(&worker->tree, SIGKILL);
    } else if (!worker->rest_told && rest.count > 0) {
        worker->rest_told = true;
        worker->events->outlived(worker, &rest);
    }
}

static void worker_on_end(struct child *child, int status)
{
    struct worker *worker = child->owner;
    INVARIANT(worker->state != WORKER_NONE && worker->tree.led);
    worker->status = status;
    worker_read_report(worker);
    worker_end_report(worker);
    worker->tree.led = false;
    if (worker->events->leader_ended != NULL)
        worker->events->leader_ended(worker);
    if (worker->events->outlived != NULL && process_tree_may_remain(&worker->tree))
        worker_set_rest_timer(worker, WORKER_REST_FIRST / 1000.);
    else
        worker_finish(worker);
}

void worker_init(struct worker *worker, struct ev_loop *loop, const struct worker_events *events,
                 void *owner)
{
    *worker = (struct worker){
        .report_fd = -1, .stop_at = -1, .loop = loop, .events = events, .owner = owner};
    child_init(&worker->child, loop, worker_on_end, worker);
    ev_timer_init(&worker->stop_timer, worker_on_stop_timeout, 0., 0.);
    worker->stop_timer.data = worker;
    ev_timer_init(&worker->start_timer, worker_on_start_timer, WORKER_START_LOOK,
                  WORKER_START_LOOK);
    worker->start_timer.data = worker;
    ev_timer_init(&worker->rest, worker_on_rest, 0., 0.);
    worker->rest.data = worker;
}

/* Begins to watch a process and its report, if it has one. Returns 0, or -1 with a sentence. */
static int worker_watch(struct worker *worker, pid_t pid, int report_fd, char *error, size_t size)
{
    worker_init(worker, worker->loop, worker->events, worker->owner);
    if (child_watch(&worker->child, pid) != 0) {
        const char *remedy = errno == ENOSYS ? "; Linux 5.3 or later is needed"
                             : errno == EMFILE || errno == ENFILE
                                 ? "; check `rlimit_files` in [global]"
                                 : "";
        snprintf(error, size, "watch process %d: %s%s", (int)pid, strerror(errno), remedy);
        return -1;
    }
    worker->pid = pid;
    process_tree_begin(&worker->tree, pid);
    worker->report_fd = report_fd;
    if (report_fd >= 0) {
        ev_io_init(&worker->report, worker_on_report, report_fd, EV_READ);
        worker->report.data = worker;
        ev_io_start(worker->loop, &worker->report);
        ev_timer_start(worker->loop, &worker->start_timer);
    }
    return 0;
}

int worker_spawn(struct worker *worker, const struct launch_arguments *arguments, char *error,
                 size_t size)
{
    int report_fd;
    INVARIANT(worker->state == WORKER_NONE && worker->child.pid == 0);
    pid_t pid = launch(arguments, &report_fd, error, size);
    if (pid < 0)
        return -1;
    if (worker_watch(worker, pid, report_fd, error, size) != 0) {
        /* Its end would go unnoticed, so it may not begin anything. It is reaped at SIGCHLD. */
        (void)kill(pid, SIGKILL);
        fd_close(&report_fd);
        return -1;
    }
    worker->started = clock_ms();
    worker_move(worker, WORKER_STARTING);
    return 0;
}

static void worker_set_stop_timer(struct worker *worker, int64_t timeout_ms)
{
    INVARIANT(timeout_ms >= 0);
    ev_timer_stop(worker->loop, &worker->stop_timer);
    worker->stop_at = clock_ms() + timeout_ms;
    ev_timer_set(&worker->stop_timer, (double)timeout_ms / 1000., 0.);
    ev_timer_start(worker->loop, &worker->stop_timer);
}

int worker_adopt(struct worker *worker, const struct worker *before, char *error, size_t size)
{
    int64_t now = clock_ms();
    INVARIANT(worker->state == WORKER_NONE);
    if (before->tree.led) {
        if (worker_watch(worker, before->pid, before->report_fd, error, size) != 0)
            return -1;
    } else {
        worker_init(worker, worker->loop, worker->events, worker->owner);
        worker->pid = before->pid;
        worker->status = before->status;
        process_tree_begin(&worker->tree, before->pid);
        worker->tree.led = false;
        worker->rest_told = true;
        worker_set_rest_timer(worker, WORKER_REST_FIRST / 1000.);
    }
    process_tree_adopt(&worker->tree, &before->tree);
    worker->started = before->started;
    worker->stop_requested = before->stop_requested;
    worker->stop_since = before->stop_since;
    if (before->stop_at >= 0)
        worker_set_stop_timer(worker, before->stop_at > now ? before->stop_at - now : 0);
    worker_move(worker, before->state);
    return 0;
}

static void worker_note_stop(struct worker *worker)
{
    if (worker->stop_since == 0)
        worker->stop_since = clock_ms();
    worker->stop_requested = worker->stop_requested || worker->tree.led;
}

void worker_stop(struct worker *worker, int signal, int64_t timeout_ms)
{
    if (worker->state == WORKER_NONE || worker->state == WORKER_KILLED)
        return;
    worker_note_stop(worker);
    worker_set_stop_timer(worker, timeout_ms);
    if (signal != 0)
        process_tree_signal(&worker->tree, signal);
    if (worker->state != WORKER_STOPPING)
        worker_move(worker, WORKER_STOPPING);
    INVARIANT(worker->stop_since != 0 && worker->stop_at >= 0);
}

bool worker_stop_program(struct worker *worker, int signal, pid_t program, int64_t timeout_ms)
{
    if (worker->state == WORKER_NONE || worker->state == WORKER_KILLED)
        return false;
    bool some = process_tree_signal_handlers(&worker->tree, program, signal) > 0;
    worker_stop(worker, some ? 0 : signal, timeout_ms);
    return some;
}

void worker_kill(struct worker *worker)
{
    if (worker->state == WORKER_NONE || worker->state == WORKER_KILLED)
        return;
    worker_note_stop(worker);
    ev_timer_stop(worker->loop, &worker->stop_timer);
    worker->stop_at = -1;
    process_tree_signal(&worker->tree, SIGKILL);
    worker_move(worker, WORKER_KILLED);
}

void worker_signal(const struct worker *worker, int signal, pid_t only)
{
    if (worker->state != WORKER_NONE)
        process_tree_signal_one(&worker->tree, only, signal);
}
