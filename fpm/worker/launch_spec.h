/* launch_spec.h: the complete arguments for launching a pool's workers, made from its
 * configuration.
 *
 * Resolves once what must not be looked up between fork and exec: environment, groups, limits.
 * Opens and starts nothing.
 */
#ifndef FPM_LAUNCH_SPEC_H
#define FPM_LAUNCH_SPEC_H

#include "fpm/config/config.h"
#include "fpm/worker/launch.h"

/* The arguments and the memory that they point to, some of it in here: do not move it. Strings of
 * the configuration are borrowed. */
struct launch_spec {
    struct launch_arguments launch; /* the caller fills in the descriptors */
    char **environment;             /* NULL-terminated; the contract's variable comes first */
    gid_t *groups;
    char contract[64];
    char oom[16]; /* `oom_score_adj` in digits */
};

/* Returns 0, or -1 with a sentence. */
int launch_spec_build(struct launch_spec *spec, const struct config_pool *pool, char *error,
                      size_t size);
void launch_spec_free(struct launch_spec *spec);

/* Sets the slot of the next launch. */
void launch_spec_set_slot(struct launch_spec *spec, unsigned slot);

#endif
