/* socket.h: a listening socket: made, owned, given its mode, and taken away again.
 *
 * Never accepts. Removes a unix socket's file only when a connect test shows that nobody listens
 * there, or when it is the one made here. Of a socket that somebody else made nothing is changed.
 * Called by pool, control and inherited.
 */
#ifndef FPM_SOCKET_H
#define FPM_SOCKET_H

#include "fpm/util/saved_state.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What to listen on. `path` names a unix socket; otherwise `host` (NULL = any address) and `port`.
 */
struct socket_spec {
    const char *path;
    const char *host; /* numeric */
    const char *port; /* decimal */
    int backlog;      /* negative: the system's maximum */
    int mode;         /* of a unix socket's file */
    uid_t uid;        /* its owner and group; (uid_t)-1, (gid_t)-1: as created */
    gid_t gid;
};

/* A socket that listens, or none (fd -1). */
struct socket_listener {
    int fd;       /* close-on-exec, blocking */
    bool given;   /* made by somebody else, who holds it, too */
    char *path;   /* of the file made here; NULL: none, or not ours to remove */
    dev_t device; /* of that file */
    ino_t inode;
};

#define SOCKET_NONE ((struct socket_listener){.fd = -1})

/* Opens, binds and listens. Returns 0, or -1 with a sentence. */
int socket_listen(struct socket_listener *listener, const struct socket_spec *spec, char *error,
                  size_t size);

/* Takes a descriptor over that somebody else made, if it is a stream socket that listens. With -1
 * the sentence says what it is instead, and the descriptor stays the caller's. */
int socket_adopt(struct socket_listener *listener, int fd, char *error, size_t size);

/* Does the socket listen where `spec` says? Owner, mode and backlog do not count. */
bool socket_is_at(int fd, const struct socket_spec *spec);

/* Do both say the same place? */
bool socket_same_place(const struct socket_spec *a, const struct socket_spec *b);

/* Where it listens: "/run/a.sock", "127.0.0.1:9000", "[::1]:9000". Returns `out`. */
const char *socket_where(int fd, char *out, size_t size);

/* Applies the owner, group, mode and backlog of `spec` to a socket that goes on listening; on the
 * way its file is never open to more than before or after. Returns 0, or -1 with a sentence and as
 * much done as could be. */
int socket_update(const struct socket_listener *listener, const struct socket_spec *spec,
                  char *error, size_t size);

/* A second holder of the same queue. Both would remove the file: one of them has to disown it.
 * Returns 0, or -1 with a sentence. */
int socket_share(const struct socket_listener *from, struct socket_listener *to, char *error,
                 size_t size);

/* Hands it over to the program that takes this one's place, or takes it over, whichever the state
 * is for. */
void socket_saved_state(struct socket_listener *listener, struct saved_state *state);

/* Forgets the file, which stays. */
void socket_disown(struct socket_listener *listener);

/* Removes the file if that is still the one made here: nobody can connect any more, and who waits
 * in the queue still does. */
void socket_unlink(struct socket_listener *listener);

/* Lets nobody in any more, by socket_unlink or, at a TCP port, where a client who comes waits until
 * the last holder has closed it; who is in the queue already can be served. */
void socket_refuse(struct socket_listener *listener);

/* Closes it, after socket_unlink. */
void socket_close(struct socket_listener *listener);

/* Is something waiting there to be accepted or received? */
bool socket_pending(int fd);

/* Connects to a unix socket without waiting: 1 somebody listens, 0 nobody does, -1 with errno. */
int socket_answered(const char *path);

#endif
