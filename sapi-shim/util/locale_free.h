/* locale_free.h: numbers with fractions and dates as text, the same whatever locale the application
 * set.
 *
 * An application may call setlocale(), which changes what printf() and strftime() of the whole
 * process write; programs read what is written here. Decides nothing. Used by log_format.c and by
 * all that shows the status.
 */
#ifndef OT_LOCALE_FREE_H
#define OT_LOCALE_FREE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
    LOCALE_FREE_MAX = 32 /* bytes of the longest number, with its NUL */
};

/* Writes number / 10^decimals and returns `out`; zeros at the end of the fraction are left out, but
 * for the first `least` digits of it. */
const char *locale_free_decimal(char out[LOCALE_FREE_MAX], uint64_t number, unsigned decimals,
                                unsigned least);

/* strftime() with English names; 0 if it does not fit, or is empty. */
size_t locale_free_date(char *out, size_t size, const char *how, const struct tm *when);

#endif
