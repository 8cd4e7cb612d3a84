/* socket.h: a listening socket: made, owned, given its mode, and taken away again.
 *
 * Never accepts. Removes a unix socket's file only when a connect test shows that nobody listens
 * there, or when it is the one made here. Called by pool and control.
 */
#ifndef FPM_SOCKET_H
#define FPM_SOCKET_H

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
    int fd; /* close-on-exec, blocking */
    char *path;
    dev_t device; /* of the file made here */
    ino_t inode;
};

#define SOCKET_NONE ((struct socket_listener){.fd = -1})

/* Opens, binds and listens. Returns 0, or -1 with a sentence. */
int socket_listen(struct socket_listener *listener, const struct socket_spec *spec, char *error,
                  size_t size);

/* Closes it and removes its file if that is still the one made here. */
void socket_close(struct socket_listener *listener);

/* Is something waiting there to be accepted or received? */
bool socket_pending(int fd);

/* Connects to a unix socket without waiting: 1 somebody listens, 0 nobody does, -1 with errno. */
int socket_answered(const char *path);

#endif
