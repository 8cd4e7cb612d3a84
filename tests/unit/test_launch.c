/* test_launch.c: from fork to exec: the error of each step, and what the child is given. */
#include "fpm/worker/launch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int null_fd = -1;

/* As main() gets them: texts that may be changed. */
static char shell[] = "sh", option[] = "-c", leave[] = "exit 7", given[] = "GIVEN=yes";
static char *arguments[] = {shell, option, leave, NULL};
static char *environment[] = {given, NULL};

static struct launch_arguments make(const char *program)
{
    if (null_fd < 0)
        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    cr_assert(null_fd >= 0);
    return (struct launch_arguments){.program = program,
                                     .argv = arguments,
                                     .envp = environment,
                                     .listen_fd = null_fd,
                                     .board_fd = null_fd,
                                     .slot_fd = null_fd,
                                     .doorbell_fd = null_fd,
                                     .conn_handoff_in = null_fd,
                                     .conn_handoff_out = null_fd,
                                     .access_log_fd = -1,
                                     .messages_fd = null_fd,
                                     .output_fd = null_fd,
                                     .error_fd = null_fd,
                                     .umask = -1};
}

/* Launches, waits for the report and the end. Returns what launch_report says. */
static int run(const struct launch_arguments *spec, struct launch_failure *failure, int *status)
{
    char error[256] = "";
    int report_fd = -1;
    pid_t pid = launch(spec, &report_fd, error, sizeof error);
    cr_assert(pid > 0, "%s", error);
    struct pollfd wait_for = {.fd = report_fd, .events = POLLIN};
    cr_assert(poll(&wait_for, 1, 30000) == 1);
    int reported = launch_report(report_fd, failure);
    cr_assert(close(report_fd) == 0);
    cr_assert(waitpid(pid, status, 0) == pid);
    return reported;
}

Test(launch, a_program_runs)
{
    struct launch_arguments spec = make("/bin/sh");
    struct launch_failure failure;
    int status;
    cr_expect(run(&spec, &failure, &status) == 1);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

Test(launch, the_child_has_what_was_given)
{
    static char look[] = "[ \"$GIVEN\" = yes ] && [ -z \"$HOME\" ] && [ \"$(pwd)\" = / ] && "
                         "[ \"$(umask)\" = 0031 ] && [ \"$(ulimit -n)\" = 99 ]";
    static char *script[] = {shell, option, look, NULL};
    struct launch_arguments spec = make("/bin/sh");
    struct launch_failure failure;
    int status;
    spec.argv = script;
    spec.chdir = "/";
    spec.umask = 031;
    spec.files = (struct launch_limit){.set = true, .value = {99, 99}};
    cr_expect(run(&spec, &failure, &status) == 1);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(launch, a_missing_program_is_reported)
{
    struct launch_arguments spec = make("/nowhere/program");
    struct launch_failure failure = {0};
    char text[256];
    int status;
    cr_expect(run(&spec, &failure, &status) == -1);
    cr_expect(failure.error == ENOENT);
    launch_explain(&spec, &failure, text, sizeof text);
    cr_expect_str_eq(text, "exec /nowhere/program: No such file or directory; check `command`");
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 127);
}

Test(launch, a_missing_folder_is_reported)
{
    struct launch_arguments spec = make("/bin/sh");
    struct launch_failure failure = {0};
    char text[256];
    int status;
    spec.chdir = "/nowhere";
    cr_expect(run(&spec, &failure, &status) == -1);
    launch_explain(&spec, &failure, text, sizeof text);
    cr_expect_str_eq(text, "chdir /nowhere: No such file or directory; check `chdir`");
}

/* Each step that can fail without root reports its error and the directive to change. */
Test(launch, every_failed_step_names_its_directive)
{
    static const struct {
        struct launch_arguments change;
        const char *text;
    } cases[] = {
        {{.chroot = "/nowhere"}, "chroot /nowhere: No such file or directory; check `chroot`"},
        {{.oom_score_adj = "1001"},
         "set the OOM score 1001: Invalid argument; check "
         "`oom_score_adj`"},
        {{.files = {.set = true, .value = {20, 10}}},
         "set the limit of open files: Invalid argument; check `rlimit_files`"},
        {{.core = {.set = true, .value = {20, 10}}},
         "set the limit of core files: Invalid argument; check `rlimit_core`"},
        {{.address_space = {.set = true, .value = {20, 10}}},
         "set the limit of address space: Invalid argument; check `rlimit_as`"},
        {{.change_identity = true, .group_count = 100000},
         "set the supplementary groups: Invalid argument; check `user`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct launch_arguments spec = make("/bin/sh");
        struct launch_failure failure = {0};
        char text[256];
        int status;
        if (geteuid() != 0 && (cases[i].change.chroot != NULL || cases[i].change.change_identity))
            continue;
        spec.chroot = cases[i].change.chroot;
        spec.oom_score_adj = cases[i].change.oom_score_adj;
        spec.files = cases[i].change.files;
        spec.core = cases[i].change.core;
        spec.address_space = cases[i].change.address_space;
        spec.change_identity = cases[i].change.change_identity;
        spec.group_count = cases[i].change.group_count;
        cr_expect(run(&spec, &failure, &status) == -1, "%s", cases[i].text);
        launch_explain(&spec, &failure, text, sizeof text);
        cr_expect_str_eq(text, cases[i].text);
    }
}

Test(launch, inside_a_jail_all_is_seen_from_there)
{
    struct launch_arguments spec = make("/bin/sh");
    struct launch_failure failure = {0};
    char text[256];
    int status;
    if (geteuid() != 0)
        cr_skip_test("only root can change the root folder");
    spec.chroot = "/proc/self";
    cr_expect(run(&spec, &failure, &status) == -1);
    launch_explain(&spec, &failure, text, sizeof text);
    cr_expect_str_eq(text, "exec /bin/sh inside /proc/self: No such file or directory; check "
                           "`command`");
    spec.chdir = "/tmp";
    cr_expect(run(&spec, &failure, &status) == -1);
    launch_explain(&spec, &failure, text, sizeof text);
    cr_expect_str_eq(text,
                     "chdir /tmp inside /proc/self: No such file or directory; check `chdir`");
    spec.chroot = "/";
    spec.chdir = "/tmp";
    cr_expect(run(&spec, &failure, &status) == 1);
}

Test(launch, a_child_that_cannot_be_traced_gets_its_oom_score)
{
    static char look[] = "[ \"$(cat /proc/self/oom_score_adj)\" = 777 ] && [ \"$(nice)\" = 19 ]";
    static char *script[] = {shell, option, look, NULL};
    struct launch_arguments spec = make("/bin/sh");
    struct launch_failure failure;
    int status;
    spec.argv = script;
    spec.oom_score_adj = "777";
    spec.priority = (struct launch_number){.set = true, .value = 19};
    cr_assert(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    cr_expect(run(&spec, &failure, &status) == 1);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(launch, a_bad_descriptor_is_reported)
{
    struct launch_arguments spec = make("/bin/sh");
    struct launch_failure failure = {0};
    int status;
    spec.slot_fd = 1000000;
    cr_expect(run(&spec, &failure, &status) == -1);
    cr_expect(failure.error == EBADF);
}

Test(launch, garbage_in_the_report_is_no_report)
{
    struct launch_failure failure = {.step = 99, .error = ENOENT}, reported = {0};
    int ends[2];
    cr_assert(pipe2(ends, O_NONBLOCK) == 0);
    cr_expect(launch_report(ends[0], &reported) == 0, "nothing yet");
    cr_assert(write(ends[1], &failure, sizeof failure) == (ssize_t)sizeof failure);
    cr_expect(launch_report(ends[0], &reported) == 0, "no such step");
    cr_assert(close(ends[1]) == 0);
    cr_expect(launch_report(ends[0], &reported) == 1);
    cr_assert(close(ends[0]) == 0);
}

/* Runs a shell's script on descriptors of which there are many, and returns its status. */
static int run_among_many(const char *script)
{
    char *const script_arguments[] = {shell, option, (char *)(uintptr_t)script, NULL};
    struct launch_arguments spec = make("/bin/sh");
    struct launch_failure failure;
    int status, many[300];
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        cr_assert((many[i] = open("/dev/zero", O_RDONLY | O_CLOEXEC)) >= 0);
    spec.argv = script_arguments;
    spec.doorbell_fd = fcntl(null_fd, F_DUPFD_CLOEXEC, 200);
    cr_assert(spec.doorbell_fd > 200);
    cr_expect(run(&spec, &failure, &status) == 1);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        cr_assert(close(many[i]) == 0);
    cr_assert(close(spec.doorbell_fd) == 0);
    return status;
}

Test(launch, a_child_has_nothing_but_what_it_is_given)
{
    static const char look[] = "cd /proc/self/fd && for fd in *; do case $fd in [0-79]) "
                               "[ \"$(readlink /proc/$$/fd/$fd)\" = /dev/null ] || exit 9;; "
                               "*) [ ! -e /proc/$$/fd/$fd ] || exit 8;; esac; done";
    cr_expect(run_among_many(look) == 0);
}

Test(launch, what_was_given_is_not_kept)
{
    struct launch_arguments spec = make("/bin/sh");
    struct launch_failure failure;
    int status, output[2];
    char byte;
    cr_assert(pipe(output) == 0);
    spec.output_fd = output[1];
    cr_expect(run(&spec, &failure, &status) == 1);
    cr_assert(close(output[1]) == 0);
    struct pollfd wait_for = {.fd = output[0], .events = POLLIN};
    cr_assert(poll(&wait_for, 1, 30000) == 1);
    cr_expect(read(output[0], &byte, 1) == 0, "no process has the writing end any more");
}
