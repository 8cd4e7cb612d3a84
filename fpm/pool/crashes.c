/* crashes.c: see crashes.h. */
#include "fpm/pool/crashes.h"

#include <stdlib.h>

void crashes_free(struct crashes *crashes)
{
    free(crashes->at);
    *crashes = (struct crashes){0};
}

bool crashes_note(struct crashes *crashes, size_t threshold, int64_t interval_ms, int64_t now)
{
    if (threshold == 0 || interval_ms <= 0)
        return false;
    if (crashes->size != threshold) {
        crashes_free(crashes);
        crashes->at = calloc(threshold, sizeof *crashes->at);
        if (crashes->at == NULL)
            return false;
        crashes->size = threshold;
    }
    crashes->at[crashes->next] = now;
    crashes->next = (crashes->next + 1) % crashes->size;
    crashes->count += crashes->count < crashes->size;
    /* The ring is full: its next place holds the oldest. */
    if (crashes->count < crashes->size || now - crashes->at[crashes->next] > interval_ms)
        return false;
    crashes->count = crashes->next = 0;
    return true;
}
