/* census.h: what each worker of a generation was at when it was last looked at, and how many are at
 * what.
 *
 * So that the death or the start of one worker needs a look at that one alone. Looks at nobody.
 * Written by inspect, read by keeper.
 */
#ifndef FPM_CENSUS_H
#define FPM_CENSUS_H

enum census_kind {
    CENSUS_NONE,     /* no worker, or one that was asked to go */
    CENSUS_STARTING, /* does not accept yet */
    CENSUS_IDLE,
    CENSUS_SERVING,
    CENSUS_POST,        /* in work after the response */
    CENSUS_LEAVING,     /* accepts no more, unasked */
    CENSUS_BOX_IDLE,    /* without the library, as far as the kernel tells: it waits, */
    CENSUS_BOX_SERVING, /* it does not, */
    CENSUS_BOX_RIDDLE,  /* it may do either */
    CENSUS_KINDS
};

struct census {
    unsigned char *kinds; /* enum census_kind by slot */
    unsigned size;
    unsigned counts[CENSUS_KINDS];
};

/* Forgets everything; there are `size` slots, of nobody. Returns 0, or -1 without memory: there are
 * none then. */
int census_begin(struct census *census, unsigned size);

/* Notes what is in a slot now; constant time. Returns what was there. */
enum census_kind census_note(struct census *census, unsigned slot, enum census_kind kind);

/* What was noted of a slot last; `otherwise` if nothing was. */
enum census_kind census_kind(const struct census *census, unsigned slot,
                             enum census_kind otherwise);

void census_end(struct census *census);

#endif
