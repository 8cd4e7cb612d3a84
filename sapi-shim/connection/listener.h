/* listener.h: the listening socket as the worker holds it.
 *
 * Takes it over so that no child of the application gets it, and accepts on it. Decides nothing but
 * who may connect. Called by wait_set.c.
 */
#ifndef OT_LISTENER_H
#define OT_LISTENER_H

#include "sapi-shim/connection/allowed_clients.h"
#include "sapi-shim/connection/conn.h"

#include <stdbool.h>

struct listener {
    int fd; /* our own, close-on-exec; -1 = closed */
    bool is_tcp;
    struct allowed_clients allowed;
};

/* Takes over the descriptor that the application names. `addresses` as allowed_clients_parse takes
 * it. False with errno, which is ENOTSOCK if it does not listen. */
bool listener_open(struct listener *listener, int asked, const char *addresses);
void listener_close(struct listener *listener);

enum listener_result {
    LISTENER_CONN,    /* *conn is a new connection */
    LISTENER_NONE,    /* nothing waits */
    LISTENER_REFUSED, /* one was refused: not in listen.allowed_clients */
    LISTENER_STARVED, /* descriptors or memory have run out; errno says */
    LISTENER_FAILED,  /* errno says */
};

/* Takes one connection from the listen queue. Never waits. */
enum listener_result listener_accept(struct listener *listener, struct conn **conn);

#endif
