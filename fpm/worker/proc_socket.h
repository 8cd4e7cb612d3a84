/* proc_socket.h: sockets of other processes: copies of them, and what they say.
 *
 * A copy needs the right to trace the process: the same user, and the rules of
 * kernel.yama.ptrace_scope, or root.
 */
#ifndef FPM_PROC_SOCKET_H
#define FPM_PROC_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A copy of descriptor `number` of the process, close-on-exec; -1 with errno. */
int proc_socket_copy(pid_t pid, int number);

/* Was the connection `fd` accepted from the socket `listen_fd`? It has the address of the socket
 * that it came through. */
bool proc_socket_came_through(int fd, int listen_fd);

enum proc_socket_input {
    PROC_SOCKET_NOTHING,
    PROC_SOCKET_REQUEST, /* a request, from its beginning to its end */
    PROC_SOCKET_PART     /* part of one; or, if nothing has arrived, the kernel knows that the last
                          * that happened was the arrival of one */
};

/* What has arrived on a FastCGI connection and was not read. */
enum proc_socket_input proc_socket_input(int fd);

/* The same of bytes. Pure. */
enum proc_socket_input proc_socket_parse(const unsigned char *bytes, size_t size);

/* Ends a kept connection between two requests: its holder reads its end, and the peer learns that
 * it must not be used any more. False if a request has arrived meanwhile. */
bool proc_socket_end(int fd);

#endif
