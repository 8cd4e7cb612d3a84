/* luck.h: shall something be tried that does not always pay?
 *
 * After each time in a row that it did not, it is left alone for longer: 1, 3, 7 ... times,
 * LUCK_MOST at the longest. Pure. Any thread may call; what several count at once may be off by
 * some. Called by wait_set.c.
 */
#ifndef OT_LUCK_H
#define OT_LUCK_H

#include <stdbool.h>

enum {
    LUCK_MOST = 63
};

/* All zero at birth: it is tried. */
struct luck {
    _Atomic unsigned misses; /* how often it is to be left alone ... */
    _Atomic unsigned skip;   /* ... and how often still */
};

/* Is it to be tried this time? */
bool luck_tries(struct luck *luck);

/* It was tried. */
void luck_tried(struct luck *luck, bool paid);

#endif
