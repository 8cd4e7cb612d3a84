/* launch_spec.c: see launch_spec.h. */
#include "fpm/worker/launch_spec.h"

#include "fpm/util/account.h"
#include "fpm/worker/helper_process.h"
#include "fpm/worker/process_limits.h"
#include "sapi-shim/contract.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A growing, NULL-terminated list of NAME=VALUE in which a later value replaces an earlier one. */
struct launch_spec_variables {
    char **items;
    size_t count;
    bool failed; /* out of memory */
};

static void launch_spec_put(struct launch_spec_variables *variables, const char *name,
                            const char *value)
{
    size_t length = strlen(name);
    char *text = NULL;
    if (variables->failed || asprintf(&text, "%s=%s", name, value) < 0) {
        variables->failed = true;
        return;
    }
    for (size_t i = 0; i < variables->count; i++) {
        if (strncmp(variables->items[i], text, length + 1) == 0) {
            free(variables->items[i]);
            variables->items[i] = text;
            return;
        }
    }
    char **grown = reallocarray(variables->items, variables->count + 2, sizeof *grown);
    if (grown == NULL) {
        free(text);
        variables->failed = true;
        return;
    }
    variables->items = grown;
    grown[variables->count++] = text;
    grown[variables->count] = NULL;
}

/* The manager's environment, without what is meant for itself and what it sets for workers. */
static void launch_spec_put_inherited(struct launch_spec_variables *variables)
{
    static const char *const own[] = {"NOTIFY_SOCKET",    "WATCHDOG_PID",      "WATCHDOG_USEC",
                                      "LISTEN_PID",       "LISTEN_FDS",        "LISTEN_FDNAMES",
                                      CONFIG_ENV_CLIENTS, CONFIG_ENV_NETWORKS, CONFIG_ENV_CONTRACT};
    for (char **item = environ; item != NULL && *item != NULL; item++) {
        char *equals = strchr(*item, '=');
        if (equals == NULL)
            continue;
        char *name = strndup(*item, (size_t)(equals - *item));
        bool skip = name == NULL;
        for (size_t i = 0; !skip && i < sizeof own / sizeof *own; i++)
            skip = strcmp(name, own[i]) == 0;
        if (!skip)
            launch_spec_put(variables, name, equals + 1);
        free(name);
    }
}

/* Our library refuses other clients, and libfcgi looks at their addresses, too. It would refuse the
 * clients of a network, whose notation it does not know: from other programs than ours the kernel
 * alone keeps them away (socket_allow). */
static void launch_spec_put_clients(struct launch_spec_variables *variables,
                                    const struct value_parse_list *clients)
{
    size_t length = 1;
    const char *name = CONFIG_ENV_CLIENTS;
    for (size_t i = 0; i < clients->count; i++)
        if (strchr(clients->items[i], '/') != NULL)
            name = CONFIG_ENV_NETWORKS;
    for (size_t i = 0; i < clients->count; i++)
        length += strlen(clients->items[i]) + 1;
    char *text = calloc(1, length);
    if (text == NULL) {
        variables->failed = true;
        return;
    }
    char *end = text;
    for (size_t i = 0; i < clients->count; i++) {
        if (i > 0)
            *end++ = ',';
        end = stpcpy(end, clients->items[i]);
    }
    launch_spec_put(variables, name, text);
    free(text);
}

/* The account's home and name, as programs expect to find their own. */
static void launch_spec_put_account(struct launch_spec_variables *variables,
                                    const struct config_identity *identity)
{
    if (!identity->change || identity->name == NULL)
        return;
    const struct passwd *account = getpwnam(identity->name);
    if (account == NULL)
        return;
    launch_spec_put(variables, "USER", account->pw_name);
    launch_spec_put(variables, "HOME", account->pw_dir);
}

/* The contract's entry is a copy made by launch_spec_set_slot; the placeholder keeps its place. */
static int launch_spec_environment(struct launch_spec *spec, const struct config_pool *pool)
{
    struct launch_spec_variables variables = {0};
    launch_spec_put(&variables, OT_CONTRACT_ENV, "");
    if (!pool->clear_env)
        launch_spec_put_inherited(&variables);
    else
        launch_spec_put(&variables, "PATH", HELPER_PROCESS_PATH);
    launch_spec_put_account(&variables, &pool->identity);
    for (size_t i = 0; i < pool->env.count; i++)
        launch_spec_put(&variables, pool->env.items[i].name, pool->env.items[i].value);
    if (pool->listen_allowed_clients.count > 0)
        launch_spec_put_clients(&variables, &pool->listen_allowed_clients);
    spec->environment = variables.items;
    if (variables.failed)
        return -1;
    free(spec->environment[0]);
    spec->environment[0] = spec->contract;
    return 0;
}

static int launch_spec_groups(struct launch_spec *spec, const struct config_identity *identity)
{
    spec->groups = account_groups(identity->name, identity->gid, &spec->launch.group_count);
    spec->launch.groups = spec->groups;
    return spec->groups != NULL ? 0 : -1;
}

static struct launch_limit launch_spec_limit(int64_t value)
{
    if (value < 0)
        return (struct launch_limit){.set = false};
    rlim_t number = value == INT64_MAX ? RLIM_INFINITY : (rlim_t)value;
    return (struct launch_limit){.set = true, .value = {.rlim_cur = number, .rlim_max = number}};
}

int launch_spec_build(struct launch_spec *spec, const struct config_pool *pool, char *error,
                      size_t size)
{
    *spec = (struct launch_spec){0};
    bool scored = pool->oom_score_adj != DIRECTIVE_UNSET;
    if (scored)
        snprintf(spec->oom, sizeof spec->oom, "%d", (int)pool->oom_score_adj);
    /* The manager may have raised its own limit of open files, for which old programs that loop
     * over all descriptors are not made. */
    struct launch_limit files = {.set = true, .value = process_limits_worker_files()};
    if (pool->rlimit_files >= 0)
        files = launch_spec_limit(pool->rlimit_files);
    spec->launch = (struct launch_arguments){
        .program = pool->program,
        .argv = pool->command.argv,
        .listen_fd = -1,
        .board_fd = -1,
        .slot_fd = -1,
        .doorbell_fd = -1,
        .conn_handoff_in = -1,
        .conn_handoff_out = -1,
        .access_log_fd = -1,
        .messages_fd = -1,
        .output_fd = -1,
        .error_fd = -1,
        .chroot = pool->chroot,
        .chdir = pool->chdir,
        .umask = pool->umask,
        .files = files,
        .core = launch_spec_limit(pool->rlimit_core),
        .address_space = launch_spec_limit(pool->rlimit_as),
        .priority = {pool->process_priority != DIRECTIVE_UNSET, (int)pool->process_priority},
        .oom_score_adj = scored ? spec->oom : NULL,
        .change_identity = pool->identity.change,
        .user = pool->identity.name,
        .uid = pool->identity.uid,
        .gid = pool->identity.gid,
        .no_new_privs = pool->no_new_privs,
    };
    if (launch_spec_environment(spec, pool) != 0 ||
        (pool->identity.change && launch_spec_groups(spec, &pool->identity) != 0)) {
        snprintf(error, size, "cannot prepare the workers: out of memory, or too many groups");
        launch_spec_free(spec);
        return -1;
    }
    spec->launch.envp = spec->environment;
    return 0;
}

void launch_spec_free(struct launch_spec *spec)
{
    for (char **item = spec->environment; item != NULL && *item != NULL; item++)
        if (*item != spec->contract)
            free(*item);
    free(spec->environment);
    free(spec->groups);
    *spec = (struct launch_spec){0};
}

void launch_spec_set_slot(struct launch_spec *spec, unsigned slot)
{
    snprintf(spec->contract, sizeof spec->contract, "%s=%u %u", OT_CONTRACT_ENV,
             OT_CONTRACT_VERSION, slot);
}
