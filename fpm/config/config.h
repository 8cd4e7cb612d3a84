/* config.h: reads overtime.ini into a struct config, or reports every error in it.
 *
 * It reads files, the environment (for ${NAME} and PATH) and the user and group data bases, and
 * checks that named programs and folders exist. It logs nothing, keeps no state from one reading to
 * the next and changes nothing outside.
 */
#ifndef FPM_CONFIG_H
#define FPM_CONFIG_H

#include "fpm/config/config_report.h"
#include "fpm/config/directive.h"
#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* How deep `include` may nest, the main file counted. */
#define CONFIG_INCLUDE_DEPTH_MAX 8

/* Variables of the workers that only the manager sets: the allowed clients, the library's slot. */
#define CONFIG_ENV_CLIENTS  "FCGI_WEB_SERVER_ADDRS"
#define CONFIG_ENV_CONTRACT OT_CONTRACT_ENV
#define CONFIG_ENV_NETWORKS OT_CLIENTS_ENV

enum config_flag {
    CONFIG_ALLOW_ROOT = 1 /* pools may run as root */
};

struct config {
    struct config_global global;
    struct config_pool *pools; /* in the order of the files */
    size_t pool_count;
    char *file;                    /* absolute path of the main file */
    struct value_parse_list files; /* all files read, in order; the origins point here */
    unsigned holders;              /* calls of config_free until it is freed */
};

/* Returns the configuration, or NULL if the report has an error. `flags`: enum config_flag. Adds to
 * the report, which the caller frees, also after success (warnings). */
struct config *config_load(const char *path, unsigned flags, struct config_report *report);

/* Adds a holder, which calls config_free as well. Returns `config`. */
struct config *config_keep(struct config *config);

/* Sets *config to NULL; the last holder's call frees. *config may be NULL. */
void config_free(struct config **config);

/* Writes every directive with its value and origin, as a file that config_load reads to the same
 * values. Returns 0, or -1 with errno if writing fails. */
int config_dump(const struct config *config, FILE *out);

/* The same for one pool. */
int config_dump_pool(const struct config_pool *pool, FILE *out);

/* The same as a JSON object in one line; with `pool` only that pool. */
int config_json(const struct config *config, const char *pool, FILE *out);

#endif
