/* reload.h: from the configuration in force and the one wanted to a plan of what to do.
 *
 * Pure but for memory: compares, and does nothing. For each pool wanted it says whether its workers
 * stay, and whose socket it takes; for the manager itself it says what cannot change while it runs.
 * Called by pools.
 */
#ifndef FPM_RELOAD_H
#define FPM_RELOAD_H

#include "fpm/conf.h"

enum reload_deed {
    RELOAD_KEEP,    /* nothing changed */
    RELOAD_APPLY,   /* the changes apply to living workers */
    RELOAD_REPLACE, /* a new generation */
    RELOAD_ADD      /* a new pool */
};

/* A pool in force. */
struct reload_was {
    const struct conf_pool *settings;
    size_t slots; /* workers that its present generation has room for */
};

#define RELOAD_NONE ((size_t)-1)

struct reload_step {
    const struct conf_pool *wanted;
    enum reload_deed deed;
    size_t before;       /* the pool of the same name among those in force, or RELOAD_NONE */
    size_t socket;       /* the pool among those in force that has its socket, or RELOAD_NONE */
    const char *because; /* the first directive that changed; NULL: none did */
};

struct reload_plan {
    struct reload_step *steps; /* one a pool wanted, in their order */
    size_t count;
    struct conf_list later; /* sentences: what takes effect at the next start only */
};

/* `was` lists the pools in force. `all`: NULL for those alone that changed, "" when every pool gets
 * a new generation, a name when that pool does as well. Returns 0, or -1 without memory. The plan
 * points into both configurations. */
int reload_plan(const struct conf_global *global, const struct reload_was *was, size_t was_count,
                const struct conf *wanted, const char *all, struct reload_plan *plan);
void reload_plan_free(struct reload_plan *plan);

#endif
