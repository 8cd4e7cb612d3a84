/* cidr.c: see cidr.h. */
#include "sapi-shim/util/cidr.h"

#include "sapi-shim/util/scalar.h"

#include <arpa/inet.h>
#include <string.h>

enum {
    CIDR_BITS = 128,
    CIDR_V4_OFFSET = 96 /* bits before the IPv4 address in a mapped one */
};

static void cidr_map_v4(unsigned char address[16], const void *v4)
{
    memset(address, 0, 10);
    memset(address + 10, 0xff, 2);
    memcpy(address + 12, v4, 4);
}

bool cidr_parse(const char *text, size_t length, struct cidr *out)
{
    char copy[CIDR_TEXT_MAX + 1];
    unsigned char v4[4];
    if (length > CIDR_TEXT_MAX)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *slash = strchr(copy, '/');
    if (slash != NULL)
        *slash = '\0';

    int64_t offset = 0;
    if (inet_pton(AF_INET, copy, v4) == 1) {
        cidr_map_v4(out->address, v4);
        offset = CIDR_V4_OFFSET;
    } else if (inet_pton(AF_INET6, copy, out->address) != 1) {
        return false;
    }

    int64_t bits = CIDR_BITS - offset;
    if (slash != NULL) {
        const char *digits = slash + 1;
        if (!scalar_digits(&digits, &bits) || *digits != '\0' || bits > CIDR_BITS - offset)
            return false;
    }
    out->bits = (unsigned)(bits + offset);
    for (unsigned bit = out->bits; bit < CIDR_BITS; bit++)
        out->address[bit / 8] &= (unsigned char)~(0x80u >> (bit % 8));
    return true;
}

bool cidr_contains(const struct cidr *net, const struct sockaddr *address)
{
    unsigned char bytes[16];
    if (address->sa_family == AF_INET)
        cidr_map_v4(bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr);
    else
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    unsigned whole = net->bits / 8;
    if (memcmp(net->address, bytes, whole) != 0)
        return false;
    unsigned char mask = (unsigned char)(0xff00u >> (net->bits % 8));
    return mask == 0 || net->address[whole] == (bytes[whole] & mask);
}
