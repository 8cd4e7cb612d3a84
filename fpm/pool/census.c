/* census.c: see census.h. */
#include "fpm/pool/census.h"

#include <stdlib.h>

int census_begin(struct census *census, unsigned size)
{
    census_end(census);
    census->kinds = calloc(size, sizeof *census->kinds);
    if (census->kinds == NULL)
        return -1;
    census->size = size;
    census->counts[CENSUS_NONE] = size;
    return 0;
}

enum census_kind census_note(struct census *census, unsigned slot, enum census_kind kind)
{
    if (slot >= census->size)
        return CENSUS_NONE;
    enum census_kind before = (enum census_kind)census->kinds[slot];
    census->counts[before]--;
    census->counts[kind]++;
    census->kinds[slot] = (unsigned char)kind;
    return before;
}

enum census_kind census_kind(const struct census *census, unsigned slot, enum census_kind otherwise)
{
    if (slot >= census->size || census->kinds[slot] == CENSUS_NONE)
        return otherwise;
    return (enum census_kind)census->kinds[slot];
}

void census_end(struct census *census)
{
    free(census->kinds);
    *census = (struct census){0};
}
