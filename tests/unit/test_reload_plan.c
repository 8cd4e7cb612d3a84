/* test_reload_plan.c: from two configurations to a plan: real files, read as the manager reads
 * them. */
#include "fpm/manager/reload_plan.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIMPLE       "command = /bin/true\npm.max_children = 4\n"

static char folder[] = "/tmp/ot-reload-XXXXXX";
static struct config *was, *wanted;
static struct reload_plan plan;

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chmod(folder, 0755), 0);
    cr_assert_eq(setenv("PATH", "/usr/bin:/bin", 1), 0);
}

static void remove_folder(void)
{
    char path[64];
    config_free(&was);
    config_free(&wanted);
    reload_plan_free(&plan);
    (void)snprintf(path, sizeof path, "%s/main.ini", folder);
    (void)unlink(path);
    cr_expect_eq(rmdir(folder), 0);
}

TestSuite(reload, .init = make_folder, .fini = remove_folder);

/* Loads the text; each "USER" in it becomes a line that root needs. */
static struct config *load(const char *text)
{
    char path[64];
    struct config_report report = {0};
    (void)snprintf(path, sizeof path, "%s/main.ini", folder);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    for (const char *at = text, *next; *at != '\0'; at = next) {
        next = strstr(at, "USER");
        size_t length = next != NULL ? (size_t)(next - at) : strlen(at);
        (void)fprintf(file, "%.*s", (int)length, at);
        if (next != NULL && geteuid() == 0)
            (void)fputs("user = nobody", file);
        next = next != NULL ? next + 4 : at + length;
    }
    cr_assert_eq(fclose(file), 0);
    struct config *config = config_load(path, 0, &report);
    for (size_t i = 0; i < report.errors.count; i++)
        (void)fprintf(stderr, "%s\n", report.errors.items[i]);
    cr_assert_not_null(config);
    config_report_free(&report);
    return config;
}

static bool lost;    /* the sockets' files are gone */
static size_t slots; /* of each generation, 0 = as its settings want */

static void make_plan(const char *all)
{
    struct reload_plan_was pools[8];
    reload_plan_free(&plan);
    for (size_t i = 0; i < was->pool_count; i++) {
        const struct config_pool *pool = &was->pools[i];
        size_t own = (size_t)(pool->pm_max_children + pool->post_response_max_children);
        pools[i] = (struct reload_plan_was){pool, slots > 0 ? slots : own, lost};
    }
    cr_assert_eq(reload_plan_make(&was->global, pools, was->pool_count, wanted, all, &plan), 0);
    cr_assert_eq(plan.count, wanted->pool_count);
}

static void reread(const char *before, const char *after)
{
    config_free(&was);
    config_free(&wanted);
    was = load(before);
    wanted = load(after);
    make_plan(NULL);
}

static void expect_step(size_t at, enum reload_plan_action action, size_t before, size_t socket,
                        const char *changed)
{
    const struct reload_plan_step *step = &plan.steps[at];
    cr_expect_eq(step->wanted, &wanted->pools[at]);
    cr_expect(step->action == action && step->before == before && step->socket == socket,
              "step %zu: action %d, before %zd, socket %zd", at, (int)step->action,
              (ssize_t)step->before, (ssize_t)step->socket);
    if (changed == NULL)
        cr_expect_null(step->changed, "step %zu: changed %s", at, step->changed);
    else
        cr_expect_str_eq(step->changed, changed);
}

Test(reload, one_pool_of_which_one_line_changes)
{
    static const struct {
        const char *before, *after;
        enum reload_plan_action action;
        const char *changed;
    } cases[] = {
        {"", "", RELOAD_PLAN_KEEP, NULL},
        {"", "pm.process_idle_timeout = 10s\n", RELOAD_PLAN_KEEP,
         NULL}, /* the default, spelled out */
        {"pm.process_idle_timeout = 1m\n", "pm.process_idle_timeout = 60s\n", RELOAD_PLAN_KEEP,
         NULL},
        {"", "request_terminate_timeout = 5s\n", RELOAD_PLAN_APPLY, "request_terminate_timeout"},
        {"request_terminate_timeout = 5s\n", "", RELOAD_PLAN_APPLY, "request_terminate_timeout"},
        {"", "pm.max_memory_hard = 1G\n", RELOAD_PLAN_APPLY, "pm.max_memory_hard"},
        {"", "pm.max_spawn_rate = 3\n", RELOAD_PLAN_APPLY, "pm.max_spawn_rate"},
        {"", "pm = ondemand\n", RELOAD_PLAN_APPLY, "pm"},
        {"", "listen.backlog = 17\n", RELOAD_PLAN_APPLY, "listen.backlog"},
        {"", "listen.mode = 0600\n", RELOAD_PLAN_APPLY, "listen.mode"},
        {"", "post_response.max_children = 2\n", RELOAD_PLAN_APPLY, "post_response.max_children"},
        {"", "post_response.max_children = 5\n", RELOAD_PLAN_REPLACE, "post_response.max_children"},
        {"post_response.max_children = 4\n", "pm.max_requests = 9\n", RELOAD_PLAN_REPLACE,
         "pm.max_requests"},
        {"", "max_execution_time = 5s\n", RELOAD_PLAN_REPLACE, "max_execution_time"},
        {"", "env[A] = b\n", RELOAD_PLAN_REPLACE, "env[NAME]"},
        {"env[A] = b\n", "env[A] = c\n", RELOAD_PLAN_REPLACE, "env[NAME]"},
        {"env[A] = b\n", "", RELOAD_PLAN_REPLACE, "env[NAME]"},
        {"", "chdir = /tmp\n", RELOAD_PLAN_REPLACE, "chdir"},
        /* of two kinds the one that needs more is reported */
        {"", "pm.max_spawn_rate = 3\nkeepalive_max = 9\n", RELOAD_PLAN_REPLACE, "keepalive_max"},
        {"", "catch_workers_output = no\n", RELOAD_PLAN_REPLACE, "catch_workers_output"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char before[512], after[512];
        static const char base[] = "[www]\nUSER\nlisten = /tmp/ot-www.sock\n" SIMPLE;
        (void)snprintf(before, sizeof before, "%s%s", base, cases[i].before);
        (void)snprintf(after, sizeof after, "%s%s", base, cases[i].after);
        reread(before, after);
        expect_step(0, cases[i].action, 0, 0, cases[i].changed);
        cr_expect_eq(plan.later.count, 0);
    }
}

#define POOL(name, listen, max)                                                                    \
    "[" name "]\nUSER\nlisten = " listen "\ncommand = /bin/true\npm.max_children = " max "\n"

/* The number of slots of a generation cannot grow. */
Test(reload, more_workers_than_there_are_slots)
{
    reread(POOL("www", "/tmp/ot-a.sock", "4"), POOL("www", "/tmp/ot-a.sock", "3"));
    expect_step(0, RELOAD_PLAN_APPLY, 0, 0, "pm.max_children");
    reread(POOL("www", "/tmp/ot-a.sock", "4"), POOL("www", "/tmp/ot-a.sock", "5"));
    expect_step(0, RELOAD_PLAN_REPLACE, 0, 0, "pm.max_children");
    /* 4 + 4 slots are enough for 6 + 2 */
    reread(POOL("www", "/tmp/ot-a.sock", "4"),
           POOL("www", "/tmp/ot-a.sock", "6") "post_response.max_children = 2\n");
    expect_step(0, RELOAD_PLAN_APPLY, 0, 0, "pm.max_children");
    /* it was started with more slots than its settings need now */
    slots = 12;
    reread(POOL("www", "/tmp/ot-a.sock", "4"), POOL("www", "/tmp/ot-a.sock", "6"));
    expect_step(0, RELOAD_PLAN_APPLY, 0, 0, "pm.max_children");
    reread(POOL("www", "/tmp/ot-a.sock", "4"), POOL("www", "/tmp/ot-a.sock", "7"));
    expect_step(0, RELOAD_PLAN_REPLACE, 0, 0, "pm.max_children");
}

Test(reload, all_are_replaced_when_asked)
{
    reread(POOL("www", "/tmp/ot-a.sock", "4"),
           POOL("www", "/tmp/ot-a.sock", "4") POOL("new", "/tmp/ot-b.sock", "4"));
    make_plan("");
    expect_step(0, RELOAD_PLAN_REPLACE, 0, 0, NULL);
    expect_step(1, RELOAD_PLAN_ADD, RELOAD_PLAN_NONE, RELOAD_PLAN_NONE, NULL);
}

Test(reload, added_and_removed)
{
    reread(POOL("a", "/tmp/ot-a.sock", "4") POOL("b", "/tmp/ot-b.sock", "4"),
           POOL("c", "/tmp/ot-c.sock", "4") POOL("b", "/tmp/ot-b.sock", "4"));
    expect_step(0, RELOAD_PLAN_ADD, RELOAD_PLAN_NONE, RELOAD_PLAN_NONE, NULL);
    expect_step(1, RELOAD_PLAN_KEEP, 1, 1, NULL);
}

Test(reload, another_order)
{
    reread(POOL("a", "/tmp/ot-a.sock", "4") POOL("b", "/tmp/ot-b.sock", "4"),
           POOL("b", "/tmp/ot-b.sock", "4") POOL("a", "/tmp/ot-a.sock", "4"));
    expect_step(0, RELOAD_PLAN_KEEP, 1, 1, NULL);
    expect_step(1, RELOAD_PLAN_KEEP, 0, 0, NULL);
}

Test(reload, a_renamed_pool_has_its_socket)
{
    reread(POOL("a", "/tmp/ot-a.sock", "4"), POOL("z", "/tmp/ot-a.sock", "4"));
    expect_step(0, RELOAD_PLAN_ADD, RELOAD_PLAN_NONE, 0, NULL);
}

Test(reload, another_socket)
{
    reread(POOL("a", "/tmp/ot-a.sock", "4"), POOL("a", "127.0.0.1:9000", "4"));
    expect_step(0, RELOAD_PLAN_REPLACE, 0, RELOAD_PLAN_NONE, "listen");
    reread(POOL("a", "127.0.0.1:9000", "4"), POOL("a", "127.0.0.1:9001", "4"));
    expect_step(0, RELOAD_PLAN_REPLACE, 0, RELOAD_PLAN_NONE, "listen");
    reread(POOL("a", "127.0.0.1:9000", "4"), POOL("a", "9000", "4"));
    expect_step(0, RELOAD_PLAN_REPLACE, 0, RELOAD_PLAN_NONE, "listen");
}

Test(reload, two_pools_swap_their_sockets)
{
    reread(POOL("a", "/tmp/ot-a.sock", "4") POOL("b", "127.0.0.1:9000", "4"),
           POOL("a", "127.0.0.1:9000", "4") POOL("b", "/tmp/ot-a.sock", "4"));
    expect_step(0, RELOAD_PLAN_REPLACE, 0, 1, "listen");
    expect_step(1, RELOAD_PLAN_REPLACE, 1, 0, "listen");
}

Test(reload, a_socket_goes_to_a_new_pool)
{
    reread(POOL("a", "/tmp/ot-a.sock", "4"),
           POOL("a", "/tmp/ot-b.sock", "4") POOL("b", "/tmp/ot-a.sock", "4"));
    expect_step(0, RELOAD_PLAN_REPLACE, 0, RELOAD_PLAN_NONE, "listen");
    expect_step(1, RELOAD_PLAN_ADD, RELOAD_PLAN_NONE, 0, NULL);
}

/* The ids of a user may change while the file stays the same. */
Test(reload, another_identity_by_the_same_name)
{
    reread(POOL("a", "/tmp/ot-a.sock", "4"), POOL("a", "/tmp/ot-a.sock", "4"));
    struct config_identity *identity = &wanted->pools[0].identity;
    const struct config_identity before = *identity;
    was->pools[0].identity.change = identity->change = true;
    identity->uid = was->pools[0].identity.uid + 1;
    make_plan(NULL);
    expect_step(0, RELOAD_PLAN_REPLACE, 0, 0, "user");
    identity->uid = was->pools[0].identity.uid;
    identity->gid = was->pools[0].identity.gid + 1;
    make_plan(NULL);
    expect_step(0, RELOAD_PLAN_REPLACE, 0, 0, "group");
    identity->change = false;
    make_plan(NULL);
    expect_step(0, RELOAD_PLAN_REPLACE, 0, 0, "user");
    was->pools[0].identity.change = false;
    make_plan(NULL);
    expect_step(0, RELOAD_PLAN_KEEP, 0, 0, NULL);
    *identity = before;
}

Test(reload, another_program_by_the_same_name)
{
    reread(POOL("a", "/tmp/ot-a.sock", "4"), POOL("a", "/tmp/ot-a.sock", "4"));
    char *before = wanted->pools[0].program;
    wanted->pools[0].program = strdup("/usr/local/bin/true");
    make_plan(NULL);
    expect_step(0, RELOAD_PLAN_REPLACE, 0, 0, "command");
    free(wanted->pools[0].program);
    wanted->pools[0].program = before;
}

Test(reload, names_what_takes_effect_at_the_next_start_only)
{
    static const char pool[] = POOL("a", "/tmp/ot-a.sock", "4");
    char before[512], after[512];
    (void)snprintf(before, sizeof before, "[global]\ncontrol.mode = 0600\nlog_level = notice\n%s",
                   pool);
    (void)snprintf(after, sizeof after,
                   "[global]\ncontrol.mode = 0660\nlog_level = debug\npid = %s/pid\n%s", folder,
                   pool);
    reread(before, after);
    expect_step(0, RELOAD_PLAN_KEEP, 0, 0, NULL);
    cr_assert_eq(plan.later.count, 2);
    char pid[128];
    (void)snprintf(pid, sizeof pid, "`pid` was not set and is %s/pid in the file: it stays",
                   folder);
    cr_expect(strstr(plan.later.items[0], pid) == plan.later.items[0], "%s", plan.later.items[0]);
    cr_expect(strstr(plan.later.items[1], "`control.mode` was 0600 and is 0660 in the file") ==
                  plan.later.items[1],
              "%s", plan.later.items[1]);
}

Test(reload, nothing_was_in_force)
{
    wanted = load(POOL("a", "/tmp/ot-a.sock", "4"));
    cr_assert_eq(reload_plan_make(&wanted->global, NULL, 0, wanted, NULL, &plan), 0);
    expect_step(0, RELOAD_PLAN_ADD, RELOAD_PLAN_NONE, RELOAD_PLAN_NONE, NULL);
}

Test(reload, a_socket_whose_file_is_gone_is_made_anew)
{
    const char *file = "[a]\ncommand = true\nlisten = 9001\npm.max_children = 1\nUSER\n";
    lost = true;
    reread(file, file);
    lost = false;
    cr_expect_eq(plan.steps[0].action, RELOAD_PLAN_REPLACE);
    cr_expect_eq(plan.steps[0].before, 0);
    cr_expect_eq(plan.steps[0].socket, RELOAD_PLAN_NONE);
    cr_expect(plan.steps[0].lost);
}
