/* invariant.c: see invariant.h. */
#include "fpm/util/invariant.h"

#include <stdio.h>
#include <stdlib.h>

void (*invariant_report)(const char *sentence);

_Noreturn void invariant_fail(const char *file, int line, const char *condition)
{
    char sentence[512];
    snprintf(sentence, sizeof sentence, "an invariant does not hold: %s:%d: %s", file, line,
             condition);
    if (invariant_report != NULL)
        invariant_report(sentence);
    else
        (void)fprintf(stderr, "%s\n", sentence);
    abort();
}
