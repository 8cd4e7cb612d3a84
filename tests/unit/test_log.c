/* test_log.c: the log as a whole: changes while it runs, and the count of lost lines. */
#include "fpm/log/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

static char folder[] = "/tmp/ot-log-XXXXXX";
static char path[64], other[64], errors[64];
static char error[512];

/* The process's standard error is checked too. */
static void prepare(void)
{
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    snprintf(errors, sizeof errors, "%s/errors", folder);
    int fd = open(errors, O_RDWR | O_CREAT | O_APPEND, 0600);
    cr_assert(fd >= 0 && dup2(fd, 2) == 2);
    close(fd);
    signal(SIGPIPE, SIG_IGN);
}

static void clean(void)
{
    (void)unlink(path);
    (void)unlink(other);
    (void)unlink(errors);
    (void)rmdir(folder);
}

TestSuite(log, .init = prepare, .fini = clean, .timeout = 20);

static struct log_settings settings(const char *target)
{
    return (struct log_settings){.target = target,
                                 .level = LOG_LEVEL_NOTICE,
                                 .limit = 1024,
                                 .syslog_ident = "overtime",
                                 .syslog_facility = LOG_DAEMON};
}

static void configure(const struct log_settings *wanted)
{
    cr_assert(log_configure(wanted, error, sizeof error) == 0, "%s", error);
}

static const char *content(const char *name)
{
    static char text[200000];
    int fd = open(name, O_RDONLY | O_NONBLOCK);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    text[got > 0 ? got : 0] = '\0';
    if (fd >= 0)
        close(fd);
    return text;
}

static size_t occurs(const char *text, const char *what)
{
    size_t count = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        count++;
    return count;
}

static void say(const char *pool, const char *text)
{
    struct log_record record = {.level = LOG_LEVEL_WARNING,
                                .about = {pool, 12, 0},
                                .text = text,
                                .length = strlen(text),
                                .stream = "stderr",
                                .decorate = true,
                                .begins = true,
                                .ends = true};
    log_output(&record);
}

Test(log, goes_to_standard_error_at_first)
{
    log_notice("hello");
    log_debug("not this");
    cr_expect(strstr(content(errors), "] NOTICE: hello\n") != NULL);
    cr_expect(strstr(content(errors), "not this") == NULL);
}

Test(log, changes_while_it_runs)
{
    struct log_settings wanted = settings(path);
    configure(&wanted);
    log_notice("text");
    wanted.json = true;
    wanted.level = LOG_LEVEL_DEBUG;
    configure(&wanted);
    log_debug("json");
    wanted.target = other;
    configure(&wanted);
    log_debug("elsewhere");
    wanted.level = LOG_LEVEL_ALERT;
    configure(&wanted);
    log_error("not this");
    cr_expect(strstr(content(path), "NOTICE: text\n{\"time\"") != NULL);
    cr_expect(occurs(content(path), "\n") == 2);
    cr_expect(strstr(content(other), "\"message\":\"elsewhere\"}\n") != NULL);
    cr_expect(occurs(content(other), "\n") == 1);
}

Test(log, stays_as_it_was_when_a_change_fails)
{
    struct log_settings good = settings(path), bad = good;
    configure(&good);
    bad.json = true;
    bad.level = LOG_LEVEL_ALERT;
    bad.target = "/nowhere/log";
    cr_expect(log_configure(&bad, error, sizeof error) == -1);
    cr_expect(strstr(error, "/nowhere/log") != NULL && strstr(error, "error_log") != NULL);
    bad.target = path;
    bad.syslog_ident = "two words";
    cr_expect(log_configure(&bad, error, sizeof error) == -1);
    cr_expect(strstr(error, "syslog.ident") != NULL);
    log_notice("goes on");
    cr_expect(strstr(content(path), "] NOTICE: goes on\n") != NULL);
}

Test(log, a_target_that_stays_is_not_opened_anew)
{
    struct log_settings wanted = settings(path);
    configure(&wanted);
    cr_assert(rename(path, other) == 0);
    configure(&wanted);
    log_notice("one");
    cr_expect(strstr(content(other), "one") != NULL);
    cr_assert(log_reopen(error, sizeof error) == 0);
    log_notice("two");
    cr_expect(strstr(content(path), "two") != NULL && strstr(content(path), "one") == NULL);
}

Test(log, the_background_has_no_standard_error)
{
    struct log_settings wanted = settings(path);
    configure(&wanted);
    log_background();
    wanted.target = "stderr";
    cr_expect(log_configure(&wanted, error, sizeof error) == -1);
    cr_expect(strstr(error, "error_log") != NULL);
}

Test(log, mirrors_its_own_words_only)
{
    struct log_settings wanted = settings(path);
    configure(&wanted);
    log_mirror(LOG_LEVEL_WARNING);
    log_warning("for both");
    log_notice("for one");
    say("www", "a worker's words");
    log_mirror(LOG_LEVEL_NONE);
    log_warning("no more");
    cr_expect(occurs(content(path), "\n") == 4);
    cr_expect(strstr(content(errors), "WARNING: for both\n") != NULL);
    cr_expect(occurs(content(errors), "\n") == 1);
}

Test(log, tells_what_was_lost_and_of_whom)
{
    struct log_settings wanted = settings("/dev/full");
    configure(&wanted);
    log_notice("lost");
    for (int i = 0; i < 3; i++)
        say("www", "lost");
    say("api", "lost");
    cr_expect(occurs(content(errors), "\n") == 1, "reported once");
    cr_expect(strstr(content(errors), "log: /dev/full cannot be written: No space left on device; "
                                      "lines are lost until it can\n") != NULL);
    wanted.target = path;
    configure(&wanted);
    log_notice("found");
    log_notice("found");
    cr_expect(strstr(content(path), "log: 1 line was lost: No space left on device\n") != NULL);
    cr_expect(strstr(content(path), "pool www: 3 lines were lost of what workers wrote: No space "
                                    "left on device\n") != NULL);
    cr_expect(strstr(content(path), "pool api: 1 line was lost of") != NULL);
    cr_expect(occurs(content(path), "\n") == 5);
}

Test(log, counts_for_more_pools_than_it_can_name)
{
    struct log_settings wanted = settings("/dev/full");
    configure(&wanted);
    for (int i = 0; i < 200; i++) {
        char pool[16];
        snprintf(pool, sizeof pool, "p%d", i % 100);
        say(pool, "lost");
    }
    wanted.target = path;
    configure(&wanted);
    log_notice("found");
    cr_expect(occurs(content(path), ": 2 lines were lost of") == 64);
    cr_expect(strstr(content(path), "other pools: 72 lines were lost of") != NULL);
}

Test(log, a_reader_that_comes_late)
{
    struct log_settings wanted = settings(path);
    static char text[65536 * 2];
    size_t used = 0;
    cr_assert(mkfifo(path, 0600) == 0);
    int there = open(path, O_RDONLY | O_NONBLOCK);
    configure(&wanted);
    for (int i = 0; i < 5000; i++)
        say("www", "a line that fills the pipe");
    for (ssize_t got; (got = read(there, text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)got;
    size_t written = occurs(text, "fills the pipe\"\n");
    log_notice("found");
    cr_expect(read(there, text, sizeof text - 1) > 0);
    char expected[128];
    snprintf(expected, sizeof expected, "pool www: %zu lines were lost of what workers wrote",
             5000 - written);
    cr_expect(strstr(text, expected) != NULL, "%s not in %.300s", expected, text);
    close(there);
}

Test(log, keeps_the_limit_of_the_moment)
{
    static char text[3000];
    struct log_settings wanted = settings(path);
    memset(text, 'x', sizeof text - 1);
    configure(&wanted);
    cr_expect(log_output_limit() < 1024 && log_output_limit() > 700);
    say("www", text);
    cr_expect(occurs(content(path), "\n") == 4);
    wanted.limit = 4096;
    configure(&wanted);
    cr_expect(log_output_limit() > 3000);
    say("www", text);
    cr_expect(occurs(content(path), "\n") == 5);
}

Test(log, leaves_errno_alone)
{
    struct log_settings wanted = settings("/dev/full");
    configure(&wanted);
    errno = 12345;
    log_error("lost");
    say("www", "lost");
    cr_expect(errno == 12345);
}
