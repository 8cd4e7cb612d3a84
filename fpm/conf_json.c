/* conf_json.c: a configuration as JSON, each value with its origin.
 *
 * It decides the layout of what `overtimectl --json config` prints. Declared in conf.h.
 */
#include "fpm/conf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fpm/field.h"
#include "fpm/text.h"

static void json_origin(FILE *out, const struct conf_origin *origin)
{
    if (origin->file == NULL) {
        (void)fputs(", \"file\": null, \"line\": null}", out);
        return;
    }
    (void)fputs(", \"file\": ", out);
    text_json(out, origin->file);
    (void)fprintf(out, ", \"line\": %u}", origin->line);
}

static void json_list(FILE *out, char *const *items, size_t count)
{
    (void)fputc('[', out);
    for (size_t i = 0; i < count; i++) {
        (void)fputs(i > 0 ? ", " : "", out);
        text_json(out, items[i]);
    }
    (void)fputc(']', out);
}

static void json_map(FILE *out, const struct conf_map *map)
{
    (void)fputc('{', out);
    for (size_t i = 0; i < map->count; i++) {
        (void)fputs(i > 0 ? ", " : "", out);
        text_json(out, map->items[i].name);
        (void)fputs(": {\"value\": ", out);
        text_json(out, map->items[i].value);
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
    const struct conf_list *list = field;
    const struct conf_words *words = field;
    char *text;

    if (row->type == DIRECTIVE_MAP) {
        json_map(out, field);
    } else if (row->type == DIRECTIVE_LIST || row->type == DIRECTIVE_INCLUDE ||
               (row->type == DIRECTIVE_NETWORKS && field_is_set(row, owner))) {
        json_list(out, list->items, list->count);
    } else if (!field_is_set(row, owner)) {
        (void)fputs("null", out);
    } else if (row->type == DIRECTIVE_WORDS) {
        json_list(out, words->argv, words->argc);
    } else if (row->type == DIRECTIVE_ADDRESS || row->type == DIRECTIVE_SOCKET_PATH) {
        text_json(out, ((const struct conf_address *)field)->text);
    } else if (json_is_text(row)) {
        text_json(out, *(char *const *)field);
    } else {
        text = field_text(row, owner);
        text_json(out, text != NULL ? text : "");
        free(text);
    }
}

static void json_all(FILE *out, const struct directive *table, size_t count, const void *owner,
                     const struct conf_origin *origins)
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

int conf_json(const struct conf *conf, const char *pool, FILE *out)
{
    const char *between = "";

    (void)fputs("{\"file\": ", out);
    text_json(out, conf->file);
    (void)fputs(", \"files\": ", out);
    json_list(out, conf->files.items, conf->files.count);
    if (pool == NULL) {
        (void)fputs(", \"global\": ", out);
        json_all(out, directive_global, DIRECTIVE_GLOBAL_COUNT, &conf->global,
                 conf->global.origins);
    }
    (void)fputs(", \"pools\": [", out);
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct conf_pool *each = &conf->pools[i];
        if (pool != NULL && strcmp(pool, each->name) != 0) {
            continue;
        }
        (void)fprintf(out, "%s{\"pool\": ", between);
        text_json(out, each->name);
        (void)fputs(", \"directives\": ", out);
        json_all(out, directive_pool, DIRECTIVE_POOL_COUNT, each, each->origins);
        json_origin(out, &each->origin);
        between = ", ";
    }
    (void)fputs("]}\n", out);
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}
