/* spec.h: from a pool's configuration to the complete specification its workers are launched from.
 *
 * Resolves once what must not be looked up between fork and exec: environment, groups, limits.
 * Opens and starts nothing. Called by pool.
 */
#ifndef FPM_SPEC_H
#define FPM_SPEC_H

#include "fpm/conf.h"
#include "fpm/launch.h"

/* A specification and the memory it points to, its own included: it must not be moved. Strings of
 * the configuration are borrowed. */
struct spec {
    struct launch_spec launch; /* descriptors are the caller's to fill in */
    char **environment;        /* NULL-terminated; the treaty's variable comes first */
    gid_t *groups;
    char treaty[64];
    char oom[16]; /* `oom_score_adj` in digits */
};

/* Returns 0, or -1 with a sentence. */
int spec_build(struct spec *spec, const struct conf_pool *pool, char *error, size_t size);
void spec_free(struct spec *spec);

/* The next launch is for this slot. */
void spec_slot(struct spec *spec, unsigned slot);

#endif
