/* cidr.h: an IP address or network as text, the same in listen.allowed_clients and in the worker
 * that obeys it.
 *
 * Pure. IPv4 is held as IPv4-mapped IPv6 (::ffff:a.b.c.d), so that one comparison serves both.
 */
#ifndef OT_CIDR_H
#define OT_CIDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    CIDR_TEXT_MAX = INET6_ADDRSTRLEN - 1 + 4 /* longest text: an address and "/128" */
};

struct cidr {
    unsigned char address[16]; /* network order; bits after the prefix are zero */
    unsigned bits;             /* length of the prefix, 0 to 128; 96 more than written for IPv4 */
};

/* Reads 192.0.2.7, 192.0.2.0/24, 2001:db8::1 or 2001:db8::/32 from the first `length` bytes of
 * `text`. Returns false for anything else. */
bool cidr_parse(const char *text, size_t length, struct cidr *out);

/* Is the peer's address in the network? `address` must be AF_INET or AF_INET6. */
bool cidr_contains(const struct cidr *net, const struct sockaddr *address);

#endif
