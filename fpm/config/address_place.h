/* address_place.h: do two addresses of the configuration name the same place, or overlapping ones?
 *
 * Paths are compared as the file system has them: through symbolic links and whatever their
 * spelling. Opens nothing.
 */
#ifndef FPM_ADDRESS_PLACE_H
#define FPM_ADDRESS_PLACE_H

#include "fpm/config/value_parse.h"

#include <stdbool.h>
#include <stdint.h>

/* Notes which folder the path of a unix socket is in, to be compared later. */
void address_place_look(struct value_parse_address *address);

/* The same socket: one path, or one host and port. False if either is unset. */
bool address_place_same(const struct value_parse_address *a, const struct value_parse_address *b);

/* Can only one of them be listened on at a time? Also true for a TCP address and a wildcard that
 * includes it: a port alone and [::] include both families, 0.0.0.0 all of IPv4. False if either is
 * unset. */
bool address_place_clash(const struct value_parse_address *a, const struct value_parse_address *b);

/* Addresses that clash have the same hash. */
uint64_t address_place_hash(const struct value_parse_address *address);

#endif
