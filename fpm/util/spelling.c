/* spelling.c: see spelling.h. */
#include "fpm/util/spelling.h"

#include <string.h>
#include <sys/param.h>

static char spelling_fold(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c == '-' || c == '_' ? '.' : c);
}

size_t spelling_distance(const char *a, const char *b)
{
    size_t row[SPELLING_MAX + 1], length = strlen(b);
    if (strlen(a) > SPELLING_MAX || length > SPELLING_MAX)
        return SPELLING_MAX;
    /* row[j] is the distance of what was read of `a` from the first j letters of `b`. */
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0]++;
        for (size_t j = 0; j < length; j++) {
            size_t changed = diagonal + (spelling_fold(a[i]) != spelling_fold(b[j]));
            diagonal = row[j + 1];
            row[j + 1] = MIN(changed, MIN(diagonal, row[j]) + 1);
        }
    }
    return row[length];
}
