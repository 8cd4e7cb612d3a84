/* allowed_clients.h: which TCP clients may connect: addresses and networks, as
 * `listen.allowed_clients` lists them and as FCGI_WEB_SERVER_ADDRS hands them to a worker.
 *
 * Pure but for its list. An entry is an IPv4 or IPv6 address, with or without a prefix length; an
 * entry that cannot be read allows nobody, so that a typing error never opens a door. Called by
 * wait_set.c.
 */
#ifndef OT_ALLOWED_CLIENTS_H
#define OT_ALLOWED_CLIENTS_H

#include <stdbool.h>
#include <sys/socket.h>

enum {
    ALLOWED_CLIENTS_MAX = 64
};

struct allowed_clients {
    bool any; /* no list: everybody may connect */
    unsigned count;
    struct allowed_clients_net {
        unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
        unsigned bits;             /* 0 to 128 */
    } nets[ALLOWED_CLIENTS_MAX];
};

/* Reads a comma-separated list; NULL or empty = any. */
void allowed_clients_parse(struct allowed_clients *peers, const char *text);

/* Unix sockets have modes and owners instead: always allowed. */
bool allowed_clients_allow(const struct allowed_clients *peers, const struct sockaddr *address);

#endif
