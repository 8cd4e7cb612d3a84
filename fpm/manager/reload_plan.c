/* reload_plan.c: see reload_plan.h. */
#include "fpm/manager/reload_plan.h"

#include "fpm/config/address_place.h"
#include "fpm/config/directive_value.h"
#include "fpm/config/value_parse.h"
#include "fpm/util/hash_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ids behind `user` and `group` and the path of a program may change while the file stays. */
static const char *reload_plan_resolved(const struct config_pool *was,
                                        const struct config_pool *wanted)
{
    const struct config_identity *a = &was->identity, *b = &wanted->identity;
    if (a->change != b->change || (a->change && a->uid != b->uid))
        return "user";
    if (a->change && a->gid != b->gid)
        return "group";
    return strcmp(was->program, wanted->program) != 0 ? "command" : NULL;
}

/* A pool whose name was there before. */
static void reload_plan_compare(struct reload_plan_step *step, const struct reload_plan_was *before)
{
    const struct config_pool *wanted = step->wanted, *was = before->settings;
    size_t slots = (size_t)(wanted->pm_max_children + wanted->post_response_max_children);
    for (size_t i = 0; i < DIRECTIVE_POOL_COUNT; i++) {
        const struct directive *row = &directive_pool[i];
        if (directive_value_equal(row, was, wanted))
            continue;
        bool live =
            row->reload == DIRECTIVE_LIVE && i != DIRECTIVE_POOL_listen && slots <= before->slots;
        enum reload_plan_action action = live ? RELOAD_PLAN_APPLY : RELOAD_PLAN_REPLACE;
        if (action > step->action) {
            step->action = action;
            step->changed = row->name;
        }
    }
    const char *resolved = reload_plan_resolved(was, wanted);
    if (resolved != NULL && step->action < RELOAD_PLAN_REPLACE) {
        step->action = RELOAD_PLAN_REPLACE;
        step->changed = resolved;
    }
}

static void reload_plan_step(struct reload_plan_step *step, const struct reload_plan_was *was,
                             const struct hash_index *names, const struct hash_index *addresses,
                             const char *all)
{
    const struct hash_index_entry *found;
    step->before = step->socket = RELOAD_PLAN_NONE;
    size_t count = hash_index_find(names, hash_index_text(step->wanted->name), &found);
    for (size_t i = 0; i < count; i++)
        if (strcmp(was[found[i].number].settings->name, step->wanted->name) == 0)
            step->before = found[i].number;
    count = hash_index_find(addresses, address_place_hash(&step->wanted->listen), &found);
    for (size_t i = 0; i < count; i++)
        if (address_place_same(&was[found[i].number].settings->listen, &step->wanted->listen))
            step->socket = found[i].number;
    step->action = RELOAD_PLAN_ADD;
    if (step->before == RELOAD_PLAN_NONE)
        return;
    step->action = RELOAD_PLAN_KEEP;
    reload_plan_compare(step, &was[step->before]);
    if (step->socket == step->before && was[step->before].socket_lost) {
        step->socket = RELOAD_PLAN_NONE;
        step->action = RELOAD_PLAN_REPLACE;
        step->lost = true;
    }
    if (all != NULL && (*all == '\0' || strcmp(all, step->wanted->name) == 0))
        step->action = RELOAD_PLAN_REPLACE;
}

/* Adds a sentence on a directive of [global] that cannot change now. */
static int reload_plan_later(struct value_parse_list *later, const struct directive *row,
                             const struct config_global *was, const struct config_global *wanted)
{
    char *old = directive_value_text(row, was), *new = directive_value_text(row, wanted),
         *sentence = NULL;
    int result = -1;
    if (asprintf(&sentence,
                 "`%s` was %s and is %s in the file: it stays as it was until the manager is "
                 "restarted",
                 row->name, old != NULL ? old : "not set", new != NULL ? new : "not set") >= 0) {
        result = value_parse_list_add(later, sentence);
        free(sentence);
    }
    free(old);
    free(new);
    return result;
}

int reload_plan_make(const struct config_global *global, const struct reload_plan_was *was,
                     size_t was_count, const struct config *wanted, const char *all,
                     struct reload_plan *plan)
{
    *plan = (struct reload_plan){.count = wanted->pool_count};
    plan->steps = calloc(wanted->pool_count, sizeof *plan->steps);
    struct hash_index names = {0}, addresses = {0};
    if (plan->steps == NULL || hash_index_open(&names, was_count) != 0 ||
        hash_index_open(&addresses, was_count) != 0) {
        hash_index_close(&names);
        reload_plan_free(plan);
        return -1;
    }
    for (size_t i = 0; i < was_count; i++) {
        hash_index_add(&names, hash_index_text(was[i].settings->name), i);
        hash_index_add(&addresses, address_place_hash(&was[i].settings->listen), i);
    }
    hash_index_sort(&names);
    hash_index_sort(&addresses);
    for (size_t i = 0; i < wanted->pool_count; i++) {
        plan->steps[i].wanted = &wanted->pools[i];
        reload_plan_step(&plan->steps[i], was, &names, &addresses, all);
    }
    hash_index_close(&names);
    hash_index_close(&addresses);
    for (size_t i = 0; i < DIRECTIVE_GLOBAL_COUNT; i++) {
        const struct directive *row = &directive_global[i];
        if (row->reload == DIRECTIVE_RESTART &&
            !directive_value_equal(row, global, &wanted->global) &&
            reload_plan_later(&plan->later, row, global, &wanted->global) != 0) {
            reload_plan_free(plan);
            return -1;
        }
    }
    return 0;
}

void reload_plan_free(struct reload_plan *plan)
{
    free(plan->steps);
    value_parse_list_free(&plan->later);
    *plan = (struct reload_plan){0};
}
