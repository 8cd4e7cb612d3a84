/* socket_activation.h: listening sockets that were passed to the manager at its start, as
 * sd_listen_fds(3) describes it, and that pools find again.
 *
 * They belong to the process, as does the environment that names them. A pool whose socket is here
 * opens none.
 */
#ifndef FPM_SOCKET_ACTIVATION_H
#define FPM_SOCKET_ACTIVATION_H

#include "fpm/pool/socket.h"

/* Takes the descriptors that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES describe, if they are for
 * this process, and removes these variables in any case. To be called before the process opens
 * files of its own. Returns 0, or -1 with a sentence. */
int socket_activation_open(char *error, size_t size);

/* The socket for a pool: one of its name that listens where `spec` says, else one of its name, else
 * one that listens there. Returns 1 with the listener, and a remark in `text` if it listens
 * elsewhere; 0 if there is none; -1 with a sentence if the one of its name does not listen. `text`
 * is empty otherwise. */
int socket_activation_take(const char *pool, const struct socket_spec *spec,
                           struct socket_listener *listener, char *text, size_t size);

/* Closes a socket that no pool has taken; `text` says which, and why. Returns false if there is
 * none left except those that socket_activation_keep holds. */
bool socket_activation_drop(char *text, size_t size);

/* Keeps a duplicate of a socket that its pool gives up, for socket_activation_take: the process
 * that made it still holds its address, where no other socket can listen. With an empty name it is
 * found by its address only. Returns 0, or -1 with errno. */
int socket_activation_keep(const char *name, int fd);

/* Writes the kept sockets into the state of an upgrade, or restores them from there. */
void socket_activation_saved_state(struct saved_state *state);

#endif
