/* allowed_clients.c: see allowed_clients.h. */
#include "sapi-shim/connection/allowed_clients.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALLOWED_CLIENTS_TEXT_MAX = 64,
    ALLOWED_CLIENTS_V4_BITS = 32,
    ALLOWED_CLIENTS_BITS = 128
};

static void allowed_clients_map_v4(unsigned char address[16], const void *v4)
{
    memset(address, 0, 10);
    memset(address + 10, 0xff, 2);
    memcpy(address + 12, v4, 4);
}

static bool allowed_clients_bits(const char *text, unsigned max, unsigned *bits)
{
    char *end = NULL;
    if (text == NULL) {
        *bits = max;
        return true;
    }
    unsigned long n = strtoul(text, &end, 10);
    *bits = (unsigned)n;
    return end != text && *end == '\0' && n <= max;
}

static bool allowed_clients_read(struct allowed_clients_net *net, char *text)
{
    unsigned char v4[4];
    char *slash = strchr(text, '/');
    if (slash != NULL)
        *slash++ = '\0';
    if (inet_pton(AF_INET, text, v4) == 1) {
        allowed_clients_map_v4(net->address, v4);
        if (!allowed_clients_bits(slash, ALLOWED_CLIENTS_V4_BITS, &net->bits))
            return false;
        net->bits += ALLOWED_CLIENTS_BITS - ALLOWED_CLIENTS_V4_BITS;
        return true;
    }
    return inet_pton(AF_INET6, text, net->address) == 1 &&
           allowed_clients_bits(slash, ALLOWED_CLIENTS_BITS, &net->bits);
}

void allowed_clients_parse(struct allowed_clients *peers, const char *text)
{
    static const char separators[] = ", \t";
    memset(peers, 0, sizeof *peers);
    if (text == NULL || text[strspn(text, separators)] == '\0') {
        peers->any = true;
        return;
    }
    while (*(text += strspn(text, separators)) != '\0' && peers->count < ALLOWED_CLIENTS_MAX) {
        char entry[ALLOWED_CLIENTS_TEXT_MAX];
        size_t length = strcspn(text, separators);
        if (length < sizeof entry) {
            memcpy(entry, text, length);
            entry[length] = '\0';
            if (allowed_clients_read(&peers->nets[peers->count], entry))
                peers->count++;
        }
        text += length;
    }
}

static bool allowed_clients_match(const struct allowed_clients_net *net,
                                  const unsigned char address[16])
{
    unsigned bytes = net->bits / 8;
    unsigned rest = net->bits % 8;
    if (memcmp(net->address, address, bytes) != 0)
        return false;
    if (rest == 0)
        return true;
    unsigned char mask = (unsigned char)(0xff << (8 - rest));
    return (net->address[bytes] & mask) == (address[bytes] & mask);
}

bool allowed_clients_allow(const struct allowed_clients *peers, const struct sockaddr *address)
{
    unsigned char bytes[16];
    if (peers->any)
        return true;
    if (address->sa_family == AF_INET)
        allowed_clients_map_v4(bytes,
                               &((const struct sockaddr_in *)(const void *)address)->sin_addr);
    else if (address->sa_family == AF_INET6)
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    else
        return true;
    for (unsigned i = 0; i < peers->count; i++)
        if (allowed_clients_match(&peers->nets[i], bytes))
            return true;
    return false;
}
