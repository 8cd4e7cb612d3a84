/* listen_queue.c: see listen_queue.h. */
#include "sapi-shim/util/listen_queue.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LISTEN_QUEUE_REPLY_MAX = 2048, /* bytes; a reply has less than 400 */
    LISTEN_QUEUE_DUMP_MAX = 32768, /* bytes; the kernel sends at most so many in one message */
    LISTEN_QUEUE_STRAY_MAX = 16    /* other messages that are read before we give up */
};

/* ---- unix ---- */

static enum listen_queue_reply listen_queue_read_attributes(const struct unix_diag_msg *diag,
                                                            size_t size,
                                                            struct listen_queue_state *state)
{
    const struct rtattr *attribute = (const struct rtattr *)(const void *)(diag + 1);
    while (RTA_OK(attribute, size)) {
        struct unix_diag_rqlen lengths;
        if (attribute->rta_type == UNIX_DIAG_RQLEN && RTA_PAYLOAD(attribute) >= sizeof lengths) {
            memcpy(&lengths, RTA_DATA(attribute), sizeof lengths);
            *state = (struct listen_queue_state){
                .waiting = lengths.udiag_rqueue, .backlog = lengths.udiag_wqueue, .exact = true};
            return LISTEN_QUEUE_REPLY_FOUND;
        }
        attribute = RTA_NEXT(attribute, size);
    }
    return LISTEN_QUEUE_REPLY_REFUSED;
}

enum listen_queue_reply listen_queue_read_reply(const void *message, size_t size, uint32_t sequence,
                                                uint32_t inode, struct listen_queue_state *state)
{
    const struct nlmsghdr *header = message;
    if (size < sizeof *header || header->nlmsg_len < sizeof *header || header->nlmsg_len > size ||
        header->nlmsg_seq != sequence)
        return LISTEN_QUEUE_REPLY_FOREIGN;
    const struct unix_diag_msg *diag = NLMSG_DATA(header);
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        header->nlmsg_len < NLMSG_LENGTH(sizeof *diag) || diag->udiag_family != AF_UNIX ||
        diag->udiag_ino != inode || diag->udiag_state != TCP_LISTEN)
        return LISTEN_QUEUE_REPLY_REFUSED;
    return listen_queue_read_attributes(diag, header->nlmsg_len - NLMSG_LENGTH(sizeof *diag),
                                        state);
}

static bool listen_queue_open(struct listen_queue *queue)
{
    if (queue->fd >= 0)
        return true;
    if (queue->refused)
        return false;
    queue->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    queue->refused =
        queue->fd < 0 && errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
    return queue->fd >= 0;
}

static bool listen_queue_send(const struct listen_queue *queue, const void *request, size_t size)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    return sendto(queue->fd, request, size, MSG_DONTWAIT, (const struct sockaddr *)&kernel,
                  sizeof kernel) == (ssize_t)size;
}

static bool listen_queue_request_unix(struct listen_queue *queue, uint32_t inode)
{
    const struct {
        struct nlmsghdr header;
        struct unix_diag_req body;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST,
                   .nlmsg_seq = ++queue->sequence},
        .body = {.sdiag_family = AF_UNIX,
                 .udiag_states = 1u << TCP_LISTEN,
                 .udiag_ino = inode,
                 .udiag_show = UDIAG_SHOW_RQLEN,
                 .udiag_cookie = {UINT32_MAX, UINT32_MAX}}, /* any socket with this number */
    };
    return listen_queue_send(queue, &request, sizeof request);
}

/* The kernel replies within the call that sends the request, so there is nothing to wait for. */
static bool listen_queue_receive_unix(const struct listen_queue *queue, uint32_t inode,
                                      struct listen_queue_state *state)
{
    for (int i = 0; i < LISTEN_QUEUE_STRAY_MAX; i++) {
        _Alignas(struct nlmsghdr) unsigned char reply[LISTEN_QUEUE_REPLY_MAX];
        struct sockaddr_nl from = {.nl_family = AF_UNSPEC};
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(queue->fd, reply, sizeof reply, MSG_DONTWAIT, (struct sockaddr *)&from,
                             &length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (length != sizeof from || from.nl_family != AF_NETLINK || from.nl_pid != 0)
            continue;
        enum listen_queue_reply verdict =
            listen_queue_read_reply(reply, (size_t)n, queue->sequence, inode, state);
        if (verdict != LISTEN_QUEUE_REPLY_FOREIGN)
            return verdict == LISTEN_QUEUE_REPLY_FOUND;
    }
    return false;
}

static bool listen_queue_look_unix(struct listen_queue *queue, int listen_fd,
                                   struct listen_queue_state *state)
{
    struct stat st;
    if (fstat(listen_fd, &st) != 0 || !listen_queue_open(queue))
        return false;
    uint32_t inode = (uint32_t)st.st_ino;
    return listen_queue_request_unix(queue, inode) &&
           listen_queue_receive_unix(queue, inode, state);
}

/* ---- TCP, by number ---- */

/* The kernel dumps all listening sockets of the family, in several messages, of which the last says
 * that it is done. */
static bool listen_queue_request_tcp(struct listen_queue *queue, unsigned char family)
{
    const struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                   .nlmsg_seq = ++queue->sequence},
        .body = {.sdiag_family = family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = 1u << TCP_LISTEN},
    };
    return listen_queue_send(queue, &request, sizeof request);
}

/* Reads one message: 1 = found, 0 = more may come, -1 = the dump has ended. */
static int listen_queue_read_tcp(const struct listen_queue *queue, const struct nlmsghdr *header,
                                 size_t size, uint32_t inode, struct listen_queue_state *state)
{
    for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
        const struct inet_diag_msg *diag = NLMSG_DATA(header);
        if (header->nlmsg_seq != queue->sequence)
            continue;
        if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
            return -1;
        if (header->nlmsg_len >= NLMSG_LENGTH(sizeof *diag) && diag->idiag_inode == inode &&
            diag->idiag_state == TCP_LISTEN) {
            *state = (struct listen_queue_state){
                .waiting = diag->idiag_rqueue, .backlog = diag->idiag_wqueue, .exact = true};
            return 1;
        }
    }
    return 0;
}

static bool listen_queue_receive_tcp(const struct listen_queue *queue, uint32_t inode,
                                     struct listen_queue_state *state)
{
    _Alignas(struct nlmsghdr) unsigned char reply[LISTEN_QUEUE_DUMP_MAX];
    for (;;) {
        ssize_t n = recv(queue->fd, reply, sizeof reply, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        int found = listen_queue_read_tcp(queue, (const struct nlmsghdr *)(void *)reply, (size_t)n,
                                          inode, state);
        if (found != 0)
            return found > 0;
    }
}

static bool listen_queue_find_tcp(struct listen_queue *queue, uint32_t inode,
                                  struct listen_queue_state *state)
{
    static const unsigned char families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < sizeof families; i++) {
        /* A new socket: the rest of an earlier dump would be read as the reply. */
        listen_queue_close(queue);
        if (listen_queue_open(queue) && listen_queue_request_tcp(queue, families[i]) &&
            listen_queue_receive_tcp(queue, inode, state))
            return true;
    }
    return false;
}

/* ---- by descriptor ---- */

/* For a listening socket these two fields hold the queue and its limit. */
static bool listen_queue_look_tcp(int listen_fd, struct listen_queue_state *state)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(listen_fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 ||
        length < offsetof(struct tcp_info, tcpi_lost) || info.tcpi_state != TCP_LISTEN)
        return false;
    *state = (struct listen_queue_state){
        .waiting = info.tcpi_unacked, .backlog = info.tcpi_sacked, .exact = true};
    return true;
}

int listen_queue_look(struct listen_queue *queue, int listen_fd, struct listen_queue_state *state)
{
    int domain = AF_UNSPEC;
    socklen_t length = sizeof domain;
    *state = (struct listen_queue_state){.waiting = 0};
    if (getsockopt(listen_fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0)
        return -1;
    bool known = domain == AF_UNIX ? listen_queue_look_unix(queue, listen_fd, state)
                                   : listen_queue_look_tcp(listen_fd, state);
    struct pollfd p = {.fd = listen_fd, .events = POLLIN};
    if (!known)
        state->waiting = poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0;
    return 0;
}

int listen_queue_look_by_number(struct listen_queue *queue, uint32_t inode,
                                struct listen_queue_state *state)
{
    *state = (struct listen_queue_state){.waiting = 0};
    bool known = listen_queue_open(queue) && listen_queue_request_unix(queue, inode) &&
                 listen_queue_receive_unix(queue, inode, state);
    return known || listen_queue_find_tcp(queue, inode, state) ? 0 : -1;
}

void listen_queue_close(struct listen_queue *queue)
{
    if (queue->fd >= 0)
        (void)close(queue->fd);
    queue->fd = -1;
}
