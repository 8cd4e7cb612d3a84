/* spelling.h: how far a misspelled word is from a known one. Pure. */
#ifndef FPM_SPELLING_H
#define FPM_SPELLING_H

#include <stddef.h>

enum {
    SPELLING_MAX = 63 /* bytes of a word that is compared */
};

/* The number of letters to insert, remove or change until `a` is `b`. Case does not count, and '-',
 * '_' and '.' are one letter. SPELLING_MAX if one of the two is longer than that. */
size_t spelling_distance(const char *a, const char *b);

#endif
