/* locale_free.h: numbers with fractions and dates as text, the same whatever locale the application
 * set.
 *
 * An application may call setlocale(), which changes the output of printf() and strftime() in the
 * whole process; but programs read the access log and the status. Decides nothing.
 */
#ifndef OT_LOCALE_FREE_H
#define OT_LOCALE_FREE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
    LOCALE_FREE_MAX = 32 /* bytes of the longest number, with its NUL */
};

/* Writes number / 10^decimals to the end of `out` and returns its first digit. Zeros at the end of
 * the fraction are left out, but `least` digits of it are always written. Async-signal-safe. */
const char *locale_free_decimal(char out[LOCALE_FREE_MAX], uint64_t number, unsigned decimals,
                                unsigned least);

/* strftime() with English names; 0 if it does not fit, or is empty. */
size_t locale_free_date(char *out, size_t size, const char *how, const struct tm *when);

#endif
