/* config.h: reads overtime.ini into a struct config, or says everything that is wrong with it.
 *
 * It reads files, the environment (for ${NAME} and PATH), the user and group data bases, and looks
 * whether named programs and folders exist. It logs nothing, keeps nothing global and changes
 * nothing: whoever loads a configuration decides what to do with it. Called by main and by the
 * reload.
 */
#ifndef FPM_CONFIG_H
#define FPM_CONFIG_H

#include "fpm/config/config_report.h"
#include "fpm/config/directive.h"
#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Files that may stand open in one another by include. */
#define CONFIG_INCLUDE_DEPTH_MAX 8

/* Variables of the workers that the manager alone sets: the clients let in, and the library's slot.
 */
#define CONFIG_ENV_CLIENTS  "FCGI_WEB_SERVER_ADDRS"
#define CONFIG_ENV_CONTRACT OT_CONTRACT_ENV

enum config_flag {
    CONFIG_ALLOW_ROOT = 1 /* pools may run as root */
};

struct config {
    struct config_global global;
    struct config_pool *pools; /* in the order of the files */
    size_t pool_count;
    char *file;                    /* absolute path of the main file */
    struct value_parse_list files; /* all files read, in order; the origins point here */
    unsigned holders;              /* who shall still call config_free */
};

/* Returns the configuration, or NULL if the report holds an error. `flags`: enum config_flag. The
 * report is added to and is the caller's to free, also on success (warnings). */
struct config *config_load(const char *path, unsigned flags, struct config_report *report);

/* One more holder, who calls config_free as well. Returns `config`. */
struct config *config_keep(struct config *config);

/* Forgets, and frees with the last holder. A pointer to NULL is fine. */
void config_free(struct config **config);

/* Writes every directive with its value and origin, as a file that config_load reads to the same
 * values. Returns 0, or -1 with errno if writing fails. */
int config_dump(const struct config *config, FILE *out);

/* The same of one pool alone. */
int config_dump_pool(const struct config_pool *pool, FILE *out);

/* The same as a JSON object in one line; with a name that pool alone. */
int config_json(const struct config *config, const char *pool, FILE *out);

#endif
