/* test_process_tree.c: which processes belong to a worker, and that no other is signalled. */
#include "fpm/worker/process_tree.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct process_tree tree;
static struct process_tree_list list;

static void idle(void)
{
    for (;;)
        pause();
}

/* A leader whose child is in the group, and whose grandchild has a session of its own. */
static pid_t family(pid_t pids[3])
{
    int ends[2];
    cr_assert(pipe(ends) == 0);
    pid_t leader = fork();
    if (leader == 0) {
        (void)setpgid(0, 0);
        pid_t own[3] = {getpid()};
        own[1] = fork();
        if (own[1] == 0) {
            own[0] = getppid();
            own[1] = getpid();
            own[2] = fork();
            if (own[2] == 0) {
                (void)setsid();
                own[0] = getppid();
                (void)!write(ends[1], &(pid_t){getpid()}, sizeof(pid_t));
                idle();
            }
            (void)!write(ends[1], &own[1], sizeof own[1]);
            idle();
        }
        idle();
    }
    pid_t one, other;
    cr_assert(read(ends[0], &one, sizeof one) == sizeof one);
    cr_assert(read(ends[0], &other, sizeof other) == sizeof other);
    pids[0] = leader;
    pids[1] = getpgid(one) == leader ? one : other;
    pids[2] = pids[1] == one ? other : one;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return leader;
}

static void begin(void)
{
    cr_assert(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
}

static void end(void)
{
    if (tree.leader != 0)
        process_tree_signal(&tree, SIGKILL);
    process_tree_free(&tree);
    while (waitpid(-1, NULL, 0) > 0) {
    }
}

TestSuite(process_tree, .init = begin, .fini = end, .timeout = 20);

static bool lists(pid_t pid)
{
    for (unsigned i = 0; i < list.count; i++)
        if (list.items[i].pid == pid)
            return true;
    return false;
}

Test(process_tree, parses_a_line_whose_name_has_blanks_and_parentheses)
{
    struct process_tree_process process;
    cr_assert(process_tree_parse(
        "42 (a) b) S 7 41 41 0 -1 4194304 1 0 0 0 1 2 3 4 20 0 1 0 98765 1", &process));
    cr_expect(process.pid == 42 && process.parent == 7 && process.group == 41);
    cr_expect(process.started == 98765 && !process.ended);
    cr_expect_str_eq(process.name, "a) b");
    cr_assert(
        process_tree_parse("42 (x\n) Z 7 41 41 0 -1 0 1 0 0 0 1 2 3 4 20 0 1 0 5 1", &process));
    cr_expect(process.ended);
    cr_expect_str_eq(process.name, "x?");
}

Test(process_tree, refuses_malformed_lines)
{
    static const char *const lines[] = {
        "", "42", "42 (a", "a) 42 (", "42 (a) S", "(a) S 1 2", "42 (a) S 7 41 41 0 -1"};
    struct process_tree_process process;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect_not(process_tree_parse(lines[i], &process), "%s", lines[i]);
}

Test(process_tree, lists_the_group_and_what_is_below)
{
    pid_t pids[3];
    process_tree_begin(&tree, family(pids));
    process_tree_look(&tree, &list);
    cr_expect(list.count == 3, "%u", list.count);
    for (int i = 0; i < 3; i++) {
        cr_expect(lists(pids[i]));
        cr_expect(process_tree_has(&tree, pids[i]));
    }
    cr_expect(tree.remembered_count == 1 && tree.remembered[0].pid == pids[2]);
    cr_expect_not(process_tree_has(&tree, getpid()));
    cr_expect_not(process_tree_has(&tree, getppid()));
    cr_expect_not(process_tree_has(&tree, 1));
}

Test(process_tree, keeps_what_lost_its_parents)
{
    pid_t pids[3];
    process_tree_begin(&tree, family(pids));
    process_tree_look(&tree, &list);
    for (int i = 0; i < 2; i++) {
        (void)kill(pids[i], SIGKILL);
        cr_assert(waitpid(pids[i], NULL, 0) == pids[i], "the second is our child by now");
        tree.led = false;
        cr_expect(process_tree_may_remain(&tree));
    }
    process_tree_look(&tree, &list);
    cr_expect(list.count == 1 && lists(pids[2]));
    cr_expect(process_tree_has(&tree, pids[2]));
    process_tree_signal(&tree, SIGTERM);
    int status = 0;
    cr_assert(waitpid(pids[2], &status, 0) == pids[2]);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    process_tree_look(&tree, &list);
    cr_expect(list.count == 0 && !process_tree_may_remain(&tree));
}

Test(process_tree, a_daemon_that_was_never_seen_is_not_its)
{
    pid_t pids[3];
    process_tree_begin(&tree, family(pids));
    for (int i = 0; i < 2; i++) {
        (void)kill(pids[i], SIGKILL);
        cr_assert(waitpid(pids[i], NULL, 0) == pids[i]);
    }
    tree.led = false;
    cr_expect_not(process_tree_may_remain(&tree));
    process_tree_signal(&tree, SIGKILL);
    process_tree_signal_one(&tree, pids[2], SIGKILL);
    pid_t found[4];
    cr_assert(process_tree_orphans(found, 4) == 1 && found[0] == pids[2]);
    cr_expect(waitpid(pids[2], NULL, WNOHANG) == 0, "it lives");
    (void)kill(pids[2], SIGKILL);
}

Test(process_tree, does_not_signal_a_number_that_another_process_has)
{
    pid_t pids[3];
    process_tree_begin(&tree, family(pids));
    process_tree_look(&tree, &list);
    tree.remembered[0].started--; /* as if an earlier process had had the number */
    for (int i = 0; i < 2; i++) {
        (void)kill(pids[i], SIGKILL);
        cr_assert(waitpid(pids[i], NULL, 0) == pids[i]);
    }
    tree.led = false;
    process_tree_signal(&tree, SIGKILL);
    cr_expect(waitpid(pids[2], NULL, WNOHANG) == 0, "it lives");
    (void)kill(pids[2], SIGKILL);
}

static void on_quit(int number)
{
    (void)number;
    _exit(7);
}

Test(process_tree, asks_the_program_and_those_with_a_handler)
{
    int status = 0, ends[2];
    cr_assert(pipe(ends) == 0);
    pid_t leader = fork();
    if (leader == 0) {
        (void)setpgid(0, 0);
        pid_t child = fork();
        if (child == 0) {
            (void)signal(SIGQUIT, on_quit);
            (void)!write(ends[1], "x", 1);
            idle();
        }
        (void)waitpid(child, &status, 0); /* QUIT would end it here */
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    char byte;
    cr_assert(read(ends[0], &byte, 1) == 1);
    process_tree_begin(&tree, leader);
    cr_expect(process_tree_signal_handlers(&tree, 0, SIGUSR1) == 0);
    cr_expect(process_tree_signal_handlers(&tree, 0, SIGQUIT) == 1);
    cr_assert(waitpid(leader, &status, 0) == leader);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    tree.led = false;
}

Test(process_tree, names_few_and_counts_the_others)
{
    char text[128];
    list.count = 6;
    for (unsigned i = 0; i < list.count; i++)
        list.items[i] = (struct process_tree_process){.pid = (pid_t)i + 1, .name = "x"};
    process_tree_names(&list, text, sizeof text);
    cr_expect_str_eq(text, "1 (x), 2 (x), 3 (x), 4 (x) and 2 more");
    process_tree_names(&list, text, 8);
    cr_expect_str_eq(text, "1 (x), ");
    list.count = 0;
    process_tree_names(&list, text, sizeof text);
    cr_expect_str_eq(text, "");
}
