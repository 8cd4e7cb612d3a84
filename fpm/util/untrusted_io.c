/* untrusted_io.c: see untrusted_io.h. */
#include "fpm/util/untrusted_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

/* For kernels that cannot be told not to wait. Sets errno. */
static bool untrusted_io_ready(int fd, short events)
{
    struct pollfd look = {.fd = fd, .events = events};
    int count = poll(&look, 1, 0);
    if (count == 1 && (look.revents & events) != 0)
        return true;
    if (count >= 0)
        errno = count == 1 ? EPIPE : EAGAIN;
    return false;
}

ssize_t untrusted_io_read_shared(int fd, void *data, size_t size)
{
    const struct iovec part = {.iov_base = data, .iov_len = size};
    ssize_t got = preadv2(fd, &part, 1, -1, RWF_NOWAIT);
    if (got >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
        return got;
    return untrusted_io_ready(fd, POLLIN) ? read(fd, data, size) : -1;
}

ssize_t untrusted_io_write_shared(int fd, const void *data, size_t size)
{
    const struct iovec part = {.iov_base = (void *)(size_t)data, .iov_len = size};
    ssize_t put = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
    if (put >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
        return put;
    /* One that is writable takes this much; a larger write would wait. */
    return untrusted_io_ready(fd, POLLOUT) ? write(fd, data, size < PIPE_BUF ? size : PIPE_BUF)
                                           : -1;
}

ssize_t untrusted_io_read_own(int fd, void *data, size_t size)
{
    return read(fd, data, size);
}

ssize_t untrusted_io_write_own(int fd, const void *data, size_t size)
{
    return write(fd, data, size);
}

ssize_t untrusted_io_receive(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_DONTWAIT);
}

ssize_t untrusted_io_send(int fd, const void *data, size_t size)
{
    return send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t untrusted_io_send_message(int fd, const struct msghdr *message)
{
    return sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t untrusted_io_peek(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_PEEK | MSG_DONTWAIT);
}

int untrusted_io_accept_own(int fd)
{
    return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int untrusted_io_own(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}
