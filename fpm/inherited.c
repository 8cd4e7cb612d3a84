/* inherited.c: see inherited.h. */
#include "fpm/inherited.h"

#include "fpm/fd.h"
#include "fpm/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

enum {
    INHERITED_FIRST = 3, /* number of the first descriptor, by the protocol */
    INHERITED_MAX = 4096,
    INHERITED_NAME = 256,
    INHERITED_PLACE = 256
};

struct inherited_socket {
    int fd;    /* -1: taken or closed */
    bool kept; /* a pool had it before */
    char name[INHERITED_NAME];
};

static struct inherited_socket *inherited;
static size_t inherited_count;

/* The variable as a number up to `most`; -1 if it is none. */
static long inherited_number(const char *name, long most)
{
    const char *text = getenv(name);
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text))
        return -1;
    errno = 0;
    long number = strtol(text, NULL, 10);
    return errno == 0 && number <= most ? number : -1;
}

/* Names stand in the order of the descriptors; there may be fewer. */
static void inherited_names(const char *names)
{
    for (size_t i = 0; i < inherited_count && names != NULL; i++) {
        size_t length = strcspn(names, ":");
        snprintf(inherited[i].name, sizeof inherited[i].name, "%.*s",
                 (int)MIN(length, INHERITED_NAME - 1), names);
        names = names[length] == ':' ? names + length + 1 : NULL;
    }
}

/* Now: a number that is free would soon be that of a file of the manager's own. */
static int inherited_all_open(char *error, size_t size)
{
    for (size_t i = 0; i < inherited_count; i++) {
        if (fcntl(inherited[i].fd, F_GETFD) >= 0)
            continue;
        snprintf(error, size,
                 "LISTEN_FDS in the environment promises %zu descriptors, but %d is "
                 "not open",
                 inherited_count, inherited[i].fd);
        return -1;
    }
    return 0;
}

static int inherited_read(char *error, size_t size)
{
    if (inherited_number("LISTEN_PID", INT32_MAX) != getpid())
        return 0;
    long count = inherited_number("LISTEN_FDS", INHERITED_MAX);
    if (count < 0) {
        snprintf(error, size, "LISTEN_FDS in the environment is no number up to %d",
                 (int)INHERITED_MAX);
        return -1;
    }
    if (count == 0)
        return 0;
    inherited = calloc((size_t)count, sizeof *inherited);
    if (inherited == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    inherited_count = (size_t)count;
    for (size_t i = 0; i < inherited_count; i++)
        inherited[i].fd = INHERITED_FIRST + (int)i;
    inherited_names(getenv("LISTEN_FDNAMES"));
    return inherited_all_open(error, size);
}

int inherited_open(char *error, size_t size)
{
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
                                            "LISTEN_FDNAMES"};
    int result = inherited_read(error, size);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        (void)unsetenv(variables[i]);
    return result;
}

/* How well a socket fits; the best is taken, among equals the first. */
static int inherited_fit(const struct inherited_socket *socket, const char *pool,
                         const struct socket_spec *spec)
{
    if (socket->fd < 0)
        return 0;
    return 2 * (strcmp(socket->name, pool) == 0) + socket_is_at(socket->fd, spec);
}

static struct inherited_socket *inherited_find(const char *pool, const struct socket_spec *spec)
{
    struct inherited_socket *best = NULL;
    int fit = 0;
    for (size_t i = 0; i < inherited_count; i++) {
        int this = inherited_fit(&inherited[i], pool, spec);
        if (this > fit) {
            fit = this;
            best = &inherited[i];
        }
    }
    return best;
}

int inherited_take(const char *pool, const struct socket_spec *spec,
                   struct socket_listener *listener, char *text, size_t size)
{
    char why[128], where[INHERITED_PLACE];
    struct inherited_socket *found = inherited_find(pool, spec);
    *listener = SOCKET_NONE;
    *text = '\0';
    if (found == NULL)
        return 0;
    if (socket_adopt(listener, found->fd, why, sizeof why) != 0) {
        snprintf(text, size, "descriptor %d, passed for it by the one who started the manager, %s",
                 found->fd, why);
        return -1;
    }
    if (!socket_is_at(found->fd, spec))
        snprintf(text, size, "the socket passed under its name listens on %s, which is used",
                 socket_where(found->fd, where, sizeof where));
    found->fd = -1;
    return 1;
}

static void inherited_tell(const struct inherited_socket *socket, char *text, size_t size)
{
    struct socket_listener listener;
    char why[128], where[INHERITED_PLACE], name[INHERITED_NAME];
    text_show(name, sizeof name, socket->name);
    if (socket_adopt(&listener, socket->fd, why, sizeof why) != 0)
        snprintf(text, size, "descriptor %d \"%s\", passed to the manager, %s: closed", socket->fd,
                 name, why);
    else
        snprintf(text, size,
                 "descriptor %d \"%s\", passed to the manager, listens on %s, which is no pool's: "
                 "closed; name it as its pool (FileDescriptorName=), or set `listen`",
                 socket->fd, name, socket_where(socket->fd, where, sizeof where));
}

bool inherited_drop(char *text, size_t size)
{
    for (size_t i = 0; i < inherited_count; i++) {
        if (inherited[i].fd < 0 || inherited[i].kept)
            continue;
        inherited_tell(&inherited[i], text, size);
        fd_close(&inherited[i].fd);
        return true;
    }
    return false;
}

/* ---- those that were given back ---- */

/* The descriptor is theirs then. Returns 0, or -1 with errno. */
static int inherited_put(const char *name, int fd)
{
    size_t at = 0;
    while (at < inherited_count && inherited[at].fd >= 0)
        at++;
    if (at == inherited_count) {
        struct inherited_socket *grown =
            reallocarray(inherited, inherited_count + 1, sizeof *inherited);
        if (grown == NULL)
            return -1;
        inherited = grown;
        inherited_count++;
    }
    inherited[at] = (struct inherited_socket){.fd = fd, .kept = true};
    snprintf(inherited[at].name, sizeof inherited[at].name, "%s", name);
    return 0;
}

int inherited_keep(const char *name, int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0 || inherited_put(name, own) == 0)
        return own < 0 ? -1 : 0;
    fd_close(&own);
    errno = ENOMEM;
    return -1;
}

static void inherited_read_one(struct handover *paper)
{
    char *name = NULL;
    handover_text(paper, "kept_name", &name);
    int fd = handover_fd(paper, "kept_socket", -1);
    if (fd >= 0 && (name == NULL || inherited_put(name, fd) != 0))
        fd_close(&fd);
    free(name);
}

void inherited_hand_over(struct handover *paper)
{
    int64_t count = 0;
    for (size_t i = 0; i < inherited_count; i++)
        count += inherited[i].fd >= 0;
    if (paper->mode != HANDOVER_WRITE)
        count = 0;
    count = handover_number(paper, "kept_sockets", count, 0, INT32_MAX);
    for (int64_t i = 0; paper->mode != HANDOVER_WRITE && i < count && handover_good(paper); i++)
        inherited_read_one(paper);
    for (size_t i = 0; paper->mode == HANDOVER_WRITE && i < inherited_count; i++) {
        char *name = inherited[i].name;
        if (inherited[i].fd < 0)
            continue;
        handover_text(paper, "kept_name", &name);
        (void)handover_fd(paper, "kept_socket", inherited[i].fd);
    }
}
