/* Unit tests of fpm/worker/worker.c: a start that is stopped before its program runs. */
#include "fpm/worker/worker.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static bool ended;

static void on_moved(struct worker *worker, enum worker_state from, enum worker_state to)
{
    (void)worker;
    (void)from;
    (void)to;
}

static void on_ended(struct worker *worker)
{
    ended = true;
    ev_break(worker->loop, EVBREAK_ALL);
}

static const struct worker_events events = {.moved = on_moved, .ended = on_ended};

Test(worker, a_stopped_start_is_killed_and_said, .timeout = 120)
{
    char *argv[] = {(char[]){"true"}, NULL}, *envp[] = {NULL}, error[256] = "", why[256] = "";
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct launch_arguments spec = {.program = "/bin/true",
                                    .argv = argv,
                                    .envp = envp,
                                    .listen_fd = null_fd,
                                    .board_fd = -1,
                                    .slot_fd = -1,
                                    .doorbell_fd = -1,
                                    .conn_handoff_in = -1,
                                    .conn_handoff_out = -1,
                                    .access_log_fd = -1,
                                    .messages_fd = -1,
                                    .output_fd = null_fd,
                                    .error_fd = null_fd,
                                    .umask = -1};
    struct worker worker;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    /* The signal comes before the exec, or else once more. */
    for (int tries = 0; tries < 1000; tries++) {
        ended = false;
        worker_init(&worker, loop, &events, NULL);
        cr_assert(worker_spawn(&worker, &spec, error, sizeof error) == 0, "%s", error);
        cr_assert(kill(worker.pid, SIGSTOP) == 0);
        ev_run(loop, EVRUN_NOWAIT);
        bool runs = worker.state != WORKER_STARTING;
        if (runs)
            cr_assert(kill(worker.pid, SIGCONT) == 0 || ended);
        if (!ended)
            ev_run(loop, 0);
        cr_assert(ended);
        if (worker.start_failed)
            break;
    }
    cr_assert(worker.start_failed);
    launch_explain(&spec, &worker.failure, why, sizeof why);
    cr_expect(strstr(why, "stopped it before it executed its program") != NULL, "%s", why);
    ev_loop_destroy(loop);
    cr_assert(close(null_fd) == 0);
}
