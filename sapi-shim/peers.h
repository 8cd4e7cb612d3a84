/* peers.h: which TCP clients may connect: addresses and networks, as `listen.allowed_clients` lists
 * them and as FCGI_WEB_SERVER_ADDRS hands them to a worker.
 *
 * Pure but for its list. An entry is an IPv4 or IPv6 address, with or without a prefix length; an
 * entry that cannot be read allows nobody, so that a typing error never opens a door. Called by
 * wait.c.
 */
#ifndef OT_PEERS_H
#define OT_PEERS_H

#include <stdbool.h>
#include <sys/socket.h>

enum {
    PEERS_MAX = 64
};

struct peers {
    bool any; /* no list: everybody may connect */
    unsigned count;
    struct peers_net {
        unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
        unsigned bits;             /* 0 to 128 */
    } nets[PEERS_MAX];
};

/* Reads a comma-separated list; NULL or empty = any. */
void peers_parse(struct peers *peers, const char *text);

/* Unix sockets have modes and owners instead: always allowed. */
bool peers_allow(const struct peers *peers, const struct sockaddr *address);

#endif
