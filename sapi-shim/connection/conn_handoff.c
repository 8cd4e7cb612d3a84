/* conn_handoff.c: see conn_handoff.h. */
#include "sapi-shim/connection/conn_handoff.h"

#include "sapi-shim/contract.h"
#include "sapi-shim/util/diagnostics.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CONN_HANDOFF_BYTES_MAX = 8192 /* of a request that has begun; more and it stays where it is */
};

/* Before the bytes of a message. Both ends are this library, of one contract version. */
struct conn_handoff_head {
    uint64_t since; /* conn.h: the time it waits for a whole header goes on */
    bool is_tcp;
    bool idle;   /* kept, and no request has begun */
    bool leaver; /* the one that gives it leaves */
};

static int conn_handoff_in = -1;
static int conn_handoff_out = -1;

static int conn_handoff_adopt(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    int own = -1;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET)
        own = fcntl(fd, F_DUPFD_CLOEXEC, OT_FD_FIRST_FREE);
    (void)close(fd);
    return own;
}

void conn_handoff_attach(void)
{
    conn_handoff_in = conn_handoff_adopt(OT_FD_HANDOFF_IN);
    conn_handoff_out = conn_handoff_adopt(OT_FD_HANDOFF_OUT);
}

int conn_handoff_fd(void)
{
    return conn_handoff_in;
}

bool conn_handoff_send(struct conn **conn, bool idle, bool leaver)
{
    struct conn *c = *conn;
    size_t count = c->end - c->start;
    struct conn_handoff_head head = {
        .since = c->since, .is_tcp = c->is_tcp, .idle = idle && count == 0, .leaver = leaver};
    struct iovec parts[] = {
        {.iov_base = &head, .iov_len = sizeof head},
        {.iov_base = c->buffer + c->start, .iov_len = count},
    };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    bool at_begin = c->padding_left == 0 && (c->record_left == 0 || c->for_libfcgi);
    if (conn_handoff_out < 0 || !at_begin || count > CONN_HANDOFF_BYTES_MAX)
        return false;
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &c->fd, sizeof(int));
    if (sendmsg(conn_handoff_out, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return false;
    conn_close_copy(conn);
    return true;
}

static int conn_handoff_received(struct msghdr *message)
{
    int fd = -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

struct conn *conn_handoff_take(bool *idle, bool *leaver)
{
    unsigned char bytes[CONN_HANDOFF_BYTES_MAX];
    struct conn_handoff_head head = {.since = 0};
    struct iovec parts[] = {
        {.iov_base = &head, .iov_len = sizeof head},
        {.iov_base = bytes, .iov_len = sizeof bytes},
    };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n = recvmsg(conn_handoff_in, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return NULL;
    int fd = n >= (ssize_t)sizeof head ? conn_handoff_received(&message) : -1;
    struct conn *conn = fd >= 0 ? conn_open(fd, head.is_tcp) : NULL;
    if (conn == NULL)
        diagnostics_write(
            "a connection from another worker was lost: out of descriptors or memory; raise "
            "rlimit_files");
    if (conn != NULL) {
        conn->since = head.since;
        conn_preload(conn, bytes, (size_t)n - sizeof head);
        *idle = head.idle;
        *leaver = head.leaver;
    }
    return conn;
}

void conn_handoff_after_fork(void)
{
    if (conn_handoff_in >= 0)
        (void)close(conn_handoff_in);
    if (conn_handoff_out >= 0)
        (void)close(conn_handoff_out);
    conn_handoff_in = conn_handoff_out = -1;
}
