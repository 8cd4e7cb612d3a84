/* test_systemd_notify.c: messages to systemd, byte for byte, and the watchdog. */
#include "fpm/util/systemd_notify.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int supervisor = -1;

/* Listens under an abstract name of this process's own. */
static void listen_there(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 30};
    char name[64];
    int length = snprintf(name, sizeof name, "@ot-notify-%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, (size_t)length - 1);
    supervisor = socket(AF_UNIX, SOCK_DGRAM, 0);
    cr_assert(bind(supervisor, (struct sockaddr *)&address,
                   (socklen_t)(sizeof(sa_family_t) + (size_t)length)) == 0);
    cr_assert(setsockopt(supervisor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    cr_assert(setenv("NOTIFY_SOCKET", name, 1) == 0);
}

static const char *heard(void)
{
    static char text[4096];
    ssize_t got = recv(supervisor, text, sizeof text - 1, 0);
    cr_assert(got >= 0, "nothing was said");
    text[got] = '\0';
    return text;
}

Test(notify, without_a_socket)
{
    cr_assert(unsetenv("NOTIFY_SOCKET") == 0);
    cr_expect(!systemd_notify_wanted());
    cr_expect(systemd_notify_ready() == 0 && systemd_notify_status("x") == 0 &&
              systemd_notify_watchdog() == 0);
    cr_assert(setenv("NOTIFY_SOCKET", "relative/path", 1) == 0);
    cr_expect(!systemd_notify_wanted() && systemd_notify_ready() == 0);
    cr_assert(setenv("NOTIFY_SOCKET", "vsock:2:1234", 1) == 0);
    cr_expect(!systemd_notify_wanted() && systemd_notify_ready() == 0);
    cr_assert(setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1) == 0);
    cr_expect(systemd_notify_wanted() && systemd_notify_ready() == -1 && errno == ENOENT);
}

Test(notify, what_is_said)
{
    char expected[64];
    listen_there();
    cr_expect(systemd_notify_wanted());
    cr_expect(systemd_notify_ready() == 0);
    snprintf(expected, sizeof expected, "READY=1\nMAINPID=%d", (int)getpid());
    cr_expect_str_eq(heard(), expected);
    cr_expect(systemd_notify_stopping() == 0);
    cr_expect_str_eq(heard(), "STOPPING=1");
    cr_expect(systemd_notify_watchdog() == 0);
    cr_expect_str_eq(heard(), "WATCHDOG=1");
    cr_expect(systemd_notify_status("2 pools, 5 workers") == 0);
    cr_expect_str_eq(heard(), "STATUS=2 pools, 5 workers");
}

Test(notify, a_status_is_one_line)
{
    static char longest[2000];
    listen_there();
    cr_expect(systemd_notify_status("good\nSTOPPING=1") == 0);
    cr_expect_str_eq(heard(), "STATUS=good\\x0aSTOPPING=1");
    memset(longest, 'x', sizeof longest - 1);
    cr_expect(systemd_notify_status(longest) == 0);
    cr_expect(strlen(heard()) == strlen("STATUS=") + SYSTEMD_NOTIFY_STATUS_MAX - 1);
}

Test(notify, a_reload_is_stamped)
{
    struct timespec before, after;
    long long stamp = 0;
    listen_there();
    cr_assert(clock_gettime(CLOCK_MONOTONIC, &before) == 0);
    cr_expect(systemd_notify_reloading() == 0);
    cr_assert(clock_gettime(CLOCK_MONOTONIC, &after) == 0);
    cr_expect(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%lld", &stamp) == 1);
    cr_expect(stamp >= (long long)before.tv_sec * 1000000 + before.tv_nsec / 1000);
    cr_expect(stamp <= (long long)after.tv_sec * 1000000 + after.tv_nsec / 1000);
}

Test(notify, when_it_is_watched)
{
    static const struct {
        const char *allowed;
        int64_t interval;
    } cases[] = {{"30000000", 15000},
                 {"1000", 1},
                 {"3", 1},
                 {"0", 0},
                 {"", 0},
                 {"-5", 0},
                 {"5s", 0},
                 {"2000", 1},
                 {"99999999999999999999", 0}};
    char self[24];
    listen_there();
    snprintf(self, sizeof self, "%d", (int)getpid());
    cr_assert(unsetenv("WATCHDOG_USEC") == 0 && unsetenv("WATCHDOG_PID") == 0);
    cr_expect(systemd_notify_watchdog_interval() == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert(setenv("WATCHDOG_USEC", cases[i].allowed, 1) == 0);
        cr_expect(systemd_notify_watchdog_interval() == cases[i].interval, "%s", cases[i].allowed);
    }
    cr_assert(setenv("WATCHDOG_USEC", "2000000", 1) == 0);
    cr_assert(setenv("WATCHDOG_PID", self, 1) == 0);
    cr_expect(systemd_notify_watchdog_interval() == 1000);
    cr_assert(setenv("WATCHDOG_PID", "1", 1) == 0);
    cr_expect(systemd_notify_watchdog_interval() == 0, "another process is watched");
    cr_assert(unsetenv("WATCHDOG_PID") == 0 && unsetenv("NOTIFY_SOCKET") == 0);
    cr_expect(systemd_notify_watchdog_interval() == 0, "no socket is given");
}
