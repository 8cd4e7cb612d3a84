/* test_directive.c: the table of directives: complete rows, valid defaults, names that are found.
 */
#include "fpm/config/directive.h"

#include "fpm/config/directive_value.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct side {
    const struct directive *table;
    size_t count;
    size_t size; /* of the struct */
};

static const struct side sides[] = {
    {directive_global, DIRECTIVE_GLOBAL_COUNT, sizeof(struct config_global)},
    {directive_pool, DIRECTIVE_POOL_COUNT, sizeof(struct config_pool)},
};

Test(directive, every_row_is_complete)
{
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < sides[s].count; i++) {
            const struct directive *row = &sides[s].table[i];
            cr_assert(row->name != NULL && *row->name != '\0');
            cr_expect(row->help != NULL && row->help[strlen(row->help) - 1] == '.', "%s",
                      row->name);
            cr_expect(row->required || row->by_default != NULL || row->unset != NULL,
                      "%s: what does it mean when it is not given?", row->name);
            cr_expect(row->required || row->by_default != NULL || row->example != NULL ||
                          row->sample != NULL,
                      "%s: nothing for the sample", row->name);
            cr_expect((row->type == DIRECTIVE_CHOICE) == (row->choices != NULL), "%s", row->name);
            cr_expect(row->type != DIRECTIVE_NUMBER || (row->max > row->min && row->unit != NULL),
                      "%s", row->name);
            cr_expect(row->type != DIRECTIVE_TIME || row->max > row->min, "%s", row->name);
        }
        cr_assert_not_null(sides[s].table[0].heading);
    }
}

Test(directive, names_are_unique_and_found)
{
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < sides[s].count; i++) {
            const struct directive *row = &sides[s].table[i];
            cr_expect_eq(directive_find(sides[s].table, sides[s].count, row->name), row, "%s",
                         row->name);
        }
    }
}

/* Each row accepts its default and the value in the samples. */
Test(directive, defaults_and_examples_are_valid)
{
    const struct value_parse_source source = {.pool = "www", .variable = NULL};
    char error[512];
    for (size_t s = 0; s < 2; s++) {
        char *owner = calloc(1, sides[s].size);
        cr_assert_not_null(owner);
        for (size_t i = 0; i < sides[s].count; i++) {
            const struct directive *row = &sides[s].table[i];
            const char *const values[] = {row->by_default, row->example, row->sample};

            cr_expect_eq(directive_value_init(row, owner), 0, "%s", row->name);
            cr_expect_eq(directive_value_is_set(row, owner),
                         row->by_default != NULL || row->type == DIRECTIVE_BOOL, "%s", row->name);
            for (size_t j = 0; j < 3; j++) {
                /* Folders and accounts of the samples need not exist here. */
                bool local = row->type == DIRECTIVE_FOLDER || row->type == DIRECTIVE_USER ||
                             row->type == DIRECTIVE_GROUP || row->type == DIRECTIVE_MAP;
                char *quoted = values[j] == NULL || local || row->type == DIRECTIVE_WORDS || j > 0
                                   ? NULL
                                   : value_parse_quote_text(values[j]);
                if (values[j] != NULL && !local) {
                    cr_expect_eq(directive_value_set(row, owner,
                                                     quoted != NULL ? quoted : values[j], &source,
                                                     error, sizeof error),
                                 0, "%s = %s: %s", row->name, values[j], error);
                }
                free(quoted);
            }
            directive_value_free(row, owner);
        }
        free(owner);
    }
}

Test(directive, finds_variables_of_any_name)
{
    const struct directive *env = &directive_pool[DIRECTIVE_POOL_env];
    static const char *const other[] = {"env",   "env[",    "env[]", "env]",
                                        "env[A", "envx[A]", "Env[A]"};
    cr_assert_eq(directive_find(directive_pool, DIRECTIVE_POOL_COUNT, "env[HOME]"), env);
    cr_assert_eq(directive_find(directive_pool, DIRECTIVE_POOL_COUNT, "env[A]"), env);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        cr_expect_null(directive_find(directive_pool, DIRECTIVE_POOL_COUNT, other[i]), "%s",
                       other[i]);
    }
}

Test(directive, suggests_the_nearest_name)
{
    static const struct {
        const char *name, *nearest;
    } cases[] = {
        {"pm.max_childern", "pm.max_children"},
        {"pm.max_child", "pm.max_children"},
        {"pm_max_children", "pm.max_children"},
        {"PM.Max_Children", "pm.max_children"},
        {"max_childs", NULL},
        {"listen.allow_clients", "listen.allowed_clients"},
        {"comand", "command"},
        {"umsk", "umask"},
        {"frobnicate", NULL},
        {"", NULL},
        {"x", NULL},
        {"a.name.that.is.far.longer.than.every.name.in.the.whole.table.of.directives", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *nearest =
            directive_nearest(directive_pool, DIRECTIVE_POOL_COUNT, cases[i].name);
        cr_expect((nearest == NULL) == (cases[i].nearest == NULL) &&
                      (nearest == NULL || strcmp(nearest, cases[i].nearest) == 0),
                  "%s: %s", cases[i].name, nearest);
    }
}

Test(directive, says_what_is_accepted)
{
    static const struct {
        size_t row;
        const char *phrase;
    } cases[] = {
        {DIRECTIVE_POOL_pm_max_children, "a whole number from 1 to 65536"},
        {DIRECTIVE_POOL_pm_max_requests, "a whole number, 0 or more"},
        {DIRECTIVE_POOL_max_execution_time,
         "a number of seconds, or one with ms, s, m, h or d, from 0 to 365d"},
        {DIRECTIVE_POOL_limit_params_size,
         "a number of bytes, or one with K, M or G, from 4K to 1G"},
        {DIRECTIVE_POOL_bailout, "auto, unwind, exit, none"},
        {DIRECTIVE_POOL_clear_env, "yes or no"},
    };
    char out[256], narrow[8];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        directive_accepts(&directive_pool[cases[i].row], out, sizeof out);
        cr_expect_str_eq(out, cases[i].phrase);
        directive_accepts(&directive_pool[cases[i].row], narrow, sizeof narrow);
        cr_expect(strlen(narrow) < sizeof narrow);
    }
    for (size_t i = 0; i < DIRECTIVE_POOL_COUNT; i++) {
        out[0] = '\0';
        directive_accepts(&directive_pool[i], out, sizeof out);
        cr_expect(*out != '\0', "%s", directive_pool[i].name);
        cr_expect(strlen(out) < sizeof out - 1, "%s", directive_pool[i].name);
    }
}
