/* scalar.c: see scalar.h. */
#include "sapi-shim/util/scalar.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

const struct scalar_unit scalar_times[SCALAR_TIMES] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"", 1000},
};

bool scalar_digits(const char **text, int64_t *out)
{
    const char *p = *text;
    int64_t number = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, *p - '0', &number))
            return false;
    if (p == *text)
        return false;
    *text = p;
    *out = number;
    return true;
}

uint64_t scalar_length(const char *text)
{
    int64_t length = 0;
    if (text == NULL || *text == '\0')
        return 0;
    if (!scalar_digits(&text, &length) || *text != '\0' || length > SCALAR_LENGTH_MAX)
        return SCALAR_UNKNOWN_LENGTH;
    return (uint64_t)length;
}

bool scalar_with_unit(const char *text, const struct scalar_unit *units, size_t count, int64_t *out)
{
    int64_t number = 0;
    size_t i = 0;
    if (!scalar_digits(&text, &number))
        return false;
    while (i < count && strcasecmp(units[i].suffix, text) != 0)
        i++;
    if (i == count || __builtin_mul_overflow(number, units[i].factor, &number))
        return false;
    *out = number;
    return true;
}

bool scalar_time(const char *text, int64_t *out)
{
    return scalar_with_unit(text, scalar_times, SCALAR_TIMES, out);
}

bool scalar_bool(const char *text, bool *out)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i], text) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    return false;
}

void scalar_duration(int64_t ms, char *out, size_t size)
{
    int64_t seconds = ms / 1000;
    if (ms < 1000)
        snprintf(out, size, "%" PRId64 " ms", ms < 0 ? 0 : ms);
    else if (seconds < 120)
        snprintf(out, size, "%" PRId64 ".%" PRId64 " s", seconds, ms % 1000 / 100);
    else if (seconds < 7200)
        snprintf(out, size, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
    else
        snprintf(out, size, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds / 60 % 60);
}
