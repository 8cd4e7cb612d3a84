/* test_child.c: processes that end, and the callback that their owner gets. */
#include "fpm/util/child.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MANY = 50
};

static struct ev_loop *loop;
static int reported; /* ends */
static int statuses[MANY];
static pid_t orphan_pid;
static int orphan_status, orphans;

static void on_end(struct child *child, int status)
{
    cr_expect(child->pid == 0 && child->fd == -1, "it is cleared before its end is reported");
    statuses[reported++] = status;
    if (child->owner != NULL && reported == *(int *)child->owner)
        ev_break(loop, EVBREAK_ALL);
}

static void on_orphan(pid_t pid, int status)
{
    orphans++;
    orphan_pid = pid;
    orphan_status = status;
}

static void open_loop(void)
{
    loop = ev_loop_new(EVFLAG_NOENV);
    cr_assert_not_null(loop);
}

static void close_loop(void)
{
    ev_loop_destroy(loop);
}

static pid_t start(int status)
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        if (status < 0)
            for (;;)
                pause();
        _exit(status);
    }
    return pid;
}

/* Waits until it has ended, without reaping it. */
static void await(pid_t pid)
{
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

TestSuite(child, .init = open_loop, .fini = close_loop, .timeout = 30);

Test(child, tells_of_an_exit_and_of_a_signal)
{
    static struct child first, second;
    static int two = 2;
    pid_t pid = start(-1);
    child_init(&first, loop, on_end, &two);
    child_init(&second, loop, on_end, &two);
    cr_assert_eq(child_watch(&first, pid), 0);
    cr_assert_eq(child_watch(&second, start(7)), 0);
    cr_assert_eq(first.pid, pid);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    ev_run(loop, 0);
    int exited = WIFEXITED(statuses[0]) ? 0 : 1;
    cr_expect(WIFEXITED(statuses[exited]) && WEXITSTATUS(statuses[exited]) == 7);
    cr_expect(WIFSIGNALED(statuses[!exited]) && WTERMSIG(statuses[!exited]) == SIGKILL);
    cr_expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "both are reaped");
}

Test(child, one_that_ended_before_is_told_too)
{
    static struct child child;
    static int one = 1;
    pid_t pid = start(3);
    await(pid);
    child_init(&child, loop, on_end, &one);
    cr_assert_eq(child_watch(&child, pid), 0);
    cr_expect_eq(reported, 0);
    ev_run(loop, 0);
    cr_expect_eq(WEXITSTATUS(statuses[0]), 3);
}

Test(child, reaped_by_another_wait)
{
    static struct child child;
    static int one = 1;
    pid_t pid = start(3);
    child_init(&child, loop, on_end, &one);
    cr_assert_eq(child_watch(&child, pid), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    ev_run(loop, 0);
    cr_expect_eq(statuses[0], -1);
}

Test(child, many_at_once_each_once)
{
    static struct child children[MANY];
    static int many = MANY;
    bool seen[MANY] = {false};
    for (int i = 0; i < MANY; i++) {
        child_init(&children[i], loop, on_end, &many);
        cr_assert_eq(child_watch(&children[i], start(i)), 0);
    }
    ev_run(loop, 0);
    cr_expect_eq(reported, MANY);
    for (int i = 0; i < MANY; i++) {
        cr_assert(WIFEXITED(statuses[i]) && WEXITSTATUS(statuses[i]) < MANY);
        cr_expect(!seen[WEXITSTATUS(statuses[i])]);
        seen[WEXITSTATUS(statuses[i])] = true;
    }
}

Test(child, one_that_is_forgotten_is_not_told_of)
{
    static struct child child;
    pid_t pid = start(0);
    child_init(&child, loop, on_end, NULL);
    cr_assert_eq(child_watch(&child, pid), 0);
    await(pid);
    child_forget(&child);
    cr_expect(child.pid == 0 && child.fd == -1);
    child_forget(&child);
    ev_run(loop, EVRUN_NOWAIT);
    cr_expect_eq(reported, 0);
    cr_expect_eq(waitpid(pid, NULL, 0), pid);
}

/* The framework needs descriptors as well: nothing is asserted while there are none. */
Test(child, says_why_it_cannot_watch)
{
    static struct child child;
    struct rlimit before, none;
    pid_t pid = start(0);
    child_init(&child, loop, on_end, NULL);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    int result = child_watch(&child, pid), error = errno;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    cr_expect(result == -1 && error == EMFILE);
    cr_expect(child.pid == 0 && child.fd == -1);
    cr_expect_eq(waitpid(pid, NULL, 0), pid);
}

/* A grandchild whose parent ends becomes ours, as those of process 1 do. */
static pid_t start_orphan(int status)
{
    int channel[2];
    pid_t pid;
    cr_assert_eq(pipe(channel), 0);
    pid_t parent = fork();
    cr_assert(parent >= 0);
    if (parent == 0) {
        pid = start(status);
        _exit(write(channel[1], &pid, sizeof pid) != sizeof pid);
    }
    cr_assert_eq(waitpid(parent, NULL, 0), parent);
    cr_assert_eq(read(channel[0], &pid, sizeof pid), sizeof pid);
    close(channel[0]);
    close(channel[1]);
    return pid;
}

Test(child, reaps_orphans_and_tells_owners)
{
    static struct child child;
    static int one = 1;
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    pid_t ours = start(5);
    child_init(&child, loop, on_end, &one);
    cr_assert_eq(child_watch(&child, ours), 0);
    pid_t orphan = start_orphan(9);
    await(ours);
    await(orphan);
    child_reap_all(on_orphan);
    cr_expect_eq(orphans, 1);
    cr_expect(orphan_pid == orphan && WEXITSTATUS(orphan_status) == 9);
    cr_expect(reported == 1 && WEXITSTATUS(statuses[0]) == 5);
    ev_run(loop, EVRUN_NOWAIT);
    cr_expect_eq(reported, 1, "each end is reported once");
    cr_expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

Test(child, nothing_to_reap)
{
    static struct child child;
    pid_t pid = start(-1);
    child_reap_all(on_orphan);
    child_init(&child, loop, on_end, NULL);
    cr_assert_eq(child_watch(&child, pid), 0);
    child_reap_all(on_orphan);
    cr_expect(orphans == 0 && reported == 0);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    await(pid);
    child_reap_all(on_orphan);
    cr_expect(orphans == 0 && reported == 1);
    child_reap_all(on_orphan);
    cr_expect_eq(reported, 1);
}
