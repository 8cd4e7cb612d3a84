/* listener.h: the worker's listening socket.
 *
 * Takes it over so that no child of the application inherits it, and accepts on it. Decides only
 * which clients may connect.
 */
#ifndef OT_LISTENER_H
#define OT_LISTENER_H

#include "sapi-shim/connection/allowed_clients.h"
#include "sapi-shim/connection/conn.h"

#include <stdbool.h>

struct listener {
    int fd; /* our own, close-on-exec; -1 = closed */
    bool is_tcp;
    _Atomic unsigned empty; /* times that the queue was found empty */
    struct allowed_clients allowed;
};

/* Takes over the application's descriptor; `addresses` as for allowed_clients_parse. False with
 * errno, which is ENOTSOCK if the descriptor is no listening socket. */
bool listener_open(struct listener *listener, int fd, const char *addresses);
void listener_close(struct listener *listener);

enum {
    LISTENER_CLIENT_SIZE = 46 /* as INET6_ADDRSTRLEN */
};

enum listener_result {
    LISTENER_CONN,    /* *conn is a new connection */
    LISTENER_NONE,    /* the queue is empty */
    LISTENER_REFUSED, /* a client was refused: not in listen.allowed_clients */
    LISTENER_STARVED, /* descriptors or memory have run out; errno is set */
    LISTENER_SHUT,    /* it does not listen any more: a process that shares it shut it down */
    LISTENER_FAILED,  /* errno is set */
};

/* Takes one connection from the listen queue. Never waits. `client` is written with
 * LISTENER_REFUSED alone: the client's address as text. */
enum listener_result listener_accept(struct listener *listener, struct conn **conn,
                                     char client[LISTENER_CLIENT_SIZE]);

#endif
