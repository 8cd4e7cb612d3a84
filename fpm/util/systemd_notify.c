/* systemd_notify.c: see systemd_notify.h. */
#include "fpm/util/systemd_notify.h"

#include "fpm/util/fd.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    SYSTEMD_NOTIFY_MESSAGE_MAX = SYSTEMD_NOTIFY_STATUS_MAX + 64
};

/* The address's length; 0 if there is none, or of a kind that is not ours. */
static socklen_t systemd_notify_address(struct sockaddr_un *address)
{
    const char *path = getenv("NOTIFY_SOCKET");
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof address->sun_path)
        return 0;
    memcpy(address->sun_path, path, strlen(path));
    if (path[0] == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
}

bool systemd_notify_wanted(void)
{
    struct sockaddr_un address;
    return systemd_notify_address(&address) > 0;
}

static int systemd_notify_send(const char *state)
{
    struct sockaddr_un address;
    socklen_t size = systemd_notify_address(&address);
    if (size == 0)
        return 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    ssize_t sent =
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size);
    fd_close(&fd);
    return sent < 0 ? -1 : 0;
}

int systemd_notify_ready(void)
{
    char message[SYSTEMD_NOTIFY_MESSAGE_MAX];
    snprintf(message, sizeof message, "READY=1\nMAINPID=%d", (int)getpid());
    return systemd_notify_send(message);
}

int systemd_notify_reloading(void)
{
    char message[SYSTEMD_NOTIFY_MESSAGE_MAX];
    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_ns() / 1000);
    return systemd_notify_send(message);
}

int systemd_notify_stopping(void)
{
    return systemd_notify_send("STOPPING=1");
}

int systemd_notify_status(const char *text)
{
    char message[SYSTEMD_NOTIFY_MESSAGE_MAX], shown[SYSTEMD_NOTIFY_STATUS_MAX];
    snprintf(message, sizeof message, "STATUS=%s", escape_show(shown, sizeof shown, text));
    return systemd_notify_send(message);
}

/* The variable as a positive number; 0 if it is none. */
static int64_t systemd_notify_number(const char *name)
{
    const char *text = getenv(name);
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text))
        return 0;
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    return errno == 0 ? number : 0;
}

int64_t systemd_notify_watchdog_interval(void)
{
    int64_t allowed = systemd_notify_number("WATCHDOG_USEC");
    if (allowed == 0 || !systemd_notify_wanted() ||
        (getenv("WATCHDOG_PID") != NULL && systemd_notify_number("WATCHDOG_PID") != getpid()))
        return 0;
    return allowed / 2000 > 0 ? allowed / 2000 : 1;
}

int systemd_notify_watchdog(void)
{
    return systemd_notify_send("WATCHDOG=1");
}
