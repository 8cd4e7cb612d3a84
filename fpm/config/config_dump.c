/* config_dump.c: a configuration as a file again, each value with its origin.
 *
 * It decides the layout of what `overtime -tt` prints: a file that config_load reads to the same
 * values. Declared in config.h.
 */
#include "fpm/config/config.h"
#include "fpm/config/directive_value.h"

#include <stdlib.h>
#include <string.h>

/* Where the origins stand, unless a value is longer. */
#define DUMP_COLUMN 48

static void dump_line(FILE *out, const char *name, const char *value,
                      const struct directive_origin *origin)
{
    int length = fprintf(out, "%s = %s", name, value);
    int pad = length > 0 && length < DUMP_COLUMN ? DUMP_COLUMN - length : 1;
    if (origin->file == NULL)
        (void)fprintf(out, "%*s; default\n", pad, "");
    else
        (void)fprintf(out, "%*s; %s:%u\n", pad, "", origin->file, origin->line);
}

static void dump_repeated(FILE *out, const struct directive *row, const void *field,
                          const struct directive_origin *origin)
{
    if (row->type == DIRECTIVE_INCLUDE) {
        const struct value_parse_list *list = field;
        for (size_t i = 0; i < list->count; i++)
            (void)fprintf(out, "; include = %s, done below\n", list->items[i]);
        return;
    }
    if (row->type == DIRECTIVE_LIST) {
        const struct value_parse_list *list = field;
        for (size_t i = 0; i < list->count; i++) {
            char *text = value_parse_quote_text(list->items[i]);
            dump_line(out, row->name, text != NULL ? text : "", origin);
            free(text);
        }
        return;
    }
    const struct directive_map *map = field;
    int stem = (int)strcspn(row->name, "[");
    for (size_t i = 0; i < map->count; i++) {
        const struct directive_pair *pair = &map->items[i];
        char *text = value_parse_quote_text(pair->value), *name = NULL;
        if (asprintf(&name, "%.*s[%s]", stem, row->name, pair->name) >= 0) {
            dump_line(out, name, text != NULL ? text : "", &pair->origin);
            free(name);
        }
        free(text);
    }
}

static void dump_all(FILE *out, const struct directive *table, size_t count, const void *owner,
                     const struct directive_origin *origins)
{
    for (size_t i = 0; i < count; i++) {
        const struct directive *row = &table[i];
        char *text = directive_value_text(row, owner);

        if (!directive_value_is_set(row, owner)) {
            (void)fprintf(out, "; %s: %s (default)\n", row->name,
                          row->unset != NULL ? row->unset : "unset");
        } else if (directive_repeats(row)) {
            dump_repeated(out, row, (const char *)owner + row->offset, &origins[i]);
        } else if (text != NULL) {
            dump_line(out, row->name, text, &origins[i]);
        }
        free(text);
    }
}

int config_dump_pool(const struct config_pool *pool, FILE *out)
{
    int used = 2 + (int)strlen(pool->name);
    (void)fprintf(out, "[%s]%*s; %s:%u\n", pool->name, DUMP_COLUMN > used ? DUMP_COLUMN - used : 1,
                  "", pool->origin.file, pool->origin.line);
    dump_all(out, directive_pool, DIRECTIVE_POOL_COUNT, pool, pool->origins);
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

int config_dump(const struct config *config, FILE *out)
{
    (void)fprintf(out, "[global]\n");
    dump_all(out, directive_global, DIRECTIVE_GLOBAL_COUNT, &config->global,
             config->global.origins);
    for (size_t i = 0; i < config->pool_count; i++) {
        (void)fputc('\n', out);
        (void)config_dump_pool(&config->pools[i], out);
    }
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}
