/* socket.h: a listening socket: opened, owned, given its mode, and closed.
 *
 * Never accepts. Removes the file of a unix socket only if a connect test shows that no process
 * listens there, or if it made the file itself. Changes nothing of a socket that another process
 * made.
 */
#ifndef FPM_SOCKET_H
#define FPM_SOCKET_H

#include "fpm/config/value_parse.h"
#include "fpm/util/saved_state.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where to listen. `path` names a unix socket; otherwise `host` (NULL = any address) and `port`. */
struct socket_spec {
    const char *path;
    const char *host; /* numeric */
    const char *port; /* decimal */
    bool freebind;    /* the address need not exist yet */
    int backlog;      /* negative: the system's maximum */
    int mode;         /* of a unix socket's file */
    uid_t uid;        /* its owner and group; (uid_t)-1, (gid_t)-1: as created */
    gid_t gid;
    const struct value_parse_list *clients; /* of a TCP port, see socket_allow; NULL = all */
};

/* A socket that listens, or none (fd -1). */
struct socket_listener {
    int fd;       /* close-on-exec, blocking */
    bool given;   /* made by another process, which holds it, too */
    char *path;   /* of the file that was made here; NULL = none */
    dev_t device; /* of that file */
    ino_t inode;
};

#define SOCKET_NONE ((struct socket_listener){.fd = -1})

/* Opens, binds and listens. Returns 0, or -1 with a sentence and errno. */
int socket_listen(struct socket_listener *listener, const struct socket_spec *spec, char *error,
                  size_t size);

/* Can socket_listen fail with this errno for a reason that may pass by itself? An address that is
 * taken or not there yet, and a shortage of descriptors or memory, may; a wrong path does not. */
bool socket_may_pass(int error);

/* Takes over a descriptor that another process made, if it is a stream socket that listens. With -1
 * the sentence says what it is instead, and the descriptor stays the caller's. */
int socket_adopt(struct socket_listener *listener, int fd, char *error, size_t size);

/* Takes over a copy of a socket that a manager made which has gone, with its file and its queue, as
 * if it were made here. Returns 0, or -1 with a sentence; the descriptor is the caller's then. */
int socket_take(struct socket_listener *listener, int fd, const struct socket_spec *spec,
                char *error, size_t size);

/* Does the socket listen where `spec` says? Owner, mode and backlog do not count. */
bool socket_is_at(int fd, const struct socket_spec *spec);

/* Lets the kernel drop what comes from other TCP clients than these (listen.allowed_clients),
 * before a connection is made; none = all are served. Connections that exist keep the list that
 * held when they were made. Returns 0, or -1 with a sentence. */
int socket_allow(int fd, const struct value_parse_list *clients, char *error, size_t size);

/* Packets that the kernel has dropped on its way to the port, since it was opened, modulo 2^32:
 * those of clients that socket_allow keeps out, and those for which the queue had no place. */
uint32_t socket_dropped(int fd);

/* Where it listens: "/run/a.sock", "127.0.0.1:9000", "[::1]:9000". Returns `out`. */
const char *socket_where(int fd, char *out, size_t size);

/* Is the file that was made here gone, or another one? */
bool socket_is_lost(const struct socket_listener *listener);

/* Applies the owner, group, mode and backlog of `spec` to a socket that keeps listening. Meanwhile
 * its file is never open to more users than before or after. Returns 0, or -1 with a sentence, and
 * as much done as possible. */
int socket_update(const struct socket_listener *listener, const struct socket_spec *spec,
                  char *error, size_t size);

/* Makes a second holder of the same queue. Both would remove the file: one of them must disown it.
 * Returns 0, or -1 with a sentence. */
int socket_share(const struct socket_listener *from, struct socket_listener *to, char *error,
                 size_t size);

/* Writes it into the state of an upgrade, or restores it from there. */
void socket_saved_state(struct socket_listener *listener, struct saved_state *state);

/* Forgets the file, which stays. */
void socket_disown(struct socket_listener *listener);

/* Removes the file if it is still the one that was made here: no client can connect any more, and
 * connections in the queue stay there. */
void socket_unlink(struct socket_listener *listener);

/* Accepts no new connections: by socket_unlink or, on a TCP port, by a filter, with which a client
 * waits until the last holder has closed the socket. Connections in the queue can still be served.
 */
void socket_refuse(struct socket_listener *listener);

/* Closes it, after socket_unlink. */
void socket_close(struct socket_listener *listener);

/* Does something wait there to be accepted or received? Not where it was shut down. */
bool socket_pending(int fd);

/* Has a process that shares the listening socket shut it down, so that it accepts no more? */
bool socket_is_shut(int fd);

/* Has such a socket listen again, which TCP allows. Returns 0, or -1 with errno. */
int socket_listen_again(int fd, int backlog);

/* The process that made the unix socket at `path` listen, 0 = unknown or none. */
pid_t socket_listening_process(const char *path);

/* Connects to a unix socket without waiting: 1 a process listens, 0 none does, -1 with errno. */
int socket_answered(const char *path);

#endif
