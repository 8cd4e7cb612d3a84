/* socket.c: see socket.h. */
#include "fpm/socket.h"

#include "fpm/fd.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int socket_fail(char *error, size_t size, const char *deed, const char *where)
{
    snprintf(error, size, "cannot %s %s: %s", deed, where, strerror(errno));
    return -1;
}

static int socket_unix_address(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 0;
}

int socket_answered(const char *path)
{
    struct sockaddr_un address;
    if (socket_unix_address(&address, path) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int answer = 1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        /* A full queue (EAGAIN) belongs to somebody who listens. */
        if (errno == ECONNREFUSED || errno == ENOENT)
            answer = 0;
        else if (errno != EAGAIN && errno != EINPROGRESS)
            answer = -1;
    }
    fd_close(&fd);
    return answer;
}

/* Removes a socket's file that nobody listens on any more. */
static int socket_clear_stale(const char *path, char *error, size_t size)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return errno == ENOENT ? 0 : socket_fail(error, size, "look at", path);
    if (!S_ISSOCK(status.st_mode)) {
        snprintf(error, size, "cannot listen on %s: the file exists and is not a socket", path);
        return -1;
    }
    int answered = socket_answered(path);
    if (answered < 0)
        return socket_fail(error, size, "test whether somebody listens on", path);
    if (answered > 0) {
        snprintf(error, size, "cannot listen on %s: another process listens there", path);
        return -1;
    }
    if (unlink(path) != 0 && errno != ENOENT)
        return socket_fail(error, size, "remove the stale socket", path);
    return 0;
}

/* The file is born closed to others and opened by chmod, so that no mode is ever wider than wanted.
 */
static int socket_bind_unix(int fd, const struct sockaddr_un *address,
                            const struct socket_spec *spec, char *error, size_t size)
{
    mode_t old = umask(0177);
    int bound = bind(fd, (const struct sockaddr *)address, sizeof *address);
    umask(old);
    if (bound != 0)
        return socket_fail(error, size, "listen on", spec->path);
    if ((spec->uid != (uid_t)-1 || spec->gid != (gid_t)-1) &&
        chown(spec->path, spec->uid, spec->gid) != 0) {
        socket_fail(error, size, "change the owner of", spec->path);
        (void)unlink(spec->path);
        return -1;
    }
    if (chmod(spec->path, (mode_t)spec->mode) != 0) {
        socket_fail(error, size, "change the mode of", spec->path);
        (void)unlink(spec->path);
        return -1;
    }
    return 0;
}

static int socket_listen_unix(struct socket_listener *listener, const struct socket_spec *spec,
                              char *error, size_t size)
{
    struct sockaddr_un address;
    struct stat status;
    if (socket_unix_address(&address, spec->path) != 0)
        return socket_fail(error, size, "listen on", spec->path);
    if (socket_clear_stale(spec->path, error, size) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_fail(error, size, "make a socket for", spec->path);
    char *path = strdup(spec->path);
    if (path == NULL || socket_bind_unix(fd, &address, spec, error, size) != 0) {
        if (path == NULL)
            snprintf(error, size, "out of memory");
        free(path);
        fd_close(&fd);
        return -1;
    }
    if (listen(fd, spec->backlog < 0 ? SOMAXCONN : spec->backlog) != 0 ||
        lstat(path, &status) != 0) {
        socket_fail(error, size, "listen on", spec->path);
        (void)unlink(path);
        free(path);
        fd_close(&fd);
        return -1;
    }
    *listener = (struct socket_listener){
        .fd = fd, .path = path, .device = status.st_dev, .inode = status.st_ino};
    return 0;
}

/* Tries one address. Accepted connections inherit TCP_NODELAY. */
static int socket_try(const struct addrinfo *address, bool any, int backlog)
{
    int on = 1, off = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    bool good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
    if (any && address->ai_family == AF_INET6)
        good = good && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0;
    if (good && bind(fd, address->ai_addr, address->ai_addrlen) == 0 &&
        listen(fd, backlog < 0 ? SOMAXCONN : backlog) == 0)
        return fd;
    fd_close(&fd);
    return -1;
}

static int socket_listen_host(const char *host, const struct socket_spec *spec, int *why)
{
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    *why = getaddrinfo(host, spec->port, &hints, &found);
    if (*why != 0)
        return -1;
    int fd = socket_try(found, spec->host == NULL, spec->backlog);
    int saved = errno;
    freeaddrinfo(found);
    errno = saved;
    return fd;
}

/* Any address: both families on one socket where the machine has IPv6, else IPv4 alone. */
static int socket_listen_tcp(struct socket_listener *listener, const struct socket_spec *spec,
                             char *error, size_t size)
{
    int why = 0;
    int fd = socket_listen_host(spec->host != NULL ? spec->host : "::", spec, &why);
    if (fd < 0 && spec->host == NULL && (why != 0 || errno != EADDRINUSE))
        fd = socket_listen_host("0.0.0.0", spec, &why);
    if (fd < 0) {
        const char *host = spec->host != NULL ? spec->host : "any address";
        snprintf(error, size, "cannot listen on %s, port %s: %s", host, spec->port,
                 why != 0 && why != EAI_SYSTEM ? gai_strerror(why) : strerror(errno));
        return -1;
    }
    *listener = (struct socket_listener){.fd = fd};
    return 0;
}

int socket_listen(struct socket_listener *listener, const struct socket_spec *spec, char *error,
                  size_t size)
{
    *listener = SOCKET_NONE;
    if (spec->path != NULL)
        return socket_listen_unix(listener, spec, error, size);
    return socket_listen_tcp(listener, spec, error, size);
}

void socket_close(struct socket_listener *listener)
{
    struct stat status;
    if (listener->path != NULL && lstat(listener->path, &status) == 0 &&
        status.st_dev == listener->device && status.st_ino == listener->inode)
        (void)unlink(listener->path);
    fd_close(&listener->fd);
    free(listener->path);
    *listener = SOCKET_NONE;
}

bool socket_pending(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1 && (look.revents & POLLIN) != 0;
}
