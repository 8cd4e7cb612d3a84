/* reload_plan.h: compares the configuration in force with a new one and plans a reload.
 *
 * Pure except for memory. For each new pool it says whether its workers stay, and whose socket it
 * takes; for the manager itself it says what cannot change while it runs.
 */
#ifndef FPM_RELOAD_PLAN_H
#define FPM_RELOAD_PLAN_H

#include "fpm/config/config.h"

enum reload_plan_action {
    RELOAD_PLAN_KEEP,    /* nothing changed */
    RELOAD_PLAN_APPLY,   /* the changes apply to running workers */
    RELOAD_PLAN_REPLACE, /* a new generation */
    RELOAD_PLAN_ADD      /* a new pool */
};

/* A pool in force. */
struct reload_plan_was {
    const struct config_pool *settings;
    size_t slots;     /* of its present generation */
    bool socket_lost; /* the file of its socket is gone: no client can connect */
};

#define RELOAD_PLAN_NONE ((size_t)-1)

struct reload_plan_step {
    const struct config_pool *wanted;
    enum reload_plan_action action;
    size_t before; /* the pool of the same name among those in force, or RELOAD_PLAN_NONE */
    size_t socket; /* the pool among those in force that has its socket, or RELOAD_PLAN_NONE */
    bool lost;     /* its socket must be made anew */
    const char *changed; /* the first directive that changed; NULL = none */
};

struct reload_plan {
    struct reload_plan_step *steps; /* one for each new pool, in their order */
    size_t count;
    struct value_parse_list later; /* sentences on what takes effect at the next start only */
};

/* `was` lists the pools in force. `all`: NULL to replace only changed pools, "" to replace every
 * pool, or the name of a pool to replace as well. Returns 0, or -1 without memory. The plan points
 * into both configurations. */
int reload_plan_make(const struct config_global *global, const struct reload_plan_was *was,
                     size_t was_count, const struct config *wanted, const char *all,
                     struct reload_plan *plan);
void reload_plan_free(struct reload_plan *plan);

#endif
