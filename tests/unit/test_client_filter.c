/* test_client_filter.c: which packets the kernel's program lets through, by an interpreter of its
 * instructions. */
#include "fpm/util/client_filter.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs the program on a packet whose IP header begins at packet[0]. */
static bool passes(const struct sock_filter *code, size_t length, const unsigned char *packet)
{
    uint32_t a = 0;
    for (size_t pc = 0; pc < length; pc++) {
        const struct sock_filter *now = &code[pc];
        const unsigned char *at = packet + (now->k - (uint32_t)SKF_NET_OFF);
        switch (now->code) {
        case BPF_LD | BPF_B | BPF_ABS:
            a = *at;
            break;
        case BPF_LD | BPF_W | BPF_ABS:
            a = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            a >>= now->k;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= now->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == now->k ? now->jt : now->jf;
            break;
        case BPF_JMP | BPF_JA:
            pc += now->k;
            break;
        case BPF_RET | BPF_K:
            return now->k != 0;
        default:
            cr_assert_fail("an instruction that is not expected: %u", now->code);
        }
    }
    cr_assert_fail("the program has no end");
    return false;
}

static void packet_from(const char *source, unsigned char packet[40])
{
    memset(packet, 0xee, 40);
    bool six = strchr(source, ':') != NULL;
    packet[0] = six ? 0x60 : 0x45;
    cr_assert_eq(inet_pton(six ? AF_INET6 : AF_INET, source, packet + (six ? 8 : 12)), 1);
}

static bool lets(const char *const *list, size_t count, const char *source)
{
    static struct sock_filter code[CLIENT_FILTER_MAX];
    struct cidr *nets = calloc(count, sizeof *nets);
    unsigned char packet[40];
    for (size_t i = 0; i < count; i++)
        cr_assert(cidr_parse(list[i], strlen(list[i]), &nets[i]), "%s", list[i]);
    size_t length = client_filter_build(nets, count, code);
    free(nets);
    cr_assert(length > 0);
    packet_from(source, packet);
    return passes(code, length, packet);
}

Test(client_filter, decides_as_the_library)
{
    static const char *const list[] = {
        "127.0.0.1", "10.0.0.0/8",    "192.168.4.0/22",    "2001:db8::/32",
        "::1",       "fe80::/10",     "2001:db9::7:0:0",   "2a00:1:2:3::/64",
        "127.0.0.9", "172.16.0.0/12", "2a00:1:2:8000::/49"};
    static const struct {
        const char *source;
        bool may;
    } cases[] = {
        {"127.0.0.1", true},
        {"127.0.0.2", false},
        {"127.0.0.9", true},
        {"10.255.3.4", true},
        {"11.0.0.0", false},
        {"192.168.7.255", true},
        {"192.168.8.0", false},
        {"172.31.255.255", true},
        {"172.32.0.0", false},
        {"2001:db8::5", true},
        {"2001:db9::5", false},
        {"2001:db9::7:0:0", true},
        {"2001:db9::7:0:1", false},
        {"::1", true},
        {"::2", false},
        {"fe80::1", true},
        {"febf::1", true},
        {"fec0::1", false},
        {"2a00:1:2:3::9", true},
        {"2a00:1:2:4::9", false},
        {"2a00:1:2:8001::", true},
        {"::", false},
        {"0.0.0.0", false},
        {"::127.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(lets(list, sizeof list / sizeof *list, cases[i].source), cases[i].may, "%s",
                     cases[i].source);
}

Test(client_filter, networks_of_all)
{
    const char *v4[] = {"0.0.0.0/0"}, *v6[] = {"::/0"}, *mapped[] = {"::ffff:10.0.0.0/104"};
    cr_expect(lets(v4, 1, "203.0.113.9"));
    cr_expect_not(lets(v4, 1, "2001:db8::1"));
    cr_expect(lets(v6, 1, "203.0.113.9"), "as the library, for which IPv4 is a part of IPv6");
    cr_expect(lets(v6, 1, "2001:db8::1"));
    cr_expect(lets(mapped, 1, "10.9.9.9"));
    cr_expect_not(lets(mapped, 1, "11.9.9.9"));
}

Test(client_filter, many)
{
    static struct sock_filter code[CLIENT_FILTER_MAX];
    static struct cidr nets[2048];
    unsigned char packet[40];
    char text[32];
    for (unsigned i = 0; i < 2048; i++) {
        snprintf(text, sizeof text, "10.%u.%u.0/%u", i / 256, i % 256, 24 + i % 9);
        cr_assert(cidr_parse(text, strlen(text), &nets[i]));
    }
    size_t length = client_filter_build(nets, 2048, code);
    cr_assert(length > 2048);
    for (unsigned i = 0; i < 2048; i++) {
        snprintf(text, sizeof text, "10.%u.%u.0", i / 256, i % 256);
        packet_from(text, packet);
        cr_assert(passes(code, length, packet), "%s", text);
    }
    packet_from("10.8.0.0", packet);
    cr_expect_not(passes(code, length, packet));
    for (unsigned i = 0; i < 2048; i++) {
        snprintf(text, sizeof text, "2001:db8::%x", i);
        cr_assert(cidr_parse(text, strlen(text), &nets[i]));
    }
    cr_expect_eq(client_filter_build(nets, 2048, code), 0,
                 "too many, and nothing is written beyond");
    cr_expect_gt(client_filter_build(nets, 450, code), 0);
}
