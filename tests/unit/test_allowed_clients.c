/* test_allowed_clients.c: which TCP clients may connect. */
#include "sapi-shim/connection/allowed_clients.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static bool allows(const char *list, const char *client)
{
    struct allowed_clients clients;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr *address = (struct sockaddr *)&v4;
    if (inet_pton(AF_INET, client, &v4.sin_addr) != 1) {
        cr_assert_eq(inet_pton(AF_INET6, client, &v6.sin6_addr), 1, "%s", client);
        address = (struct sockaddr *)&v6;
    }
    cr_assert(allowed_clients_parse(&clients, list));
    bool allowed = allowed_clients_allow(&clients, address);
    allowed_clients_free(&clients);
    return allowed;
}

Test(allowed_clients, lists)
{
    static const struct {
        const char *list;
        const char *client;
        bool allowed;
    } cases[] = {
        {NULL, "10.0.0.1", true},
        {"", "10.0.0.1", true},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"127.0.0.1, 10.1.2.3", "10.1.2.3", true},
        {"10.0.0.0/8", "10.200.1.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"192.168.4.0/22", "192.168.7.255", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"127.0.0.1", "::ffff:127.0.0.1", true},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::/0", "127.0.0.1", true},
        {"nonsense", "127.0.0.1", false},
        {"127.0.0.1/33", "127.0.0.1", false},
        {"127.0.0.1/", "127.0.0.1", false},
        {"nonsense,127.0.0.1", "127.0.0.1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(allows(cases[i].list, cases[i].client), cases[i].allowed, "%s from %s",
                     cases[i].client, cases[i].list == NULL ? "(none)" : cases[i].list);
}

Test(allowed_clients, unix_sockets_have_modes_instead)
{
    struct allowed_clients clients;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cr_assert(allowed_clients_parse(&clients, "127.0.0.1"));
    cr_expect(allowed_clients_allow(&clients, (struct sockaddr *)&address));
    allowed_clients_free(&clients);
}

Test(allowed_clients, as_many_as_are_listed)
{
    char list[2000 * sizeof "10.1.2.255,"];
    size_t length = 0;
    for (unsigned i = 0; i < 2000; i++)
        length +=
            (size_t)snprintf(list + length, sizeof list - length, "10.1.%u.%u,", i / 256, i % 256);
    cr_expect(allows(list, "10.1.0.64"), "the 65th");
    cr_expect(allows(list, "10.1.7.207"), "the last");
    cr_expect_not(allows(list, "10.1.7.208"));
}

Test(allowed_clients, refusals_are_reported_once_a_minute)
{
    struct allowed_clients_report report = {0};
    const uint64_t second = 1000000000, begin = 5 * second;
    uint64_t more = 7;
    cr_expect(allowed_clients_report(&report, begin, &more) && more == 0, "the first at once");
    for (unsigned i = 1; i < 60; i++)
        cr_expect(!allowed_clients_report(&report, begin + i * second, &more));
    cr_expect(allowed_clients_report(&report, begin + 60 * second, &more) && more == 59);
    cr_expect(!allowed_clients_report(&report, begin + 61 * second, &more));
    cr_expect(allowed_clients_report(&report, begin + 200 * second, &more) && more == 1);
}
