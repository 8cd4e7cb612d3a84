/* client_filter.h: a program for the kernel that drops the packets of all TCP clients but those in
 * a list of networks.
 *
 * Pure. The kernel runs it on a listening socket before it answers the first packet of a
 * connection, so that other clients never reach a worker, whatever that worker is.
 */
#ifndef FPM_CLIENT_FILTER_H
#define FPM_CLIENT_FILTER_H

#include "sapi-shim/util/cidr.h"

#include <linux/filter.h>
#include <stddef.h>

enum {
    CLIENT_FILTER_MAX = 4096 /* instructions that the kernel takes */
};

/* Writes the program into code[CLIENT_FILTER_MAX] and returns its length; 0 = it is too long. Sorts
 * the networks. */
size_t client_filter_build(struct cidr *nets, size_t count, struct sock_filter *code);

#endif
