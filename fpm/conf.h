/* conf.h: reads overtime.ini into a struct conf, or says everything that is wrong with it.
 *
 * It reads files, the environment (for ${NAME} and PATH), the user and group data bases, and looks
 * whether named programs and folders exist. It logs nothing, keeps nothing global and changes
 * nothing: whoever loads a configuration decides what to do with it. Called by main and by the
 * reload.
 */
#ifndef CONF_H
#define CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "fpm/conf_report.h"
#include "fpm/directive.h"
#include "sapi-shim/contract.h"

/* Files that may stand open in one another by include. */
#define CONF_INCLUDE_DEPTH_MAX 8

/* Variables of the workers that the manager alone sets: the clients let in, and the library's slot.
 */
#define CONF_ENV_CLIENTS "FCGI_WEB_SERVER_ADDRS"
#define CONF_ENV_TREATY  OT_TREATY_ENV

enum conf_flag {
    CONF_ALLOW_ROOT = 1 /* pools may run as root */
};

struct conf {
    struct conf_global global;
    struct conf_pool *pools; /* in the order of the files */
    size_t pool_count;
    char *file;             /* absolute path of the main file */
    struct conf_list files; /* all files read, in order; the origins point here */
    unsigned holders;       /* who shall still call conf_free */
};

/* Returns the configuration, or NULL if the report holds an error. `flags`: enum conf_flag. The
 * report is added to and is the caller's to free, also on success (warnings). */
struct conf *conf_load(const char *path, unsigned flags, struct conf_report *report);

/* One more holder, who calls conf_free as well. Returns `conf`. */
struct conf *conf_keep(struct conf *conf);

/* Forgets, and frees with the last holder. A pointer to NULL is fine. */
void conf_free(struct conf **conf);

/* Writes every directive with its value and origin, as a file that conf_load reads to the same
 * values. Returns 0, or -1 with errno if writing fails. */
int conf_dump(const struct conf *conf, FILE *out);

/* The same of one pool alone. */
int conf_dump_pool(const struct conf_pool *pool, FILE *out);

/* The same as a JSON object in one line; with a name that pool alone. */
int conf_json(const struct conf *conf, const char *pool, FILE *out);

#endif
