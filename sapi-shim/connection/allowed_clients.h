/* allowed_clients.h: which TCP clients may connect: addresses and networks, as
 * `listen.allowed_clients` lists them and as FCGI_WEB_SERVER_ADDRS hands them to a worker.
 *
 * An entry that cannot be read allows no client, so that a typing error never opens a door. All
 * entries count; the configuration alone limits how many there are.
 */
#ifndef OT_ALLOWED_CLIENTS_H
#define OT_ALLOWED_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct cidr;

struct allowed_clients {
    bool any; /* no list: every client may connect */
    size_t count;
    struct cidr *nets;
};

/* Reads a comma-separated list; NULL or empty = any. Returns false with errno, and no client
 * allowed, without memory. */
bool allowed_clients_parse(struct allowed_clients *clients, const char *text);
void allowed_clients_free(struct allowed_clients *clients);

/* What is said of refused clients: the first at once, further ones with the next message, at most
 * one a minute, as any machine that reaches the port can cause them. */
struct allowed_clients_report {
    uint64_t last; /* clock_coarse_ns of the last message, 0 = none */
    uint64_t more; /* clients refused since */
};

/* Counts a refused client. True: say it now, and of `*more` others before it. */
bool allowed_clients_report(struct allowed_clients_report *report, uint64_t now, uint64_t *more);

/* Unix sockets have modes and owners instead: always allowed. */
bool allowed_clients_allow(const struct allowed_clients *clients, const struct sockaddr *address);

#endif
