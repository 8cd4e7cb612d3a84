/* scalar.c: see scalar.h. */
#include "sapi-shim/scalar.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Reads digits; returns what follows them, NULL if there are none or too many. */
static const char *scalar_digits(const char *text, int64_t *out)
{
    const char *p = text;
    *out = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *p - '0', out))
            return NULL;
    return p == text ? NULL : p;
}

bool scalar_number(const char *text, int64_t *out)
{
    const char *rest = scalar_digits(text, out);
    return rest != NULL && *rest == '\0';
}

bool scalar_bool(const char *text, bool *out)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {
        {"yes", true},  {"no", false},    {"on", true}, {"off", false},
        {"true", true}, {"false", false}, {"1", true},  {"0", false},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i].text, text) == 0) {
            *out = words[i].value;
            return true;
        }
    return false;
}

bool scalar_time(const char *text, int64_t *out)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {
        {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
    };
    int64_t number = 0;
    const char *rest = scalar_digits(text, &number);
    for (size_t i = 0; rest != NULL && i < sizeof units / sizeof units[0]; i++)
        if (strcmp(units[i].unit, rest) == 0)
            return !__builtin_mul_overflow(number, units[i].ms, out);
    return false;
}
