/* socket_activation.c: see socket_activation.h. */
#include "fpm/pool/socket_activation.h"

#include "fpm/util/fd.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

enum {
    SOCKET_ACTIVATION_FIRST = 3, /* number of the first descriptor, by the protocol */
    SOCKET_ACTIVATION_MAX = 4096,
    SOCKET_ACTIVATION_NAME = 256,
    SOCKET_ACTIVATION_ADDRESS = 256
};

struct socket_activation_socket {
    int fd;    /* -1: taken or closed */
    bool kept; /* a pool had it before */
    char name[SOCKET_ACTIVATION_NAME];
};

static struct socket_activation_socket *socket_activation_list;
static size_t socket_activation_count;

/* The variable as a number up to `max`; -1 if it is none. */
static long socket_activation_number(const char *name, long max)
{
    const char *text = getenv(name);
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text))
        return -1;
    errno = 0;
    long number = strtol(text, NULL, 10);
    return errno == 0 && number <= max ? number : -1;
}

static int socket_activation_read(char *error, size_t size)
{
    if (socket_activation_number("LISTEN_PID", INT32_MAX) != getpid())
        return 0;
    long count = socket_activation_number("LISTEN_FDS", SOCKET_ACTIVATION_MAX);
    if (count < 0) {
        snprintf(error, size, "LISTEN_FDS in the environment is no number up to %d",
                 (int)SOCKET_ACTIVATION_MAX);
        return -1;
    }
    if (count == 0)
        return 0;
    socket_activation_list = calloc((size_t)count, sizeof *socket_activation_list);
    if (socket_activation_list == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    socket_activation_count = (size_t)count;

    /* The names are in the order of the descriptors; there may be fewer. */
    const char *names = getenv("LISTEN_FDNAMES");
    for (size_t i = 0; i < socket_activation_count; i++) {
        struct socket_activation_socket *socket = &socket_activation_list[i];
        socket->fd = SOCKET_ACTIVATION_FIRST + (int)i;
        size_t length = names != NULL ? strcspn(names, ":") : 0;
        if (names != NULL)
            snprintf(socket->name, sizeof socket->name, "%.*s",
                     (int)MIN(length, SOCKET_ACTIVATION_NAME - 1), names);
        names = names != NULL && names[length] == ':' ? names + length + 1 : NULL;
        /* Checked at once: a number that is free would soon belong to a file of the manager. */
        if (fcntl(socket->fd, F_GETFD) >= 0)
            continue;
        snprintf(error, size,
                 "LISTEN_FDS in the environment promises %zu descriptors, but %d is not open",
                 socket_activation_count, socket->fd);
        return -1;
    }
    return 0;
}

int socket_activation_open(char *error, size_t size)
{
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
                                            "LISTEN_FDNAMES"};
    int result = socket_activation_read(error, size);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        (void)unsetenv(variables[i]);
    return result;
}

/* A socket of the pool's name fits better than one with the right address; among equals, the first
 * is taken. */
static struct socket_activation_socket *socket_activation_find(const char *pool,
                                                               const struct socket_spec *spec)
{
    struct socket_activation_socket *best = NULL;
    int best_fit = 0;
    for (size_t i = 0; i < socket_activation_count; i++) {
        struct socket_activation_socket *socket = &socket_activation_list[i];
        if (socket->fd < 0)
            continue;
        int fit = 2 * (strcmp(socket->name, pool) == 0) + socket_is_at(socket->fd, spec);
        if (fit > best_fit) {
            best_fit = fit;
            best = socket;
        }
    }
    return best;
}

int socket_activation_take(const char *pool, const struct socket_spec *spec,
                           struct socket_listener *listener, char *text, size_t size)
{
    char why[128], where[SOCKET_ACTIVATION_ADDRESS];
    struct socket_activation_socket *found = socket_activation_find(pool, spec);
    *listener = SOCKET_NONE;
    *text = '\0';
    if (found == NULL)
        return 0;
    if (socket_adopt(listener, found->fd, why, sizeof why) != 0) {
        snprintf(text, size, "descriptor %d, passed for it to the manager, %s", found->fd, why);
        return -1;
    }
    if (!socket_is_at(found->fd, spec))
        snprintf(text, size, "the socket passed under its name listens on %s, which is used",
                 socket_where(found->fd, where, sizeof where));
    found->fd = -1;
    return 1;
}

bool socket_activation_drop(char *text, size_t size)
{
    struct socket_listener listener;
    char why[128], where[SOCKET_ACTIVATION_ADDRESS], name[SOCKET_ACTIVATION_NAME];
    size_t i = 0;
    while (i < socket_activation_count &&
           (socket_activation_list[i].fd < 0 || socket_activation_list[i].kept))
        i++;
    if (i == socket_activation_count)
        return false;
    struct socket_activation_socket *socket = &socket_activation_list[i];
    escape_show(name, sizeof name, socket->name);
    if (socket_adopt(&listener, socket->fd, why, sizeof why) != 0)
        snprintf(text, size, "descriptor %d \"%s\", passed to the manager, %s: closed", socket->fd,
                 name, why);
    else
        snprintf(text, size,
                 "descriptor %d \"%s\", passed to the manager, listens on %s, which no pool "
                 "uses: closed; name it as its pool (FileDescriptorName=), or set `listen`",
                 socket->fd, name, socket_where(socket->fd, where, sizeof where));
    fd_close(&socket->fd);
    return true;
}

/* ---- sockets that pools have given back ---- */

/* Takes the descriptor. Returns 0, or -1 with errno. */
static int socket_activation_put(const char *name, int fd)
{
    size_t at = 0;
    while (at < socket_activation_count && socket_activation_list[at].fd >= 0)
        at++;
    if (at == socket_activation_count) {
        struct socket_activation_socket *grown = reallocarray(
            socket_activation_list, socket_activation_count + 1, sizeof *socket_activation_list);
        if (grown == NULL)
            return -1;
        socket_activation_list = grown;
        socket_activation_count++;
    }
    socket_activation_list[at] = (struct socket_activation_socket){.fd = fd, .kept = true};
    snprintf(socket_activation_list[at].name, sizeof socket_activation_list[at].name, "%s", name);
    return 0;
}

int socket_activation_keep(const char *name, int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0 || socket_activation_put(name, own) == 0)
        return own < 0 ? -1 : 0;
    fd_close(&own);
    errno = ENOMEM;
    return -1;
}

void socket_activation_saved_state(struct saved_state *state)
{
    bool saves = state->mode == SAVED_STATE_SAVE;
    int64_t count = 0;
    for (size_t i = 0; saves && i < socket_activation_count; i++)
        count += socket_activation_list[i].fd >= 0;
    count = saved_state_number(state, "kept_sockets", count, 0, INT32_MAX);
    for (size_t i = 0; saves && i < socket_activation_count; i++) {
        char *name = socket_activation_list[i].name;
        if (socket_activation_list[i].fd < 0)
            continue;
        saved_state_text(state, "kept_name", &name);
        (void)saved_state_fd(state, "kept_socket", socket_activation_list[i].fd);
    }
    for (int64_t i = 0; !saves && i < count && saved_state_good(state); i++) {
        char *name = NULL;
        saved_state_text(state, "kept_name", &name);
        int fd = saved_state_fd(state, "kept_socket", -1);
        if (fd >= 0 && (name == NULL || socket_activation_put(name, fd) != 0))
            fd_close(&fd);
        free(name);
    }
}
