/* test_log_target.c: targets for lines: full, removed, and not yet there. Nothing here may wait. */
#include "fpm/log/log_target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/ot-sink-XXXXXX";
static char path[64];

static void prepare(void)
{
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/at", folder);
    signal(SIGPIPE, SIG_IGN);
}

static void clean(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

TestSuite(sink, .init = prepare, .fini = clean, .timeout = 20);

static int listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static const char *received(int fd)
{
    static char text[256];
    ssize_t got = read(fd, text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

Test(sink, syslog_may_come_later_and_come_again)
{
    struct log_target sink;
    cr_assert(log_target_syslog(&sink, path) == 0);
    cr_expect(log_target_put(&sink, "one", 3) != 0 && errno == ENOENT);
    int there = listener();
    cr_expect(log_target_put(&sink, "two", 3) == 0);
    cr_expect_str_eq(received(there), "two");
    close(there);
    cr_expect(log_target_put(&sink, "three", 5) != 0 && errno == ECONNREFUSED);
    cr_assert(unlink(path) == 0);
    cr_expect(log_target_put(&sink, "four", 4) != 0 && errno == ENOENT);
    there = listener();
    cr_expect(log_target_put(&sink, "five", 4) == 0);
    cr_expect_str_eq(received(there), "five");
    close(there);
    log_target_close(&sink);
    cr_expect(sink.fd == -1);
}

Test(sink, a_full_syslog_does_not_hold_us)
{
    struct log_target sink;
    int there = listener(), tries = 0;
    cr_assert(log_target_syslog(&sink, path) == 0);
    while (log_target_put(&sink, "line", 4) == 0)
        cr_assert(tries++ < 1000000);
    cr_expect(errno == EAGAIN);
    cr_expect_str_eq(received(there), "line");
    cr_expect(log_target_put(&sink, "more", 4) == 0);
    log_target_close(&sink);
    close(there);
}

Test(sink, a_torn_line_is_ended_first)
{
    static char much[40000], back[200000];
    struct log_target sink;
    size_t used = 0;
    memset(much, 'x', sizeof much);
    much[sizeof much - 1] = '\n';
    cr_assert(mkfifo(path, 0600) == 0);
    int there = open(path, O_RDONLY | O_NONBLOCK);
    cr_assert(there >= 0 && log_target_file(&sink, path) == 0);
    cr_expect(log_target_put(&sink, much, sizeof much) == 0);
    cr_expect(log_target_put(&sink, much, sizeof much) != 0 && errno == EAGAIN);
    cr_expect(sink.torn);
    cr_expect(log_target_put(&sink, "no\n", 3) != 0 && sink.torn, "still no room");
    for (ssize_t got; (got = read(there, back + used, sizeof back - used)) > 0;)
        used += (size_t)got;
    cr_expect(back[used - 1] == 'x');
    cr_expect(log_target_put(&sink, "next\n", 5) == 0 && !sink.torn);
    cr_expect_str_eq(received(there), "\nnext\n");
    log_target_close(&sink);
    close(there);
}

Test(sink, a_file_that_cannot_be)
{
    struct log_target sink = LOG_TARGET_CLOSED;
    cr_expect(log_target_file(&sink, "/nowhere/log") != 0 && errno == ENOENT);
    cr_assert(log_target_file(&sink, "/dev/full") == 0);
    cr_expect(log_target_put(&sink, "x\n", 2) != 0 && errno == ENOSPC);
    cr_expect(!sink.torn);
    log_target_close(&sink);
}

/* ---- standard error ---- */

Test(sink, a_full_pipe_on_standard_error)
{
    struct log_target sink;
    int ends[2], tries = 0;
    cr_assert(pipe(ends) == 0 && dup2(ends[1], 2) == 2);
    log_target_stderr(&sink);
    while (log_target_put(&sink, "a line\n", 7) == 0)
        cr_assert(tries++ < 1000000);
    cr_expect(errno == EAGAIN);
    cr_expect((fcntl(2, F_GETFL) & O_NONBLOCK) == 0, "what others have too stays as it was");
    log_target_close(&sink);
    cr_expect(fcntl(2, F_GETFD) >= 0);
}

/* Without access to /proc long lines are written too. */
Test(sink, a_shared_pipe)
{
    static char much[20000];
    struct log_target sink = {.kind = LOG_TARGET_STDERR, .shared = true};
    int ends[2], tries = 0;
    memset(much, 'x', sizeof much);
    cr_assert(pipe(ends) == 0);
    sink.fd = ends[1];
    while (log_target_put(&sink, much, sizeof much) == 0)
        cr_assert(tries++ < 1000);
    cr_expect(errno == EAGAIN && sink.torn && tries >= 2);
    close(ends[0]);
    cr_expect(log_target_put(&sink, much, 10) != 0 && errno == EPIPE);
    close(ends[1]);
}

Test(sink, knows_the_journal)
{
    struct log_target sink;
    struct stat status;
    char name[64];
    int ends[2];
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && dup2(ends[1], 2) == 2);
    cr_assert(fstat(2, &status) == 0);
    snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    log_target_stderr(&sink);
    cr_expect(!sink.journal);
    cr_assert(setenv("JOURNAL_STREAM", name, 1) == 0);
    log_target_stderr(&sink);
    cr_expect(sink.journal && sink.socket);
    cr_assert(setenv("JOURNAL_STREAM", "1:1", 1) == 0);
    log_target_stderr(&sink);
    cr_expect(!sink.journal, "another's journal");
}
