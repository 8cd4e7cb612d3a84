/* listener.c: see listener.h. */
#include "sapi-shim/connection/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener_option(int fd, int option)
{
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : 0;
}

/* Children of the application must not inherit the listening socket: we use a close-on-exec copy.
 * Standard input becomes the null device. */
static int listener_adopt(int fd)
{
    int one = 1;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (own < 0)
        return -1;
    int flags = fcntl(own, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        (void)fcntl(own, F_SETFL, flags | O_NONBLOCK);
    /* Accepted sockets inherit it. On a unix socket it fails and is not needed. */
    (void)setsockopt(own, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd != STDIN_FILENO) {
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        return own;
    }
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd > STDIN_FILENO) {
        (void)dup2(null_fd, STDIN_FILENO);
        (void)close(null_fd);
    }
    return own;
}

enum {
    LISTENER_LOOK = 16 /* each so many times that the queue is empty, more is asked */
};

/* A unix socket that was shut down is always ready, and always empty. */
__attribute__((cold)) static bool listener_is_shut(struct listener *listener)
{
    struct pollfd look = {.fd = listener->fd, .events = POLLRDHUP};
    return atomic_fetch_add_explicit(&listener->empty, 1, memory_order_relaxed) % LISTENER_LOOK ==
               LISTENER_LOOK - 1 &&
           poll(&look, 1, 0) == 1 && (look.revents & (POLLRDHUP | POLLHUP)) != 0;
}

bool listener_open(struct listener *listener, int fd, const char *addresses)
{
    *listener = (struct listener){.fd = -1};
    if (listener_option(fd, SO_ACCEPTCONN) == 0) {
        errno = ENOTSOCK;
        return false;
    }
    if (!allowed_clients_parse(&listener->allowed, addresses))
        return false;
    listener->fd = listener_adopt(fd);
    listener->is_tcp = listener_option(listener->fd, SO_DOMAIN) != AF_UNIX;
    if (listener->fd < 0)
        allowed_clients_free(&listener->allowed);
    return listener->fd >= 0;
}

void listener_close(struct listener *listener)
{
    if (listener->fd >= 0)
        (void)close(listener->fd);
    listener->fd = -1;
    allowed_clients_free(&listener->allowed);
}

/* An IPv4 address on a socket of both families is written as such. */
static void listener_name_client(const struct sockaddr_storage *address,
                                 char client[LISTENER_CLIENT_SIZE])
{
    _Static_assert(LISTENER_CLIENT_SIZE >= INET6_ADDRSTRLEN, "it holds every address");
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    const void *bytes = &((const struct sockaddr_in *)address)->sin_addr;
    int family = AF_INET;
    if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        bytes = &v6->sin6_addr.s6_addr[12];
    else if (address->ss_family == AF_INET6) {
        bytes = &v6->sin6_addr;
        family = AF_INET6;
    }
    if (inet_ntop(family, bytes, client, LISTENER_CLIENT_SIZE) == NULL)
        *client = '\0';
}

enum listener_result listener_accept(struct listener *listener, struct conn **conn,
                                     char client[LISTENER_CLIENT_SIZE])
{
    struct sockaddr_storage address;
    address.ss_family = AF_UNSPEC;
    bool check = listener->is_tcp && !listener->allowed.any;
    int fd = -1;
    do {
        socklen_t length = sizeof address;
        fd = accept4(listener->fd, check ? (struct sockaddr *)&address : NULL,
                     check ? &length : NULL, SOCK_CLOEXEC);
    } while (fd < 0 && (errno == ECONNABORTED || errno == EINTR || errno == EPROTO));
    if (fd < 0)
        switch (errno) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return LISTENER_STARVED;
        case EINVAL:
            return LISTENER_SHUT;
        case EBADF:
        case ENOTSOCK:
            return LISTENER_FAILED;
        default: /* EAGAIN, or an error of the new connection */
            return listener_is_shut(listener) ? LISTENER_SHUT : LISTENER_NONE;
        }
    if (check && !allowed_clients_allow(&listener->allowed, (struct sockaddr *)&address)) {
        (void)close(fd);
        listener_name_client(&address, client);
        return LISTENER_REFUSED;
    }
    *conn = conn_open(fd, listener->is_tcp);
    if (*conn != NULL)
        return LISTENER_CONN;
    errno = EMFILE;
    return LISTENER_STARVED;
}
