/* launch_spec.h: from a pool's configuration to the complete specification its workers are launched
 * from.
 *
 * Resolves once what must not be looked up between fork and exec: environment, groups, limits.
 * Opens and starts nothing. Called by pool.
 */
#ifndef FPM_LAUNCH_SPEC_H
#define FPM_LAUNCH_SPEC_H

#include "fpm/config/config.h"
#include "fpm/worker/launch.h"

/* A specification and the memory it points to, its own included: it must not be moved. Strings of
 * the configuration are borrowed. */
struct launch_spec {
    struct launch_arguments launch; /* descriptors are the caller's to fill in */
    char **environment;             /* NULL-terminated; the contract's variable comes first */
    gid_t *groups;
    char contract[64];
    char oom[16]; /* `oom_score_adj` in digits */
};

/* Returns 0, or -1 with a sentence. */
int launch_spec_build(struct launch_spec *spec, const struct config_pool *pool, char *error,
                      size_t size);
void launch_spec_free(struct launch_spec *spec);

/* The next launch is for this slot. */
void launch_spec_slot(struct launch_spec *spec, unsigned slot);

#endif
