/* config_dump.c: writes a configuration, each value with its origin. Declared in config.h.
 *
 * It decides two layouts: the file that `overtime -tt` prints, which config_load reads to the same
 * values, and the JSON of `overtimectl --json config`.
 */
#include "fpm/config/config.h"
#include "fpm/config/directive_value.h"
#include "sapi-shim/util/escape.h"

#include <stdlib.h>
#include <string.h>

/* The column of the origins, unless a value is longer. */
#define DUMP_COLUMN 48

static int config_dump_end(FILE *out)
{
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

/* ---- as a file ---- */

static void config_dump_line(FILE *out, const char *name, const char *value,
                             const struct directive_origin *origin)
{
    int length = fprintf(out, "%s = %s", name, value != NULL ? value : "");
    int pad = length > 0 && length < DUMP_COLUMN ? DUMP_COLUMN - length : 1;
    if (origin->file == NULL)
        (void)fprintf(out, "%*s; default\n", pad, "");
    else
        (void)fprintf(out, "%*s; %s:%u\n", pad, "", origin->file, origin->line);
}

/* A directive that repeats has a line for each item. */
static void config_dump_repeated(FILE *out, const struct directive *row, const void *field,
                                 const struct directive_origin *origin)
{
    const struct value_parse_list *list = field;
    const struct directive_map *map = field;
    for (size_t i = 0; row->type == DIRECTIVE_INCLUDE && i < list->count; i++)
        (void)fprintf(out, "; include = %s, done below\n", list->items[i]);
    for (size_t i = 0; row->type == DIRECTIVE_LIST && i < list->count; i++) {
        char *text = value_parse_quote_text(list->items[i]);
        config_dump_line(out, row->name, text, origin);
        free(text);
    }
    for (size_t i = 0; row->type == DIRECTIVE_MAP && i < map->count; i++) {
        const struct directive_pair *pair = &map->items[i];
        char *text = value_parse_quote_text(pair->value), *name = NULL;
        if (asprintf(&name, "%.*s[%s]", (int)strcspn(row->name, "["), row->name, pair->name) >= 0) {
            config_dump_line(out, name, text, &pair->origin);
            free(name);
        }
        free(text);
    }
}

static void config_dump_all(FILE *out, const struct directive *table, size_t count,
                            const void *owner, const struct directive_origin *origins)
{
    for (size_t i = 0; i < count; i++) {
        const struct directive *row = &table[i];
        char *text = directive_value_text(row, owner);
        if (!directive_value_is_set(row, owner))
            (void)fprintf(out, "; %s: %s (default)\n", row->name,
                          row->unset != NULL ? row->unset : "unset");
        else if (directive_repeats(row))
            config_dump_repeated(out, row, (const char *)owner + row->offset, &origins[i]);
        else if (text != NULL)
            config_dump_line(out, row->name, text, &origins[i]);
        free(text);
    }
}

int config_dump_pool(const struct config_pool *pool, FILE *out)
{
    int used = 2 + (int)strlen(pool->name);
    (void)fprintf(out, "[%s]%*s; %s:%u\n", pool->name, DUMP_COLUMN > used ? DUMP_COLUMN - used : 1,
                  "", pool->origin.file, pool->origin.line);
    config_dump_all(out, directive_pool, DIRECTIVE_POOL_COUNT, pool, pool->origins);
    return config_dump_end(out);
}

int config_dump(const struct config *config, FILE *out)
{
    (void)fprintf(out, "[global]\n");
    config_dump_all(out, directive_global, DIRECTIVE_GLOBAL_COUNT, &config->global,
                    config->global.origins);
    for (size_t i = 0; i < config->pool_count; i++) {
        (void)fputc('\n', out);
        (void)config_dump_pool(&config->pools[i], out);
    }
    return config_dump_end(out);
}

/* ---- as JSON ---- */

static void config_dump_json_origin(FILE *out, const struct directive_origin *origin)
{
    if (origin->file == NULL) {
        (void)fputs(", \"file\": null, \"line\": null}", out);
        return;
    }
    (void)fputs(", \"file\": ", out);
    escape_json(out, origin->file);
    (void)fprintf(out, ", \"line\": %u}", origin->line);
}

static void config_dump_json_list(FILE *out, char *const *items, size_t count)
{
    (void)fputc('[', out);
    for (size_t i = 0; i < count; i++) {
        (void)fputs(i > 0 ? ", " : "", out);
        escape_json(out, items[i]);
    }
    (void)fputc(']', out);
}

/* The value without the quotes that a file may need. Numbers stay as in a file, with their unit. */
static void config_dump_json_value(FILE *out, const struct directive *row, const void *owner)
{
    const void *field = (const char *)owner + row->offset;
    const struct value_parse_list *list = field;
    const struct value_parse_words *words = field;
    const struct directive_map *map = field;
    char *text;
    if (!directive_value_is_set(row, owner) && !directive_repeats(row)) {
        (void)fputs("null", out);
        return;
    }
    switch (row->type) {
    case DIRECTIVE_MAP:
        (void)fputc('{', out);
        for (size_t i = 0; i < map->count; i++) {
            (void)fputs(i > 0 ? ", " : "", out);
            escape_json(out, map->items[i].name);
            (void)fputs(": {\"value\": ", out);
            escape_json(out, map->items[i].value);
            config_dump_json_origin(out, &map->items[i].origin);
        }
        (void)fputc('}', out);
        break;
    case DIRECTIVE_LIST:
    case DIRECTIVE_INCLUDE:
    case DIRECTIVE_NETWORKS:
        config_dump_json_list(out, list->items, list->count);
        break;
    case DIRECTIVE_WORDS:
        config_dump_json_list(out, words->argv, words->argc);
        break;
    case DIRECTIVE_ADDRESS:
    case DIRECTIVE_SOCKET_PATH:
        escape_json(out, ((const struct value_parse_address *)field)->text);
        break;
    case DIRECTIVE_TEXT:
    case DIRECTIVE_PATH:
    case DIRECTIVE_FOLDER:
    case DIRECTIVE_URI:
    case DIRECTIVE_USER:
    case DIRECTIVE_GROUP:
        escape_json(out, *(char *const *)field);
        break;
    default:
        text = directive_value_text(row, owner);
        escape_json(out, text != NULL ? text : "");
        free(text);
    }
}

static void config_dump_json_all(FILE *out, const struct directive *table, size_t count,
                                 const void *owner, const struct directive_origin *origins)
{
    (void)fputc('{', out);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(out, "%s\"%.*s\": {\"value\": ", i > 0 ? ", " : "",
                      (int)strcspn(table[i].name, "["), table[i].name);
        config_dump_json_value(out, &table[i], owner);
        config_dump_json_origin(out, &origins[i]);
    }
    (void)fputc('}', out);
}

int config_json(const struct config *config, const char *pool, FILE *out)
{
    const char *between = "";
    (void)fputs("{\"file\": ", out);
    escape_json(out, config->file);
    (void)fputs(", \"files\": ", out);
    config_dump_json_list(out, config->files.items, config->files.count);
    if (pool == NULL) {
        (void)fputs(", \"global\": ", out);
        config_dump_json_all(out, directive_global, DIRECTIVE_GLOBAL_COUNT, &config->global,
                             config->global.origins);
    }
    (void)fputs(", \"pools\": [", out);
    for (size_t i = 0; i < config->pool_count; i++) {
        const struct config_pool *each = &config->pools[i];
        if (pool != NULL && strcmp(pool, each->name) != 0)
            continue;
        (void)fprintf(out, "%s{\"pool\": ", between);
        escape_json(out, each->name);
        (void)fputs(", \"directives\": ", out);
        config_dump_json_all(out, directive_pool, DIRECTIVE_POOL_COUNT, each, each->origins);
        config_dump_json_origin(out, &each->origin);
        between = ", ";
    }
    (void)fputs("]}\n", out);
    return config_dump_end(out);
}
