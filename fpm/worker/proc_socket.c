/* proc_socket.c: see proc_socket.h. */
#include "fpm/worker/proc_socket.h"

#include "fpm/util/fd.h"
#include "fpm/util/untrusted_io.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PROC_SOCKET_BYTES = 65536, /* that are looked at, of a request */
    PROC_SOCKET_HEADER = 8,    /* bytes of a record's */
    PROC_SOCKET_BEGIN = 1,     /* types of records */
    PROC_SOCKET_STDIN = 5
};

int proc_socket_copy(pid_t pid, int number)
{
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0)
        return -1;
    int copy = (int)syscall(SYS_pidfd_getfd, process, number, 0);
    fd_close(&process);
    return copy;
}

bool proc_socket_came_through(int fd, int listen_fd)
{
    struct sockaddr_storage ours = {0}, theirs = {0};
    socklen_t size = sizeof ours, other = sizeof theirs;
    if (getsockname(listen_fd, (struct sockaddr *)&ours, &size) != 0 ||
        getsockname(fd, (struct sockaddr *)&theirs, &other) != 0 ||
        ours.ss_family != theirs.ss_family)
        return false;
    /* A wildcard address differs from that of its connections. */
    if (ours.ss_family == AF_INET)
        return ((const struct sockaddr_in *)&ours)->sin_port ==
               ((const struct sockaddr_in *)&theirs)->sin_port;
    if (ours.ss_family == AF_INET6)
        return ((const struct sockaddr_in6 *)&ours)->sin6_port ==
               ((const struct sockaddr_in6 *)&theirs)->sin6_port;
    return size == other && memcmp(&ours, &theirs, size) == 0;
}

/* Records of FastCGI: version, type, two bytes of the request's number, two of the length, one of
 * the padding's, and a reserved one. */
enum proc_socket_input proc_socket_parse(const unsigned char *bytes, size_t size)
{
    size_t at = 0;
    while (size - at >= PROC_SOCKET_HEADER) {
        const unsigned char *record = bytes + at;
        size_t length = (size_t)record[4] << 8 | record[5];
        if (record[0] != 1 || (at == 0 && (record[1] != PROC_SOCKET_BEGIN || length != 8)))
            return PROC_SOCKET_PART;
        if (record[1] == PROC_SOCKET_STDIN && length == 0)
            return PROC_SOCKET_REQUEST;
        at += PROC_SOCKET_HEADER + length + record[6];
        if (at > size)
            return PROC_SOCKET_PART;
    }
    return size == 0 ? PROC_SOCKET_NOTHING : PROC_SOCKET_PART;
}

/* TCP knows whether something was sent or received last. A unix socket does not. */
static bool proc_socket_received_last(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return false;
    bool sent = size < offsetof(struct tcp_info, tcpi_bytes_retrans) || info.tcpi_bytes_sent > 0;
    return !sent || info.tcpi_last_data_sent > info.tcpi_last_data_recv;
}

enum proc_socket_input proc_socket_input(int fd)
{
    static unsigned char bytes[PROC_SOCKET_BYTES];
    ssize_t got = untrusted_io_peek(fd, bytes, sizeof bytes);
    if (got <= 0)
        return proc_socket_received_last(fd) ? PROC_SOCKET_PART : PROC_SOCKET_NOTHING;
    return proc_socket_parse(bytes, (size_t)got);
}

/* A unix socket refuses what the peer sends from the first call on: what has not arrived by then
 * has not been sent. A TCP socket still takes it. */
bool proc_socket_end(int fd)
{
    int bytes = 0;
    (void)shutdown(fd, SHUT_RD);
    if (ioctl(fd, FIONREAD, &bytes) != 0 || bytes > 0)
        return false;
    (void)shutdown(fd, SHUT_RDWR);
    return true;
}
