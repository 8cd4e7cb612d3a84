/* config.c: reads files into a struct config. See config.h; config_dump.c writes one. */
#include "fpm/config/config.h"

#include "fpm/config/config_check.h"
#include "fpm/config/directive_value.h"
#include "fpm/config/ini_lines.h"
#include "fpm/util/account.h"
#include "fpm/util/hash_index.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than anyone writes, so that no file can take the manager's time and memory. */
enum {
    CONFIG_BYTES_MAX = 16 << 20,
    CONFIG_FILES_MAX = 10000,
    CONFIG_POOLS_MAX = 10000,
    CONFIG_NAMES = 32768 /* places for names of pools, a power of two: never half full */
};

/* The section that the next values belong to. */
enum place {
    PLACE_TOP, /* before the first section */
    PLACE_GLOBAL,
    PLACE_POOL,
    PLACE_NOWHERE /* a section that was refused */
};

/* A file that is being read, and those that include it. */
struct source {
    const struct source *includer;
    const char *path; /* lives in config->files */
    dev_t device;
    ino_t inode;
    unsigned depth;
    enum place place;
    size_t pool; /* in PLACE_POOL: the index */
    struct loader *loader;
};

struct loader {
    size_t left; /* bytes that the files may still have */
    struct config *config;
    struct config_report *report;
    struct directive_origin global_origin; /* of [global]; file NULL: not seen */
    uint16_t *names; /* CONFIG_NAMES: 1 + index of the pool whose name has this hash, or one next */
};

static void config_load_file(struct loader *loader, const char *path, const struct source *includer,
                             const struct directive_origin *origin);

static const char *config_variable(const char *name)
{
    return getenv(name);
}

/* ---- allocation ---- */

static int config_init_all(const struct directive *table, size_t count, void *owner)
{
    int result = 0;
    for (size_t i = 0; i < count; i++)
        result |= directive_value_init(&table[i], owner);
    return result;
}

static void config_free_all(const struct directive *table, size_t count, void *owner)
{
    for (size_t i = 0; i < count; i++)
        directive_value_free(&table[i], owner);
}

struct config *config_keep(struct config *config)
{
    config->holders++;
    return config;
}

void config_free(struct config **config)
{
    struct config *c = *config;
    *config = NULL;
    if (c == NULL || --c->holders > 0)
        return;
    for (size_t i = 0; i < c->pool_count; i++) {
        config_free_all(directive_pool, DIRECTIVE_POOL_COUNT, &c->pools[i]);
        free(c->pools[i].name);
        free(c->pools[i].program);
        free(c->pools[i].identity.name);
    }
    free(c->pools);
    config_free_all(directive_global, DIRECTIVE_GLOBAL_COUNT, &c->global);
    value_parse_list_free(&c->files);
    free(c->file);
    free(c);
}

/* A pool with every default; NULL without memory. */
static struct config_pool *config_add_pool(struct config *config, const char *name)
{
    /* Room doubles each time that it is used up: it is a power of two. */
    size_t count = config->pool_count;
    if (config->pools == NULL || (count & (count - 1)) == 0) {
        struct config_pool *grown =
            reallocarray(config->pools, count > 0 ? 2 * count : 1, sizeof *grown);
        if (grown == NULL)
            return NULL;
        config->pools = grown;
    }
    /* Every pool that is counted has a name. */
    char *copy = strdup(name);
    if (copy == NULL)
        return NULL;
    struct config_pool *pool = &config->pools[config->pool_count++];
    *pool = (struct config_pool){.name = copy};
    return config_init_all(directive_pool, DIRECTIVE_POOL_COUNT, pool) == 0 ? pool : NULL;
}

/* ---- sections ---- */

static bool config_is_pool_name(const char *name)
{
    bool begins_well = isalnum((unsigned char)*name) || *name == '_';
    while (isalnum((unsigned char)*name) || (*name != '\0' && strchr("_-.", *name) != NULL))
        name++;
    return begins_well && *name == '\0';
}

/* The place of a pool's name among `names`, or where it belongs. */
static uint16_t *config_name_place(const struct loader *loader, const char *name)
{
    size_t at = hash_index_text(name) % CONFIG_NAMES;
    while (loader->names[at] != 0 &&
           strcmp(loader->config->pools[loader->names[at] - 1].name, name) != 0)
        at = (at + 1) % CONFIG_NAMES;
    return &loader->names[at];
}

static void config_begin_section(struct source *source, const char *name, unsigned line)
{
    struct loader *loader = source->loader;
    struct config *config = loader->config;
    const struct directive_origin origin = {.file = source->path, .line = line}, *first = NULL;
    bool global = strcmp(name, "global") == 0;
    source->place = PLACE_NOWHERE;

    /* A section may appear only once in all files together. */
    if (global && loader->global_origin.file != NULL)
        first = &loader->global_origin;
    uint16_t *place = config_name_place(loader, name);
    if (*place != 0)
        first = &config->pools[*place - 1].origin;
    if (first != NULL) {
        config_report_error(loader->report, &origin,
                            "[%s] stands twice, first at %s:%u; keep one of them", name,
                            first->file, first->line);
        return;
    }
    if (global) {
        loader->global_origin = origin;
        source->place = PLACE_GLOBAL;
        return;
    }

    if (config->pool_count >= CONFIG_POOLS_MAX) {
        config_report_error(loader->report, &origin,
                            "[%s] is one pool more than the %d that are allowed", name,
                            CONFIG_POOLS_MAX);
        return;
    }

    /* A pool with a wrong name is read as well, so that its other errors are reported, too. */
    if (!config_is_pool_name(name))
        config_report_error(
            loader->report, &origin,
            "[%s] cannot be a pool's name: it may have letters, digits, _, - and ., "
            "and begins with a letter, a digit or _",
            name);
    struct config_pool *pool = config_add_pool(config, name);
    if (pool == NULL) {
        config_report_error(loader->report, &origin, "out of memory");
        return;
    }
    pool->origin = origin;
    source->pool = config->pool_count - 1;
    *place = (uint16_t)config->pool_count;
    source->place = PLACE_POOL;
}

/* A pool without a command whose name is nearly that of [global] is a misspelled one. */
static bool config_is_misspelled_global(const struct config_pool *pool)
{
    static const struct directive global = {.name = "global"};
    return pool->origins[DIRECTIVE_POOL_command].file == NULL &&
           (strcasecmp(pool->name, "global") == 0 ||
            directive_nearest(&global, 1, pool->name) != NULL);
}

/* ---- include ---- */

/* A missing folder matches nothing; one that cannot be read is an error. */
static int config_unreadable(const char *path, int error)
{
    return error != ENOENT && error != ENOTDIR;
}

static void config_include(struct source *source, const char *value,
                           const struct directive_origin *origin)
{
    struct loader *loader = source->loader;
    struct config_global *global = &loader->config->global;
    const struct directive *row = &directive_global[DIRECTIVE_GLOBAL_include];
    const struct value_parse_source variables = {.variable = config_variable};
    char error[512], *path;
    if (directive_value_set(row, global, value, &variables, error, sizeof error) != 0) {
        config_report_error(loader->report, origin, "include = %.200s: %s", value, error);
        return;
    }
    if (global->origins[DIRECTIVE_GLOBAL_include].file == NULL)
        global->origins[DIRECTIVE_GLOBAL_include] = *origin;

    /* A relative path starts at the folder of the including file. */
    const char *pattern = global->include.items[global->include.count - 1];
    const char *slash = strrchr(source->path, '/');
    int folder = slash != NULL && *pattern != '/' ? (int)(slash - source->path) + 1 : 0;
    if (asprintf(&path, "%.*s%s", folder, source->path, pattern) < 0) {
        config_report_error(loader->report, origin, "out of memory");
        return;
    }

    /* A plain path must exist; a pattern may match nothing. */
    if (strpbrk(pattern, "*?[") == NULL) {
        config_load_file(loader, path, source, origin);
    } else {
        glob_t found = {0};
        int result = glob(path, 0, config_unreadable, &found);
        if (result != 0 && result != GLOB_NOMATCH)
            config_report_error(loader->report, origin, "include = %.500s: %s", path,
                                result == GLOB_NOSPACE ? "out of memory"
                                                       : "the folder cannot be read");
        if (result == GLOB_NOMATCH)
            config_report_warning(loader->report, origin,
                                  "include = %.500s: no file matches this pattern", path);
        for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
            config_load_file(loader, found.gl_pathv[i], source, origin);
        globfree(&found);
    }
    free(path);
}

/* ---- values ---- */

/* A value of a file, and the section that it is stored in. */
struct target {
    const struct ini_lines_item *item;
    const struct directive_origin *origin;
    struct config_report *report;
    const char *label; /* the section's name */
    bool global;
    const struct directive *table;
    size_t count;
    void *owner;
    struct directive_origin *origins;
    struct value_parse_source variables;
};

static struct target config_target(const struct source *source, const struct ini_lines_item *item,
                                   const struct directive_origin *origin)
{
    struct config *config = source->loader->config;
    bool global = source->place == PLACE_GLOBAL;
    struct config_pool *pool = global ? NULL : &config->pools[source->pool];
    return (struct target){
        .item = item,
        .origin = origin,
        .report = source->loader->report,
        .label = global ? "global" : pool->name,
        .global = global,
        .table = global ? directive_global : directive_pool,
        .count = global ? (size_t)DIRECTIVE_GLOBAL_COUNT : (size_t)DIRECTIVE_POOL_COUNT,
        .owner = global ? (void *)&config->global : pool,
        .origins = global ? config->global.origins : pool->origins,
        .variables = {.pool = global ? NULL : pool->name, .variable = config_variable}};
}

/* Directives of PHP-FPM that have no meaning here, and what to do instead. A name that ends with
 * '[' stands for all names with this beginning. */
static const struct {
    const char *name, *instead;
} config_php_fpm[] = {
    {"php_value[", "PHP's settings belong into php.ini, or into `command` as -d NAME=VALUE"},
    {"php_flag[", "PHP's settings belong into php.ini, or into `command` as -d NAME=VALUE"},
    {"php_admin_value[", "PHP's settings belong into php.ini, or into `command` as -d NAME=VALUE"},
    {"php_admin_flag[", "PHP's settings belong into php.ini, or into `command` as -d NAME=VALUE"},
    {"security.limit_extensions", "let the web server choose what it passes on"},
    {"process.dumpable", "rlimit_core allows and forbids core dumps"},
    {"prefix", "write absolute paths"},
    {"listen.acl_users", "use listen.owner, listen.group and listen.mode"},
    {"listen.acl_groups", "use listen.owner, listen.group and listen.mode"},
    {"listen.setfib", "remove the line"},
    {"apparmor_hat", "remove the line"},
    {"events.mechanism", "remove the line"},
    {"log_buffering", "remove the line"},
    {"request_terminate_timeout_track_finished",
     "post_response.terminate_timeout limits the time after the response"},
};

/* Reports a name that is no directive of this section. */
static void config_report_unknown(const struct target *target)
{
    const char *name = target->item->name, *label = target->label;
    const char *nearest = directive_nearest(target->table, target->count, name);
    const struct directive *elsewhere =
        target->global ? directive_find(directive_pool, DIRECTIVE_POOL_COUNT, name)
                       : directive_find(directive_global, DIRECTIVE_GLOBAL_COUNT, name);
    for (size_t i = 0; i < sizeof config_php_fpm / sizeof *config_php_fpm; i++) {
        const char *known = config_php_fpm[i].name;
        size_t length = strlen(known);
        if (strncmp(known, name, length) != 0 || (known[length - 1] != '[' && name[length] != '\0'))
            continue;
        config_report_error(target->report, target->origin,
                            "[%s] %.100s is a directive of PHP-FPM without a meaning here: %s",
                            label, name, config_php_fpm[i].instead);
        return;
    }
    if (elsewhere != NULL)
        config_report_error(target->report, target->origin, "[%s] %.100s belongs %s", label, name,
                            target->global ? "into a pool's section" : "into [global]");
    else if (nearest != NULL)
        config_report_error(target->report, target->origin,
                            "[%s] %.100s is no directive; did you mean %s?", label, name, nearest);
    else
        config_report_error(target->report, target->origin,
                            "[%s] %.100s is no directive; overtime.ini(5) lists them all", label,
                            name);
}

/* PHP-FPM's samples pass a variable on as "env[X] = $X". */
static void config_check_dollar(const struct target *target)
{
    const struct ini_lines_item *item = target->item;
    const char *name = item->value + (*item->value == '"');
    size_t length = 1;
    if (*name != '$' || strncmp(name, "$pool", sizeof "$pool" - 1) == 0)
        return;
    while (isalnum((unsigned char)name[length]) || name[length] == '_')
        length++;
    if (length > 1 && (name[length] == '\0' || strcmp(name + length, "\"") == 0))
        config_report_warning(target->report, target->origin,
                              "[%s] %s = %.200s: nothing is substituted here; write ${%.*s} for "
                              "the variable of the manager's environment, or quote the value with "
                              "'...'",
                              target->label, item->name, item->value, (int)length - 1, name + 1);
}

/* Stores the value; env[NAME] as a pair. */
static void config_set_value(const struct target *target, const struct directive *row)
{
    const struct ini_lines_item *item = target->item;
    struct directive_origin *where = &target->origins[row - target->table];
    char error[1024], *name = NULL;
    int result = -1;
    if (where->file != NULL && !directive_repeats(row)) {
        config_report_error(target->report, target->origin,
                            "[%s] %s is already given at %s:%u; keep one of them", target->label,
                            item->name, where->file, where->line);
        return;
    }
    if (where->file == NULL)
        *where = *target->origin;
    if (row->type == DIRECTIVE_MAP) {
        const char *key = strchr(item->name, '[') + 1;
        config_check_dollar(target);
        name = strndup(key, strlen(key) - 1);
        if (name == NULL)
            (void)snprintf(error, sizeof error, "out of memory");
        else if (strcmp(name, CONFIG_ENV_CLIENTS) == 0 || strcmp(name, CONFIG_ENV_NETWORKS) == 0)
            (void)snprintf(error, sizeof error,
                           "is set by the manager; use listen.allowed_clients");
        else if (strcmp(name, CONFIG_ENV_CONTRACT) == 0)
            (void)snprintf(error, sizeof error, "is set by the manager; remove the line");
        else
            result = directive_value_set_pair(row, target->owner, name, item->value, target->origin,
                                              &target->variables, error, sizeof error);
        free(name);
    } else
        result = directive_value_set(row, target->owner, item->value, &target->variables, error,
                                     sizeof error);
    if (result != 0)
        config_report_error(target->report, target->origin, "[%s] %s =%s%.200s: %s", target->label,
                            item->name, *item->value == '\0' ? "" : " ", item->value, error);
}

/* Takes one item of a file: an ini_lines_fn. */
static void config_take(void *context, const struct ini_lines_item *item)
{
    struct source *source = context;
    struct config_report *report = source->loader->report;
    const struct directive_origin origin = {.file = source->path, .line = item->line};
    if (report->errors.count >= CONFIG_REPORT_MAX)
        return; /* no more can be said */
    if (item->kind == INI_LINES_SECTION) {
        config_begin_section(source, item->name, item->line);
        return;
    }
    if (item->kind == INI_LINES_PROBLEM) {
        config_report_error(report, &origin, "%s", item->problem);
        return;
    }

    /* `include` is the only directive that may precede the first section. */
    if (source->place == PLACE_NOWHERE)
        return;
    if (source->place != PLACE_POOL && strcmp(item->name, "include") == 0) {
        config_include(source, item->value, &origin);
        return;
    }
    if (source->place == PLACE_TOP) {
        config_report_error(report, &origin,
                            "%.100s stands before the first section; put it under [global] or the "
                            "name of a pool",
                            item->name);
        return;
    }
    const struct target target = config_target(source, item, &origin);
    const struct directive *row = directive_find(target.table, target.count, item->name);
    if (row == NULL)
        config_report_unknown(&target);
    else
        config_set_value(&target, row);
}

/* ---- files ---- */

/* Opens a regular file only: a reload cannot read a pipe again, and opening one may block for ever.
 * NULL with the end of a sentence in `error`. */
static FILE *config_open_file(const char *path, struct stat *status, char *error, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *reason = NULL;
    FILE *file = NULL;
    if (fd >= 0 && fstat(fd, status) == 0) {
        if (S_ISREG(status->st_mode))
            file = fdopen(fd, "r");
        else
            reason = S_ISDIR(status->st_mode) ? "it is a folder" : "it is no regular file";
    }
    if (file == NULL)
        (void)snprintf(error, size, "cannot be read: %s",
                       reason != NULL ? reason : strerror(errno));
    if (file == NULL && fd >= 0)
        (void)close(fd);
    return file;
}

/* `origin`: the line that includes the file; NULL for the main file. */
static void config_load_file(struct loader *loader, const char *path, const struct source *includer,
                             const struct directive_origin *origin)
{
    struct config_report *report = loader->report;
    struct value_parse_list *files = &loader->config->files;
    struct stat status;
    char error[256];
    FILE *file = config_open_file(path, &status, error, sizeof error);
    if (file == NULL) {
        config_report_error(report, origin, "%s%.500s %s", includer != NULL ? "include: " : "",
                            path, error);
        return;
    }
    struct source source = {.includer = includer,
                            .device = status.st_dev,
                            .inode = status.st_ino,
                            .depth = includer == NULL ? 1 : includer->depth + 1,
                            .place = PLACE_TOP,
                            .loader = loader};
    const struct source *same = includer;
    while (same != NULL && (same->device != source.device || same->inode != source.inode))
        same = same->includer;
    if (same != NULL) {
        config_report_error(report, origin, "include: %.500s would include itself", path);
    } else if (source.depth > CONFIG_INCLUDE_DEPTH_MAX) {
        config_report_error(report, origin,
                            "include: %.500s would be the %uth file open in one another; %d are "
                            "allowed",
                            path, source.depth, CONFIG_INCLUDE_DEPTH_MAX);
    } else if (status.st_size > (off_t)loader->left) {
        config_report_error(report, origin,
                            "%.500s has %jd bytes: all files together may have %d MiB", path,
                            (intmax_t)status.st_size, CONFIG_BYTES_MAX >> 20);
    } else if (files->count >= CONFIG_FILES_MAX) {
        config_report_error(report, origin, "%.500s is one file more than the %d that are allowed",
                            path, CONFIG_FILES_MAX);
    } else if (value_parse_list_add(files, path) != 0) {
        config_report_error(report, origin, "out of memory");
    } else {
        source.path = files->items[files->count - 1];
        const struct directive_origin whole = {.file = source.path};
        if (ini_lines_read(file, &loader->left, config_take, &source) != 0 && errno != EFBIG)
            config_report_error(report, &whole, "cannot be read: %s", strerror(errno));
        else if (errno == EFBIG)
            config_report_error(report, &whole,
                                "all files together are longer than %d MiB; the rest is not read",
                                CONFIG_BYTES_MAX >> 20);
    }
    (void)fclose(file); /* read only: nothing can be lost */
}

/* The absolute path, so that a later change of the working directory does not matter. */
static char *config_absolute(const char *path)
{
    char *folder = NULL, *out = NULL;
    if (*path == '/')
        return strdup(path);
    folder = getcwd(NULL, 0);
    if (folder == NULL || asprintf(&out, "%s/%s", folder, path) < 0)
        out = NULL;
    free(folder);
    return out;
}

struct config *config_load(const char *path, unsigned flags, struct config_report *report)
{
    struct config *config = calloc(1, sizeof *config);
    struct loader loader = {.left = CONFIG_BYTES_MAX,
                            .config = config,
                            .report = report,
                            .names = calloc(CONFIG_NAMES, sizeof(uint16_t))};
    size_t before = report->failed;
    if (config != NULL)
        config->holders = 1;
    account_remember(true);
    if (config == NULL || loader.names == NULL ||
        config_init_all(directive_global, DIRECTIVE_GLOBAL_COUNT, &config->global) != 0) {
        config_report_error(report, NULL, "out of memory");
    } else if ((config->file = config_absolute(path)) == NULL) {
        config_report_error(report, NULL, "%s cannot be read: %s", path, strerror(errno));
    } else {
        const struct directive_origin whole = {.file = config->file};
        config_load_file(&loader, config->file, NULL, NULL);
        for (size_t i = 0; i < config->pool_count; i++)
            if (config_is_misspelled_global(&config->pools[i]))
                config_report_error(report, &config->pools[i].origin,
                                    "[%s] is a pool without a command; did you mean [global]?",
                                    config->pools[i].name);
            else
                config_check_pool(&config->pools[i], i > 0 ? &config->pools[i - 1] : NULL,
                                  (flags & CONFIG_ALLOW_ROOT) != 0, report);
        config_check_all(&config->global, config->pools, config->pool_count, report);
        if (config->pool_count == 0 && report->failed == before)
            config_report_error(
                report, &whole,
                "no pool in it or in what it includes; add a section such as [www] with "
                "command, listen and pm.max_children");
    }
    account_remember(false);
    free(loader.names);
    config_report_close(report);
    if (report->failed != before)
        config_free(&config);
    return config;
}
