/* pool_client.c: see pool_client.h. */
#include "fpm/ctl/pool_client.h"

#include "fpm/control/control_proto.h"
#include "fpm/ctl/client.h"
#include "fpm/ctl/options.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    POOL_CLIENT_PAUSE_MIN = 2, /* ms between two calls; grows by half each time */
    POOL_CLIENT_PAUSE_MAX = 100
};

/* ---- where it listens ---- */

static int pool_client_ask(const struct pool_client *pool, bool follow, char **answer, char *error,
                           size_t size)
{
    char *arguments[2] = {(char *)(uintptr_t)pool->name, (char *)(uintptr_t)pool->mark};
    const struct client_words words = {
        .verb = CONTROL_REQUEST, .argc = follow ? 2 : 1, .argv = arguments};
    return client_fetch(pool->socket, &words, answer, error, size);
}

int pool_client_find(struct pool_client *pool, const char *socket, const char *name, char *error,
                     size_t size)
{
    char *answer;
    *pool = (struct pool_client){.socket = socket, .name = name};
    int status = pool_client_ask(pool, false, &answer, error, size);
    if (status != 0)
        return status;
    if (sscanf(answer, "%23[0-9] tcp %127s %15s", pool->mark, pool->host, pool->port) == 3)
        pool->is_tcp = true;
    else if (sscanf(answer, "%23[0-9] unix %127[^\n]", pool->mark, pool->host) != 2) {
        snprintf(error, size, "the manager's answer is malformed; is it of another version?");
        status = OPTIONS_FAILED;
    }
    free(answer);
    return status;
}

/* ---- connecting ---- */

/* Blocks while the listen queue is full. */
int pool_client_connect(const struct pool_client *pool, uint64_t limit, char *error, size_t size)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct sockaddr_un unix_address = {.sun_family = AF_UNIX};
    struct addrinfo here = {.ai_family = AF_UNIX,
                            .ai_addr = (struct sockaddr *)&unix_address,
                            .ai_addrlen = sizeof unix_address};
    struct addrinfo *found = NULL;
    struct timeval timeout = {.tv_sec = (time_t)(limit / CLOCK_NS_PER_S),
                              .tv_usec = (suseconds_t)(limit % CLOCK_NS_PER_S / 1000)};
    const char *remedy = "";
    int fd = -1;
    bool known = false;
    errno = EINVAL;
    if (pool->is_tcp) {
        known = getaddrinfo(pool->host, pool->port, &hints, &found) == 0 && found != NULL;
    } else if (strlen(pool->host) < sizeof unix_address.sun_path) {
        memcpy(unix_address.sun_path, pool->host, strlen(pool->host) + 1);
        known = true;
    } else
        errno = ENAMETOOLONG;
    const struct addrinfo *address = pool->is_tcp ? found : &here;
    if (known)
        fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* A machine that listen.allowed_clients does not list may get no answer from the kernel: it
     * asks four times, 15 s. */
    if (fd >= 0 && pool->is_tcp)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &(int){3}, sizeof(int));
    bool connected = fd >= 0 &&
                     setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
                     connect(fd, address->ai_addr, address->ai_addrlen) == 0;
    int number = errno;
    if (found != NULL)
        freeaddrinfo(found);
    if (connected)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    bool full = number == EAGAIN || number == EINPROGRESS;
    if (number == EACCES || number == EPERM)
        remedy = "; see `listen.owner`, `listen.group` and `listen.mode`";
    else if (full || number == ETIMEDOUT)
        remedy = pool->is_tcp ? "; the listen queue is full: all workers are busy, or "
                                "`listen.allowed_clients` does not list this machine"
                              : "; the listen queue is full: all workers are busy";
    else if (number == ENOENT || number == ECONNREFUSED)
        remedy = "; the pool is stopping, or its socket was removed";
    snprintf(error, size, "pool %s: cannot connect to %s%s%s: %s%s", pool->name, pool->host,
             pool->is_tcp ? " port " : "", pool->port, full ? "timed out" : strerror(number),
             remedy);
    return -1;
}

/* ---- following ---- */

/* Reads the manager's answer about the request. False while the worker is busy with it. */
static bool pool_client_take(const char *answer, struct pool_client_trail *trail)
{
    char word[16] = "";
    const char *remark = "no worker has recorded it: the library or the manager answered in place "
                         "of the application, as for the status and ping, or the worker is without "
                         "the library";
    int pid = 0, read = sscanf(answer, "%15s %d %" SCNu64, word, &pid, &trail->ended_at);
    trail->outcome = POOL_CLIENT_UNKNOWN;
    trail->pid = pid;
    if (strcmp(word, CONTROL_MARK_RUNNING) == 0 && read >= 2) {
        trail->outcome = POOL_CLIENT_RUNNING;
        remark = "the worker is still busy with it";
    } else if (strcmp(word, CONTROL_MARK_ENDED) == 0 && read == 3) {
        trail->outcome = POOL_CLIENT_ENDED;
        remark = "";
    } else if (strcmp(word, CONTROL_MARK_DIED) == 0 && read == 3) {
        trail->outcome = POOL_CLIENT_DIED;
        remark = "its process ended before it was done; see the manager's log";
    } else if (strcmp(word, CONTROL_MARK_LOST) == 0) {
        remark = "the application handed the request from one thread to another";
    }
    snprintf(trail->remark, sizeof trail->remark, "%s", remark);
    return trail->outcome != POOL_CLIENT_RUNNING;
}

void pool_client_follow(const struct pool_client *pool, uint64_t deadline,
                        struct pool_client_trail *trail)
{
    int64_t pause = POOL_CLIENT_PAUSE_MIN;
    *trail = (struct pool_client_trail){0};
    for (;;) {
        char *answer, error[CONTROL_LINE_MAX];
        if (pool_client_ask(pool, true, &answer, error, sizeof error) != 0) {
            *trail = (struct pool_client_trail){.pid = trail->pid};
            snprintf(trail->remark, sizeof trail->remark, "%s", error);
            return;
        }
        bool over = pool_client_take(answer, trail);
        free(answer);
        const struct timespec time = {.tv_nsec = pause * CLOCK_NS_PER_MS};
        if (over || (deadline != 0 && clock_ns() + (uint64_t)time.tv_nsec > deadline))
            return;
        (void)nanosleep(&time, NULL);
        pause = pause * 3 / 2 < POOL_CLIENT_PAUSE_MAX ? pause * 3 / 2 : POOL_CLIENT_PAUSE_MAX;
    }
}

const char *pool_client_outcome(const struct pool_client_trail *trail)
{
    static const char *const names[] = {
        [POOL_CLIENT_UNKNOWN] = "unknown",
        [POOL_CLIENT_RUNNING] = "running",
        [POOL_CLIENT_ENDED] = "ended",
        [POOL_CLIENT_DIED] = "died",
    };
    return names[trail->outcome];
}
