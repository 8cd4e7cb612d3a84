/* test_listen_queue.c: the length of a listen queue: real sockets, wrong replies, and no netlink.
 */
#include "sapi-shim/util/listen_queue.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct listener {
    int fd;
    struct sockaddr_storage address;
    socklen_t length;
};

static struct listener listen_at(int family, int backlog)
{
    struct listener listener = {.length = sizeof listener.address};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&listener.address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&listener.address;
    socklen_t length = sizeof(sa_family_t); /* unix: the kernel gives an abstract name */
    listener.address.ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        length = sizeof *v4;
    } else if (family == AF_INET6) {
        v6->sin6_addr = in6addr_loopback;
        length = sizeof *v6;
    }
    listener.fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(listener.fd >= 0);
    if (bind(listener.fd, (struct sockaddr *)&listener.address, length) != 0 && family == AF_INET6)
        cr_skip_test("no IPv6 here");
    cr_assert(listen(listener.fd, backlog) == 0);
    cr_assert(getsockname(listener.fd, (struct sockaddr *)&listener.address, &listener.length) ==
              0);
    return listener;
}

static void connect_to(const struct listener *listener)
{
    int fd = socket(listener->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connect(fd, (const struct sockaddr *)&listener->address, listener->length) == 0);
}

static struct listen_queue_state look(struct listen_queue *queue, int fd)
{
    struct listen_queue_state state = {.waiting = 99, .backlog = 99};
    cr_assert(listen_queue_look(queue, fd, &state) == 0);
    return state;
}

/* A TCP connection is in the queue only when its last packet has been handled. */
static struct listen_queue_state look_until(struct listen_queue *queue, int fd, unsigned waiting)
{
    struct listen_queue_state state = look(queue, fd);
    for (int i = 0; i < 5000 && state.waiting != waiting; i++) {
        (void)usleep(1000);
        state = look(queue, fd);
    }
    return state;
}

/* The first look at a unix socket. */
static struct listen_queue_state look_first(struct listen_queue *queue, int fd)
{
    struct listen_queue_state state = look(queue, fd);
    if (!state.exact)
        cr_skip_test("sock_diag is refused here");
    return state;
}

static void count_up_and_down(int family)
{
    struct listen_queue queue = LISTEN_QUEUE_NONE;
    struct listener listener = listen_at(family, 50);
    struct listener other = listen_at(family, 7);
    struct listen_queue_state state = (family == AF_UNIX ? look_first : look)(&queue, listener.fd);
    cr_expect(state.exact && state.waiting == 0 && state.backlog == 50);
    for (unsigned i = 1; i <= 20; i++) {
        connect_to(&listener);
        state = look_until(&queue, listener.fd, i);
        cr_expect(state.exact && state.waiting == i, "%u instead of %u", state.waiting, i);
    }
    state = look(&queue, other.fd);
    cr_expect(state.exact && state.waiting == 0 && state.backlog == 7);
    for (unsigned i = 0; i < 20; i++)
        cr_assert(accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC) >= 0);
    state = look(&queue, listener.fd);
    cr_expect(state.exact && state.waiting == 0 && state.backlog == 50);
    listen_queue_close(&queue);
    cr_expect(queue.fd == -1);
}

Test(queue, counts_unix)
{
    count_up_and_down(AF_UNIX);
}

Test(queue, counts_tcp)
{
    count_up_and_down(AF_INET);
}

Test(queue, counts_tcp6)
{
    count_up_and_down(AF_INET6);
}

Test(queue, opens_one_descriptor_that_is_not_inherited)
{
    struct listen_queue queue = LISTEN_QUEUE_NONE;
    struct listener listener = listen_at(AF_UNIX, 5);
    (void)look_first(&queue, listener.fd);
    int fd = queue.fd;
    cr_assert(fd >= 0);
    cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    cr_expect(fcntl(fd, F_GETFL) & O_NONBLOCK);
    (void)look(&queue, listener.fd);
    cr_expect(queue.fd == fd);
    listen_queue_close(&queue);
    cr_expect(look(&queue, listener.fd).exact, "opened again");
    listen_queue_close(&queue);
}

static void expect_whether(struct listen_queue *queue, int family)
{
    struct listener listener = listen_at(family, 5);
    struct listen_queue_state state = look(queue, listener.fd);
    cr_expect(!state.exact && state.waiting == 0 && state.backlog == 0);
    connect_to(&listener);
    connect_to(&listener);
    state = look(queue, listener.fd);
    cr_expect(!state.exact && state.waiting == 1 && state.backlog == 0);
}

Test(queue, tells_whether_any_waits_where_it_may_not_ask)
{
    struct listen_queue queue = LISTEN_QUEUE_NONE;
    queue.refused = true;
    expect_whether(&queue, AF_UNIX);
    cr_expect(queue.fd == -1);
}

Test(queue, does_not_wait_for_an_answer_that_does_not_come, .timeout = 10)
{
    int pair[2];
    struct listen_queue queue = LISTEN_QUEUE_NONE;
    cr_assert(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    queue.fd = pair[0];
    expect_whether(&queue, AF_UNIX);
}

Test(queue, listens_to_the_kernel_alone, .timeout = 10)
{
    struct listen_queue queue = LISTEN_QUEUE_NONE;
    struct listener listener = listen_at(AF_UNIX, 5);
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    socklen_t length = sizeof own;
    (void)look_first(&queue, listener.fd);
    cr_assert(getsockname(queue.fd, (struct sockaddr *)&own, &length) == 0);
    int stranger = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
    struct nlmsghdr message = {.nlmsg_len = sizeof message, .nlmsg_type = NLMSG_ERROR};
    message.nlmsg_seq = queue.sequence + 1;
    if (sendto(stranger, &message, sizeof message, 0, (struct sockaddr *)&own, sizeof own) < 0)
        cr_skip_test("the kernel refuses messages between two sockets");
    connect_to(&listener);
    struct listen_queue_state state = look(&queue, listener.fd);
    cr_expect(state.exact && state.waiting == 1);
}

Test(queue, a_socket_that_does_not_listen_has_none)
{
    int pair[2];
    struct listen_queue queue = LISTEN_QUEUE_NONE;
    struct listen_queue_state state;
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    state = look(&queue, pair[0]);
    cr_expect(!state.exact && state.waiting == 0);
    cr_expect(listen_queue_look(&queue, -1, &state) == -1);
    cr_expect(state.waiting == 0 && !state.exact);
}

/* ---- replies ---- */

struct reply {
    struct nlmsghdr header;
    struct unix_diag_msg diag;
    struct rtattr other_head;
    uint32_t other;
    struct rtattr head;
    struct unix_diag_rqlen lengths;
};

static struct reply good_reply(void)
{
    return (struct reply){
        .header = {.nlmsg_len = sizeof(struct reply),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_seq = 5},
        .diag = {.udiag_family = AF_UNIX, .udiag_state = TCP_LISTEN, .udiag_ino = 77},
        .other_head = {.rta_len = RTA_LENGTH(4), .rta_type = UNIX_DIAG_SHUTDOWN},
        .head = {.rta_len = RTA_LENGTH(8), .rta_type = UNIX_DIAG_RQLEN},
        .lengths = {.udiag_rqueue = 3, .udiag_wqueue = 9},
    };
}

static enum listen_queue_reply read_reply(const struct reply *reply, size_t size)
{
    struct listen_queue_state state = {.waiting = 0};
    enum listen_queue_reply verdict = listen_queue_read_reply(reply, size, 5, 77, &state);
    bool filled = state.exact && state.waiting == 3 && state.backlog == 9;
    cr_expect(filled == (verdict == LISTEN_QUEUE_REPLY_FOUND));
    return verdict;
}

Test(queue, reads_a_reply)
{
    struct reply reply = good_reply();
    cr_expect(read_reply(&reply, sizeof reply) == LISTEN_QUEUE_REPLY_FOUND);
}

Test(queue, believes_no_wrong_reply)
{
    static const struct {
        size_t offset;
        unsigned char value;
        enum listen_queue_reply verdict;
    } cases[] = {
        {offsetof(struct reply, header.nlmsg_seq), 4, LISTEN_QUEUE_REPLY_FOREIGN},
        {offsetof(struct reply, header.nlmsg_len), 15, LISTEN_QUEUE_REPLY_FOREIGN},
        {offsetof(struct reply, header.nlmsg_len), 255, LISTEN_QUEUE_REPLY_FOREIGN},
        {offsetof(struct reply, header.nlmsg_len), 31, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, header.nlmsg_type), NLMSG_ERROR, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, diag.udiag_ino), 78, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, diag.udiag_family), AF_INET, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, diag.udiag_state), TCP_ESTABLISHED, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, head.rta_type), UNIX_DIAG_NAME, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, head.rta_len), 8, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, head.rta_len), 255, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, head.rta_len), 0, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, other_head.rta_len), 0, LISTEN_QUEUE_REPLY_REFUSED},
        {offsetof(struct reply, other_head.rta_len), 200, LISTEN_QUEUE_REPLY_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply reply = good_reply();
        ((unsigned char *)&reply)[cases[i].offset] = cases[i].value;
        cr_expect(read_reply(&reply, sizeof reply) == cases[i].verdict, "case %zu", i);
    }
    /* Cut anywhere. */
    for (size_t size = 0; size < sizeof(struct reply); size++) {
        struct reply reply = good_reply();
        cr_expect(read_reply(&reply, size) == LISTEN_QUEUE_REPLY_FOREIGN);
        reply.header.nlmsg_len = (uint32_t)size;
        cr_expect(read_reply(&reply, size) != LISTEN_QUEUE_REPLY_FOUND);
    }
}
