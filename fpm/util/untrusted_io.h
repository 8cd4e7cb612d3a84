/* untrusted_io.h: the only place where the manager reads, writes and accepts on descriptors that
 * other processes hold, too, or whose other end they hold.
 *
 * Whoever shares an open file description can clear its O_NONBLOCK, and take away what has just
 * been seen to be readable. No function here waits, whatever others do to the description: each
 * asks the kernel not to wait with this one call, or needs a description that is the manager's
 * alone. Nothing that is read is interpreted here.
 *
 * All return as the system call of the same name does, with errno EAGAIN where it would wait; EINTR
 * is possible.
 */
#ifndef FPM_UNTRUSTED_IO_H
#define FPM_UNTRUSTED_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Reads from a description that others share. On a kernel that cannot be told not to wait (before
 * 5.8 for an eventfd), a look goes first, and one that takes the bytes in between makes it wait. */
ssize_t untrusted_io_read_shared(int fd, void *data, size_t size);

/* Reads from a pipe of which the manager made this end, non-blocking, and passed it to no process
 * that it does not trust. Another end of the pipe is another description. */
ssize_t untrusted_io_read_own(int fd, void *data, size_t size);

/* Writes to such a pipe. */
ssize_t untrusted_io_write_own(int fd, const void *data, size_t size);

/* Writes to a pipe or terminal that others share, as standard error is. */
ssize_t untrusted_io_write_shared(int fd, const void *data, size_t size);

/* Sockets, whatever flags their descriptions have. Sending raises no SIGPIPE. */
ssize_t untrusted_io_receive(int fd, void *data, size_t size);
ssize_t untrusted_io_send(int fd, const void *data, size_t size);
ssize_t untrusted_io_send_message(int fd, const struct msghdr *message);

/* Reads what stays in the queue of the socket. */
ssize_t untrusted_io_peek(int fd, void *data, size_t size);

/* Accepts a connection on a socket of which the manager has the only description, non-blocking. The
 * connection is non-blocking and closed on exec. */
int untrusted_io_accept_own(int fd);

/* Sets O_NONBLOCK. 0, or -1 with errno. */
int untrusted_io_own(int fd);

#endif
