/* conn_handoff.c: see conn_handoff.h. */
#include "sapi-shim/connection/conn_handoff.h"

#include "sapi-shim/contract.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    /* A connection stays if more than so many bytes of its next request were read. */
    CONN_HANDOFF_BYTES_MAX = 65536
};

/* Precedes the bytes in a message. Both ends are this library, in one contract version, but a
 * sibling may have been taken over: numbers alone, which are checked. */
struct conn_handoff_header {
    uint8_t kind; /* enum ot_handoff */
    uint8_t is_tcp;
    uint8_t leaving;
    uint64_t since; /* as in struct conn: the time limit of the request header goes on */
    uint32_t skip;  /* bytes of a record that was begun, to be dropped */
    uint32_t dropped;
    uint8_t reused;
};

/* Room for one descriptor; where the kernel pads, a second one comes through. */
union conn_handoff_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static int conn_handoff_in = -1;
static int conn_handoff_out = -1;
static atomic_bool conn_handoff_broken; /* shut down */
static atomic_bool conn_handoff_told;   /* of messages that are no connections */

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
    return atomic_load_explicit(&conn_handoff_broken, memory_order_relaxed) ? -1 : conn_handoff_in;
}

/* No worker shuts the pair down. One that was taken over can, for all that share it: the end of the
 * file is no message, and would be there for ever. The descriptors stay open, as other threads may
 * be about to use their numbers. */
static void conn_handoff_break(void)
{
    if (atomic_exchange(&conn_handoff_broken, true))
        return;
    diagnostics_write("a worker has shut down the sockets through which workers pass on kept "
                      "connections: this worker goes on without them, and closes its own when it "
                      "leaves; workers that are started from now on have others");
}

bool conn_handoff_send(struct conn **conn, bool idle, bool leaving)
{
    struct conn *c = *conn;
    size_t count = c->end - c->start;
    struct conn_handoff_header header = {
        .kind = idle && count == 0 ? OT_HANDOFF_IDLE : OT_HANDOFF_REQUEST,
        .since = c->since,
        .skip = c->for_libfcgi ? 0 : (uint32_t)(c->record_left + c->padding_left),
        .dropped = (uint32_t)c->dropped,
        .is_tcp = c->is_tcp,
        .reused = c->reused,
        .leaving = leaving};
    struct iovec parts[] = {
        {.iov_base = &header, .iov_len = sizeof header},
        {.iov_base = c->buffer + c->start, .iov_len = count},
    };
    union conn_handoff_control control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    /* A sibling parses a record for libfcgi again, whose header says nothing of this padding. */
    bool whole = !c->for_libfcgi || c->padding_left == 0;
    if (conn_handoff_fd() < 0 || !whole || count > CONN_HANDOFF_BYTES_MAX)
        return false;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &c->fd, sizeof(int));
    if (sendmsg(conn_handoff_out, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        if (errno == EPIPE || errno == ECONNRESET)
            conn_handoff_break();
        return false;
    }
    conn_close_copy(conn);
    return true;
}

/* The descriptor of a message that has exactly one; others are closed. */
static int conn_handoff_descriptor(struct msghdr *message)
{
    int fd = -1;
    unsigned count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof fd) <= part->cmsg_len; at += sizeof fd) {
            int one;
            memcpy(&one, CMSG_DATA(part) + at, sizeof one);
            if (count++ == 0)
                fd = one;
            else
                (void)close(one);
        }
    }
    if (count <= 1)
        return fd;
    (void)close(fd);
    return -1;
}

void conn_handoff_after_fork(void)
{
    if (conn_handoff_in >= 0)
        (void)close(conn_handoff_in);
    if (conn_handoff_out >= 0)
        (void)close(conn_handoff_out);
    conn_handoff_in = conn_handoff_out = -1;
}

struct conn *conn_handoff_receive(bool *idle, bool *leaving)
{
    unsigned char bytes[CONN_HANDOFF_BYTES_MAX];
    struct conn_handoff_header header = {.since = 0};
    struct iovec parts[] = {
        {.iov_base = &header, .iov_len = sizeof header},
        {.iov_base = bytes, .iov_len = sizeof bytes},
    };
    union conn_handoff_control control;
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n = recvmsg(conn_handoff_in, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return NULL;
    int fd = conn_handoff_descriptor(&message);
    struct pollfd look = {.fd = conn_handoff_in, .events = POLLRDHUP};
    if (n == 0 && fd < 0 && poll(&look, 1, 0) == 1) {
        conn_handoff_break();
        return NULL;
    }
    bool truncated = (message.msg_flags & MSG_CTRUNC) != 0;
    if ((fd < 0 && !truncated) || n < (ssize_t)sizeof header) {
        if (fd >= 0)
            (void)close(fd);
        if (!atomic_exchange(&conn_handoff_told, true))
            diagnostics_write("a worker passes on what is no connection; it is dropped");
        return NULL;
    }
    struct conn *conn = fd >= 0 ? conn_open(fd, header.is_tcp != 0) : NULL;
    if (conn != NULL && !conn_preload(conn, bytes, (size_t)n - sizeof header))
        conn_free(&conn);
    if (conn == NULL) {
        diagnostics_write(
            "a connection from another worker was lost: out of descriptors or memory; raise "
            "rlimit_files");
        return NULL;
    }
    /* A time to come would put the end of its time limit off. */
    uint64_t now = clock_ns();
    conn->since = header.since < now ? header.since : now;
    conn->record_left = header.skip;
    conn->dropped = header.dropped;
    conn->reused = header.reused != 0;
    *idle = header.kind == OT_HANDOFF_IDLE;
    *leaving = header.leaving != 0;
    return conn;
}
