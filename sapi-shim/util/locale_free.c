/* locale_free.c: see locale_free.h. */
#include "sapi-shim/util/locale_free.h"

#include <locale.h>

const char *locale_free_decimal(char out[LOCALE_FREE_MAX], uint64_t number, unsigned decimals,
                                unsigned least)
{
    char *at = &out[LOCALE_FREE_MAX - 1];
    *at = '\0';
    for (; decimals > least && number % 10 == 0; decimals--)
        number /= 10;
    for (unsigned i = 0; number > 0 || i <= decimals; i++) {
        if (i == decimals && i > 0)
            *--at = '.';
        *--at = (char)('0' + number % 10);
        number /= 10;
    }
    return at;
}

size_t locale_free_date(char *out, size_t size, const char *how, const struct tm *when)
{
    /* The C library has this one ready: nothing is allocated, so there is nothing to keep. */
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0)
        return 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t length = strftime_l(out, size, how, when, c);
#pragma GCC diagnostic pop
    freelocale(c);
    return length;
}
