/* reload_plan.h: from the configuration in force and the one wanted to a plan of what to do.
 *
 * Pure but for memory: compares, and does nothing. For each pool wanted it says whether its workers
 * stay, and whose socket it takes; for the manager itself it says what cannot change while it runs.
 * Called by pools.
 */
#ifndef FPM_RELOAD_PLAN_H
#define FPM_RELOAD_PLAN_H

#include "fpm/config/config.h"

enum reload_plan_action {
    RELOAD_PLAN_KEEP,    /* nothing changed */
    RELOAD_PLAN_APPLY,   /* the changes apply to living workers */
    RELOAD_PLAN_REPLACE, /* a new generation */
    RELOAD_PLAN_ADD      /* a new pool */
};

/* A pool in force. */
struct reload_plan_was {
    const struct config_pool *settings;
    size_t slots; /* workers that its present generation has room for */
};

#define RELOAD_PLAN_NONE ((size_t)-1)

struct reload_plan_step {
    const struct config_pool *wanted;
    enum reload_plan_action deed;
    size_t before; /* the pool of the same name among those in force, or RELOAD_PLAN_NONE */
    size_t socket; /* the pool among those in force that has its socket, or RELOAD_PLAN_NONE */
    const char *because; /* the first directive that changed; NULL: none did */
};

struct reload_plan {
    struct reload_plan_step *steps; /* one a pool wanted, in their order */
    size_t count;
    struct value_parse_list later; /* sentences: what takes effect at the next start only */
};

/* `was` lists the pools in force. `all`: NULL for those alone that changed, "" when every pool gets
 * a new generation, a name when that pool does as well. Returns 0, or -1 without memory. The plan
 * points into both configurations. */
int reload_plan_make(const struct config_global *global, const struct reload_plan_was *was,
                     size_t was_count, const struct config *wanted, const char *all,
                     struct reload_plan *plan);
void reload_plan_free(struct reload_plan *plan);

#endif
