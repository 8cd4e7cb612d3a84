/* descriptors.c: see sim.h: listening sockets without the kernel, in place of listen_queue.c and of
 * a few functions of libc.
 *
 * The descriptors are real, so that a leak is one; the queue of a listening socket is a number,
 * which makes a connection and a look at the queue cheap. All descriptors of one socket share it.
 */
#include "sapi-shim/util/listen_queue.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    DESCRIPTORS = 4096,
    DESCRIPTORS_QUEUES = 64,
    DESCRIPTORS_WATCHES = 64,
    DESCRIPTORS_BACKLOG = 511
};

struct sim_queue {
    unsigned holders, waiting;
};

static struct sim_queue descriptors_queues[DESCRIPTORS_QUEUES];
static struct sim_queue *descriptors_queue[DESCRIPTORS];

/* Numbers of sockets, which do not change. */
static struct stat descriptors_stat[DESCRIPTORS];
static bool descriptors_known[DESCRIPTORS];

/* Edge-triggered watches; `edge`: a connection came that was not fetched. */
static struct descriptors_watch {
    int epfd, fd;
    bool edge;
    epoll_data_t data;
} descriptors_watches[DESCRIPTORS_WATCHES];
static unsigned descriptors_watch_count;

bool sim_descriptors_changed = true;

static struct sim_queue *descriptors_queue_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS ? descriptors_queue[fd] : NULL;
}

static void descriptors_hold(int fd, struct sim_queue *queue)
{
    if (queue == NULL || fd < 0)
        return;
    if (fd < DESCRIPTORS)
        descriptors_queue[fd] = queue;
    else
        sim_fail("C9", "descriptor %d is too large", fd);
    queue->holders++;
}

unsigned sim_queue_waiting(int fd)
{
    const struct sim_queue *queue = descriptors_queue_of(fd);
    return queue != NULL ? queue->waiting : 0;
}

bool sim_queue_connect(int fd)
{
    struct sim_queue *queue = descriptors_queue_of(fd);
    if (queue == NULL || queue->waiting >= DESCRIPTORS_BACKLOG)
        return false;
    queue->waiting++;
    for (unsigned i = 0; i < descriptors_watch_count; i++)
        if (descriptors_queue_of(descriptors_watches[i].fd) == queue)
            descriptors_watches[i].edge = true;
    return true;
}

bool sim_queue_accept(int fd)
{
    struct sim_queue *queue = descriptors_queue_of(fd);
    if (queue == NULL || queue->waiting == 0)
        return false;
    queue->waiting--;
    return true;
}

int sim_epoll_ready(int epfd)
{
    for (unsigned i = 0; i < descriptors_watch_count; i++)
        if (descriptors_watches[i].epfd == epfd && descriptors_watches[i].edge)
            return 1;
    return 0;
}

bool sim_is_epoll(int fd)
{
    for (unsigned i = 0; i < descriptors_watch_count; i++)
        if (descriptors_watches[i].epfd == fd)
            return true;
    return false;
}

/* ---- in place of listen_queue.c ---- */

int listen_queue_look(struct listen_queue *queue, int listen_fd, struct listen_queue_state *state)
{
    (void)queue;
    if (descriptors_queue_of(listen_fd) == NULL) {
        errno = EBADF;
        return -1;
    }
    *state = (struct listen_queue_state){
        .waiting = sim_queue_waiting(listen_fd), .backlog = DESCRIPTORS_BACKLOG, .exact = true};
    return 0;
}

int listen_queue_look_by_number(struct listen_queue *queue, uint32_t inode,
                                struct listen_queue_state *state)
{
    (void)queue;
    (void)inode;
    (void)state;
    return -1;
}

void listen_queue_close(struct listen_queue *queue)
{
    *queue = LISTEN_QUEUE_NONE;
}

enum listen_queue_reply listen_queue_read_reply(const void *message, size_t size, uint32_t sequence,
                                                uint32_t inode, struct listen_queue_state *state)
{
    (void)message;
    (void)size;
    (void)sequence;
    (void)inode;
    (void)state;
    return LISTEN_QUEUE_REPLY_FOREIGN;
}

/* ---- in place of libc ---- */

int listen(int fd, int backlog)
{
    int result = (int)syscall(SYS_listen, fd, backlog);
    if (result != 0 || descriptors_queue_of(fd) != NULL)
        return result;
    for (size_t i = 0; i < DESCRIPTORS_QUEUES; i++)
        if (descriptors_queues[i].holders == 0) {
            descriptors_queues[i].waiting = 0;
            descriptors_hold(fd, &descriptors_queues[i]);
            return 0;
        }
    sim_fail("C9", "more than %d sockets listen", DESCRIPTORS_QUEUES);
}

int close(int fd)
{
    struct sim_queue *queue = descriptors_queue_of(fd);
    sim_descriptors_changed = true;
    if (queue != NULL) {
        descriptors_queue[fd] = NULL;
        if (--queue->holders == 0)
            queue->waiting = 0;
    }
    if (fd >= 0 && fd < DESCRIPTORS)
        descriptors_known[fd] = false;
    for (unsigned i = descriptors_watch_count; i-- > 0;)
        if (descriptors_watches[i].epfd == fd)
            descriptors_watches[i] = descriptors_watches[--descriptors_watch_count];
    return (int)syscall(SYS_close, fd);
}

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = (int)syscall(SYS_fcntl, fd, command, argument);
    if (command == F_DUPFD_CLOEXEC || command == F_DUPFD)
        descriptors_hold(result, descriptors_queue_of(fd));
    return result;
}

/* libc declares that it only writes. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
int poll(struct pollfd *polled, nfds_t count, int timeout)
{
    if (count == 1 && descriptors_queue_of(polled->fd) != NULL) {
        polled->revents = sim_queue_waiting(polled->fd) > 0 ? polled->events & POLLIN : 0;
        return polled->revents != 0;
    }
    struct timespec wait = {.tv_sec = timeout / 1000};
    return (int)syscall(SYS_ppoll, polled, count, &wait, NULL, 0);
}
#pragma GCC diagnostic pop

int fstat(int fd, struct stat *status)
{
    if (fd >= 0 && fd < DESCRIPTORS && descriptors_known[fd]) {
        *status = descriptors_stat[fd];
        return 0;
    }
    int result = fstatat(fd, "", status, AT_EMPTY_PATH);
    if (result == 0 && fd < DESCRIPTORS && S_ISSOCK(status->st_mode)) {
        descriptors_stat[fd] = *status;
        descriptors_known[fd] = true;
    }
    return result;
}

/* No worker hands a connection on. */
ssize_t recv(int fd, void *data, size_t size, int flags)
{
    if ((flags & MSG_PEEK) == 0)
        return syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL);
    errno = EAGAIN;
    return -1;
}

int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
    unsigned i = 0;
    while (i < descriptors_watch_count &&
           (descriptors_watches[i].epfd != epfd || descriptors_watches[i].fd != fd))
        i++;
    if (operation == EPOLL_CTL_DEL && i < descriptors_watch_count) {
        descriptors_watches[i] = descriptors_watches[--descriptors_watch_count];
        return 0;
    }
    if (operation == EPOLL_CTL_DEL || i < descriptors_watch_count) {
        errno = operation == EPOLL_CTL_DEL ? ENOENT : EEXIST;
        return -1;
    }
    if (i == DESCRIPTORS_WATCHES)
        sim_fail("C9", "more than %d sockets are watched", DESCRIPTORS_WATCHES);
    descriptors_watches[descriptors_watch_count++] = (struct descriptors_watch){
        .epfd = epfd, .fd = fd, .edge = sim_queue_waiting(fd) > 0, .data = event->data};
    return 0;
}

int epoll_wait(int epfd, struct epoll_event *events, int count, int timeout)
{
    (void)count;
    (void)timeout;
    for (unsigned i = 0; i < descriptors_watch_count; i++) {
        struct descriptors_watch *watch = &descriptors_watches[i];
        if (watch->epfd != epfd || !watch->edge)
            continue;
        watch->edge = false;
        *events = (struct epoll_event){.events = EPOLLIN, .data = watch->data};
        return 1;
    }
    return 0;
}
