/* client_filter.c: see client_filter.h. */
#include "fpm/util/client_filter.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENT_FILTER_V4_SOURCE = 12, /* bytes from the begin of the IP header */
    CLIENT_FILTER_V6_SOURCE = 8,
    CLIENT_FILTER_V4_BITS = 96, /* of a mapped address before the IPv4 address */
    CLIENT_FILTER_RUN = 200     /* comparisons that share one return; a jump reaches 255 */
};

struct client_filter {
    struct sock_filter *code;
    size_t length; /* may exceed CLIENT_FILTER_MAX: then nothing more is written */
};

static void client_filter_put(struct client_filter *filter, unsigned code, uint32_t k, unsigned yes,
                              unsigned no)
{
    if (filter->length < CLIENT_FILTER_MAX)
        filter->code[filter->length] = (struct sock_filter){
            .code = (uint16_t)code, .jt = (uint8_t)yes, .jf = (uint8_t)no, .k = k};
    filter->length++;
}

static void client_filter_load(struct client_filter *filter, unsigned at, uint32_t mask)
{
    client_filter_put(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + at, 0, 0);
    if (mask != UINT32_MAX)
        client_filter_put(filter, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
}

static void client_filter_return(struct client_filter *filter, bool pass)
{
    client_filter_put(filter, BPF_RET | BPF_K, pass ? UINT32_MAX : 0, 0, 0);
}

static uint32_t client_filter_word(const struct cidr *net, unsigned word)
{
    const unsigned char *bytes = net->address + sizeof(uint32_t) * word;
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Of the word's first `bits` bits; more than 32 are all. */
static uint32_t client_filter_mask(unsigned bits)
{
    return bits == 0 ? 0 : bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> bits);
}

/* Does the network hold IPv4 addresses, all or some? */
static bool client_filter_is_v4(const struct cidr *net)
{
    static const uint32_t mapped[] = {0, 0, 0xffff};
    bool same = true;
    for (unsigned word = 0; same && word < 3; word++) {
        unsigned bits = net->bits > 32 * word ? net->bits - 32 * word : 0;
        same = client_filter_word(net, word) == (mapped[word] & client_filter_mask(bits));
    }
    return same;
}

/* Networks of one prefix length share the masked address, and a return. */
static void client_filter_v4(struct client_filter *filter, const struct cidr *nets, size_t count)
{
    for (size_t at = 0, run = 0; at < count; at += run) {
        unsigned bits =
            nets[at].bits > CLIENT_FILTER_V4_BITS ? nets[at].bits - CLIENT_FILTER_V4_BITS : 0;
        for (run = 1; at + run < count && run < CLIENT_FILTER_RUN; run++)
            if (nets[at + run].bits != nets[at].bits)
                break;
        client_filter_load(filter, CLIENT_FILTER_V4_SOURCE, client_filter_mask(bits));
        for (size_t i = 0; i < run; i++)
            client_filter_put(filter, BPF_JMP | BPF_JEQ | BPF_K,
                              bits > 0 ? client_filter_word(&nets[at + i], 3) : 0,
                              (unsigned)(run - i), 0);
        client_filter_put(filter, BPF_JMP | BPF_JA, 1, 0, 0);
        client_filter_return(filter, true);
    }
    client_filter_return(filter, false);
}

static void client_filter_v6(struct client_filter *filter, const struct cidr *nets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct cidr *net = &nets[i];
        unsigned words = (net->bits + 31) / 32;
        if (client_filter_is_v4(net) && net->bits >= CLIENT_FILTER_V4_BITS)
            continue;
        /* A word that differs jumps to the next network: over what is left of this one. */
        unsigned partial = net->bits % 32 != 0;
        for (unsigned word = 0; word < words; word++) {
            unsigned left = words - word - 1;
            unsigned over = 2 * left + (left > 0 ? partial : 0) + 1;
            client_filter_load(filter, CLIENT_FILTER_V6_SOURCE + 4 * word,
                               client_filter_mask(net->bits - 32 * word));
            client_filter_put(filter, BPF_JMP | BPF_JEQ | BPF_K, client_filter_word(net, word), 0,
                              over);
        }
        client_filter_return(filter, true);
    }
    client_filter_return(filter, false);
}

static int client_filter_order(const void *a, const void *b)
{
    const struct cidr *left = a, *right = b;
    bool v4 = client_filter_is_v4(left), other_v4 = client_filter_is_v4(right);
    if (v4 != other_v4)
        return v4 ? -1 : 1;
    return (left->bits > right->bits) - (left->bits < right->bits);
}

size_t client_filter_build(struct cidr *nets, size_t count, struct sock_filter *code)
{
    struct client_filter filter = {.code = code};
    if (count > 0)
        qsort(nets, count, sizeof *nets, client_filter_order);
    size_t v4 = 0;
    while (v4 < count && client_filter_is_v4(&nets[v4]))
        v4++;
    client_filter_put(&filter, BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_NET_OFF, 0, 0);
    client_filter_put(&filter, BPF_ALU | BPF_RSH | BPF_K, 4, 0, 0);
    client_filter_put(&filter, BPF_JMP | BPF_JEQ | BPF_K, 4, 1, 0);
    size_t jump = filter.length;
    client_filter_put(&filter, BPF_JMP | BPF_JA, 0, 0, 0);
    client_filter_v4(&filter, nets, v4);
    code[jump].k = (uint32_t)(filter.length - jump - 1);
    client_filter_v6(&filter, nets, count);
    return filter.length <= CLIENT_FILTER_MAX ? filter.length : 0;
}
