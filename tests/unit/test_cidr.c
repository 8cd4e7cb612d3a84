/* test_cidr.c: the text of addresses and networks. */
#include "sapi-shim/util/cidr.h"

#include <criterion/criterion.h>
#include <string.h>

static struct cidr parsed(const char *text)
{
    struct cidr out = {.bits = 999};
    cr_expect(cidr_parse(text, strlen(text), &out), "<%s>", text);
    return out;
}

Test(cidr, networks)
{
    struct cidr net = parsed("10.1.2.3");
    cr_expect(net.bits == 128 && net.address[11] == 0xff && net.address[15] == 3);
    net = parsed("10.255.2.3/9");
    cr_expect(net.bits == 105 && net.address[12] == 10 && net.address[13] == 128 &&
              net.address[14] == 0);
    net = parsed("0.0.0.0/0");
    cr_expect(net.bits == 96 && net.address[11] == 0xff);
    net = parsed("2001:db8:ffff::1/33");
    cr_expect(net.bits == 33 && net.address[4] == 0x80 && net.address[15] == 0);
    net = parsed("::/0");
    cr_expect(net.bits == 0 && net.address[11] == 0);
    (void)parsed("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128");
}

Test(cidr, takes_only_the_bytes_named)
{
    struct cidr net;
    cr_assert(cidr_parse("10.0.0.0/88,::1", 10, &net));
    cr_expect_eq(net.bits, 104);
}

Test(cidr, refuses_the_rest)
{
    static const char *const refused[] = {
        "",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/ 8",
        "10.0.0/8",
        "::/129",
        "foo",
        "foo/8",
        "10.0.0.1/x",
        "1.2.3.4/8/8",
        "::1%lo",
        "/8",
        "10.0.0.0/00000000000000000000000000000000000000000000008",
        "2001:db8::1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19"};
    struct cidr out;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        cr_expect_not(cidr_parse(refused[i], strlen(refused[i]), &out), "<%s>", refused[i]);
}
