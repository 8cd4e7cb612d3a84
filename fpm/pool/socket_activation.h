/* socket_activation.h: listening sockets that the manager was started with (socket activation, as
 * sd_listen_fds(3) describes it), found again by the pools they are for.
 *
 * It belongs to the process, as the environment does that it reads. A pool whose socket is here
 * makes none. Called by main, which opens it once and drops what nobody took, by pool, and by
 * upgrade.
 */
#ifndef FPM_SOCKET_ACTIVATION_H
#define FPM_SOCKET_ACTIVATION_H

#include "fpm/pool/socket.h"

/* Takes over the descriptors that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES speak of, if they are
 * for this process, and removes these variables in any case. To be called before the process opens
 * files of its own. Returns 0, or -1 with a sentence. */
int socket_activation_open(char *error, size_t size);

/* The socket for a pool: one of its name that listens where `spec` says, else one of its name, else
 * one that listens there. Returns 1 and the listener, with a remark in `text` if it listens
 * elsewhere; 0 if there is none; -1 with a sentence if what has its name cannot be listened on.
 * `text` is empty otherwise. */
int socket_activation_take(const char *pool, const struct socket_spec *spec,
                           struct socket_listener *listener, char *text, size_t size);

/* Closes one that nobody took and says which, and why. Returns false if none is left but those that
 * socket_activation_keep has. */
bool socket_activation_drop(char *text, size_t size);

/* Keeps a duplicate of a socket that its pool gives up, for socket_activation_take: whoever made it
 * holds its place, where nobody else can listen. With an empty name it is found by where it listens
 * alone. Returns 0, or -1 with errno. */
int socket_activation_keep(const char *name, int fd);

/* Hands over those that are kept to the program that takes this one's place, or takes them over,
 * whichever the state is for. */
void socket_activation_saved_state(struct saved_state *state);

#endif
