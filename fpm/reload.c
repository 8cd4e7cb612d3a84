/* reload.c: see reload.h. */
#include "fpm/reload.h"

#include "fpm/field.h"
#include "fpm/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t reload_slots(const struct conf_pool *pool)
{
    return (size_t)(pool->pm_max_children + pool->post_response_max_children);
}

/* What `user`, `group` and a program's name come to may change without a word in the file. */
static const char *reload_resolved(const struct conf_pool *was, const struct conf_pool *wanted)
{
    const struct conf_identity *a = &was->identity, *b = &wanted->identity;
    if (a->change != b->change || (a->change && a->uid != b->uid))
        return "user";
    if (a->change && a->gid != b->gid)
        return "group";
    return strcmp(was->program, wanted->program) != 0 ? "command" : NULL;
}

static enum reload_deed reload_row(const struct directive *row)
{
    return row->reload == DIRECTIVE_LIVE ? RELOAD_APPLY : RELOAD_REPLACE;
}

/* A pool that goes on under its name. */
static void reload_compare(struct reload_step *step, const struct reload_was *before)
{
    const struct conf_pool *wanted = step->wanted, *was = before->settings;
    for (size_t i = 0; i < DIRECTIVE_POOL_COUNT; i++) {
        const struct directive *row = &directive_pool[i];
        if (field_equal(row, was, wanted))
            continue;
        enum reload_deed deed = reload_row(row);
        if (i == DIRECTIVE_POOL_listen || reload_slots(wanted) > before->slots)
            deed = RELOAD_REPLACE;
        if (deed > step->deed) {
            step->deed = deed;
            step->because = row->name;
        }
    }
    const char *resolved = reload_resolved(was, wanted);
    if (resolved != NULL && step->deed < RELOAD_REPLACE) {
        step->deed = RELOAD_REPLACE;
        step->because = resolved;
    }
}

static bool reload_same_socket(const struct conf_pool *a, const struct conf_pool *b)
{
    return field_equal(&directive_pool[DIRECTIVE_POOL_listen], a, b);
}

static void reload_step(struct reload_step *step, const struct reload_was *was, size_t count,
                        const char *all)
{
    step->before = step->socket = RELOAD_NONE;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(was[i].settings->name, step->wanted->name) == 0)
            step->before = i;
        if (reload_same_socket(was[i].settings, step->wanted))
            step->socket = i;
    }
    step->deed = RELOAD_ADD;
    if (step->before == RELOAD_NONE)
        return;
    step->deed = RELOAD_KEEP;
    reload_compare(step, &was[step->before]);
    if (all != NULL && (*all == '\0' || strcmp(all, step->wanted->name) == 0))
        step->deed = RELOAD_REPLACE;
}

/* A sentence on a directive of [global] that cannot change now. */
static int reload_later(struct conf_list *later, const struct directive *row,
                        const struct conf_global *was, const struct conf_global *wanted)
{
    char *old = field_text(row, was), *new = field_text(row, wanted), *sentence = NULL;
    int result = -1;
    if (asprintf(&sentence,
                 "`%s` was %s and is %s in the file: it stays as it was until the manager is "
                 "started anew",
                 row->name, old != NULL ? old : "not set", new != NULL ? new : "not set") >= 0) {
        result = value_list_add(later, sentence);
        free(sentence);
    }
    free(old);
    free(new);
    return result;
}

int reload_plan(const struct conf_global *global, const struct reload_was *was, size_t was_count,
                const struct conf *wanted, const char *all, struct reload_plan *plan)
{
    *plan = (struct reload_plan){.count = wanted->pool_count};
    plan->steps = calloc(wanted->pool_count, sizeof *plan->steps);
    if (plan->steps == NULL)
        return -1;
    for (size_t i = 0; i < wanted->pool_count; i++) {
        plan->steps[i].wanted = &wanted->pools[i];
        reload_step(&plan->steps[i], was, was_count, all);
    }
    for (size_t i = 0; i < DIRECTIVE_GLOBAL_COUNT; i++) {
        const struct directive *row = &directive_global[i];
        if (row->reload == DIRECTIVE_RESTART && !field_equal(row, global, &wanted->global) &&
            reload_later(&plan->later, row, global, &wanted->global) != 0) {
            reload_plan_free(plan);
            return -1;
        }
    }
    return 0;
}

void reload_plan_free(struct reload_plan *plan)
{
    free(plan->steps);
    value_list_free(&plan->later);
    *plan = (struct reload_plan){0};
}
