/* config_json.c: a configuration as JSON, each value with its origin.
 *
 * It decides the layout of what `overtimectl --json config` prints. Declared in config.h.
 */
#include "fpm/config/config.h"
#include "fpm/config/directive_value.h"
#include "sapi-shim/util/escape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void json_origin(FILE *out, const struct directive_origin *origin)
{
    if (origin->file == NULL) {
        (void)fputs(", \"file\": null, \"line\": null}", out);
        return;
    }
    (void)fputs(", \"file\": ", out);
    escape_json(out, origin->file);
    (void)fprintf(out, ", \"line\": %u}", origin->line);
}

static void json_list(FILE *out, char *const *items, size_t count)
{
    (void)fputc('[', out);
    for (size_t i = 0; i < count; i++) {
        (void)fputs(i > 0 ? ", " : "", out);
        escape_json(out, items[i]);
    }
    (void)fputc(']', out);
}

static void json_map(FILE *out, const struct directive_map *map)
{
    (void)fputc('{', out);
    for (size_t i = 0; i < map->count; i++) {
        (void)fputs(i > 0 ? ", " : "", out);
        escape_json(out, map->items[i].name);
        (void)fputs(": {\"value\": ", out);
        escape_json(out, map->items[i].value);
        json_origin(out, &map->items[i].origin);
    }
    (void)fputc('}', out);
}

static bool json_is_text(const struct directive *row)
{
    return row->type == DIRECTIVE_TEXT || row->type == DIRECTIVE_PATH ||
           row->type == DIRECTIVE_FOLDER || row->type == DIRECTIVE_URI ||
           row->type == DIRECTIVE_USER || row->type == DIRECTIVE_GROUP;
}

/* The value without the quotes that a file may need. Numbers stay as one would write them, with
 * their unit. */
static void json_value(FILE *out, const struct directive *row, const void *owner)
{
    const void *field = (const char *)owner + row->offset;
    const struct value_parse_list *list = field;
    const struct value_parse_words *words = field;
    char *text;
    if (row->type == DIRECTIVE_MAP) {
        json_map(out, field);
    } else if (row->type == DIRECTIVE_LIST || row->type == DIRECTIVE_INCLUDE ||
               (row->type == DIRECTIVE_NETWORKS && directive_value_is_set(row, owner))) {
        json_list(out, list->items, list->count);
    } else if (!directive_value_is_set(row, owner)) {
        (void)fputs("null", out);
    } else if (row->type == DIRECTIVE_WORDS) {
        json_list(out, words->argv, words->argc);
    } else if (row->type == DIRECTIVE_ADDRESS || row->type == DIRECTIVE_SOCKET_PATH) {
        escape_json(out, ((const struct value_parse_address *)field)->text);
    } else if (json_is_text(row)) {
        escape_json(out, *(char *const *)field);
    } else {
        text = directive_value_text(row, owner);
        escape_json(out, text != NULL ? text : "");
        free(text);
    }
}

static void json_all(FILE *out, const struct directive *table, size_t count, const void *owner,
                     const struct directive_origin *origins)
{
    const char *between = "";
    (void)fputc('{', out);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(out, "%s\"%.*s\": {\"value\": ", between, (int)strcspn(table[i].name, "["),
                      table[i].name);
        json_value(out, &table[i], owner);
        json_origin(out, &origins[i]);
        between = ", ";
    }
    (void)fputc('}', out);
}

int config_json(const struct config *config, const char *pool, FILE *out)
{
    const char *between = "";
    (void)fputs("{\"file\": ", out);
    escape_json(out, config->file);
    (void)fputs(", \"files\": ", out);
    json_list(out, config->files.items, config->files.count);
    if (pool == NULL) {
        (void)fputs(", \"global\": ", out);
        json_all(out, directive_global, DIRECTIVE_GLOBAL_COUNT, &config->global,
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
        json_all(out, directive_pool, DIRECTIVE_POOL_COUNT, each, each->origins);
        json_origin(out, &each->origin);
        between = ", ";
    }
    (void)fputs("]}\n", out);
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}
