/* test_address_place.c: which addresses name one place, and which overlap. */
#include "fpm/config/address_place.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum relation {
    APART,
    OVERLAP,
    SAME
};

static void check(const char *first, const char *second, enum relation relation)
{
    struct value_parse_address a, b;
    char error[256];
    cr_assert_eq(value_parse_address(first, &a, error, sizeof error), 0);
    cr_assert_eq(value_parse_address(second, &b, error, sizeof error), 0);
    address_place_look(&a);
    address_place_look(&b);
    cr_expect_eq(address_place_clash(&a, &b), relation != APART, "%s, %s", first, second);
    cr_expect_eq(address_place_clash(&b, &a), relation != APART, "%s, %s", second, first);
    cr_expect_eq(address_place_same(&a, &b), relation == SAME, "%s, %s", first, second);
    value_parse_address_free(&a);
    value_parse_address_free(&b);
}

Test(address_place, addresses)
{
    static const struct {
        const char *a, *b;
        enum relation relation;
    } cases[] = {
        {"9000", "/9000", APART},
        {"9000", "9000", SAME},
        {"9000", "*:9000", SAME},
        {"9000", "9001", APART},
        {"9000", "127.0.0.1:9000", OVERLAP},
        {"9000", "[::1]:9000", OVERLAP},
        {"9000", "0.0.0.0:9000", OVERLAP},
        {"9000", "[::]:9000", OVERLAP},
        {"127.0.0.1:9000", "127.0.0.2:9000", APART},
        {"[::1]:9000", "[0:0::1]:9000", SAME},
        {"0.0.0.0:9000", "127.0.0.1:9000", OVERLAP},
        {"0.0.0.0:9000", "[::1]:9000", APART},
        {"[::]:9000", "127.0.0.1:9000", OVERLAP},
        {"[::]:9000", "0.0.0.0:9000", OVERLAP},
        {"[::]:9000", "[::1]:9000", OVERLAP},
    };
    const struct value_parse_address none = {0};
    cr_expect_not(address_place_clash(&none, &none));
    cr_expect_not(address_place_same(&none, &none));
    for (size_t i = 0; i < COUNT(cases); i++)
        check(cases[i].a, cases[i].b, cases[i].relation);
}

Test(address_place, paths)
{
    char folder[] = "/tmp/ot-place-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    struct {
        const char *path;
        enum relation relation;
    } cases[] = {
        {"/real/s", SAME},         {"//real/s", SAME}, {"/./real/s", SAME}, {"/link/s", SAME},
        {"/real/../link/s", SAME}, {"/real/t", APART}, {"/other/s", APART}, {"/missing/s", APART},
    };
    char real[64], link[64], other[64], path[96];
    snprintf(real, sizeof real, "%s/real", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    cr_assert(mkdir(real, 0700) == 0 && mkdir(other, 0700) == 0 && symlink("real", link) == 0);
    snprintf(real, sizeof real, "%s/real/s", folder);
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(path, sizeof path, "%s%s", folder, cases[i].path);
        check(real, path, cases[i].relation);
    }
    check("/missing/one/s", "/missing/one/s", SAME);
    check("/s", "//s", SAME);
    *strrchr(real, '/') = '\0';
    cr_assert(unlink(link) == 0 && rmdir(real) == 0 && rmdir(other) == 0 && rmdir(folder) == 0);
}
