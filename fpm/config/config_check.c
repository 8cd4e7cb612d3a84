/* config_check.c: checks that need more than one value. See config_check.h. */
#include "fpm/config/config_check.h"

#include "fpm/config/address_place.h"
#include "fpm/config/directive_value.h"
#include "fpm/log/log_line.h"
#include "fpm/util/account.h"
#include "fpm/util/chroot_path.h"
#include "fpm/util/client_filter.h"
#include "fpm/util/hash_index.h"
#include "fpm/util/path_access.h"
#include "sapi-shim/access_log/log_format.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the manager has no PATH of its own. */
#define CONFIG_CHECK_PATH    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CONFIG_CHECK_UNKNOWN ((gid_t)-1)

/* Indexes of directives. */
#define GLOBAL(field) DIRECTIVE_GLOBAL_##field
#define POOL(field)   DIRECTIVE_POOL_##field

enum {
    CONFIG_CHECK_GROUPS_MAX = 1024
};

/* A section of the configuration, to report its directives by their index. */
struct config_check_section {
    const char *name;
    const struct directive *table;
    struct directive_origin *origins;
    struct config_report *report;
};

/* Reports "[SECTION] DIRECTIVE " and the rest of the sentence. */
__attribute__((format(printf, 4, 5))) static void
config_check_say(const struct config_check_section *in, bool is_error, size_t index,
                 const char *format, ...)
{
    char *sentence;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&sentence, format, arguments);
    va_end(arguments);
    if (length < 0) {
        config_report_error(in->report, NULL, "out of memory");
        return;
    }
    config_report_add(in->report, is_error, &in->origins[index], "[%s] %s%s", in->name,
                      in->table[index].name, sentence);
    free(sentence);
}
#define config_check_error(in, ...)   config_check_say(in, true, __VA_ARGS__)
#define config_check_warning(in, ...) config_check_say(in, false, __VA_ARGS__)

static struct config_check_section config_check_section_of(struct config_pool *pool,
                                                           struct config_report *report)
{
    return (struct config_check_section){pool->name, directive_pool, pool->origins, report};
}

/* ---- user and group ---- */

/* The workers run as `user` and `group`, which must exist. */
static void config_check_as_root(struct config_pool *pool, bool allow_root,
                                 const struct config_check_section *in)
{
    struct account account;
    gid_t gid = CONFIG_CHECK_UNKNOWN;
    char error[256];
    if (pool->user == NULL) {
        if (in->origins[POOL(user)].file == NULL)
            config_report_error(in->report, &pool->origin,
                                "[%s] user is missing: the manager runs as root and needs to know "
                                "whom the workers run as",
                                pool->name);
        return;
    }
    if (account_user(pool->user, &account, error, sizeof error) != 0) {
        config_check_error(in, POOL(user), " = %s: %s", pool->user, error);
        return;
    }
    if (pool->group != NULL && account_group(pool->group, &gid, error, sizeof error) != 0) {
        config_check_error(in, POOL(group), " = %s: %s", pool->group, error);
        return;
    }
    if (pool->group == NULL && !account.listed) {
        config_check_error(in, POOL(user),
                           " = %s: the number has no entry among the users; name a group as well",
                           pool->user);
        return;
    }
    pool->identity = (struct config_identity){
        .change = true, .uid = account.uid, .gid = pool->group != NULL ? gid : account.gid};
    if (account.listed && (pool->identity.name = strdup(account.name)) == NULL)
        config_report_error(in->report, NULL, "out of memory");
    if (!allow_root && account.uid == 0)
        config_check_error(in, POOL(user),
                           " = %s: workers as root are refused; name another user, or start the "
                           "manager with -R",
                           pool->user);
    else if (!allow_root && pool->identity.gid == 0)
        config_check_error(in, pool->group != NULL ? POOL(group) : POOL(user),
                           " = %s: workers in the group root are refused; name another group, or "
                           "start the manager with -R",
                           pool->group != NULL ? pool->group : pool->user);
}

/* The manager's own user. */
static bool config_check_own_user(const char *name)
{
    struct account account;
    char error[256];
    return account_user(name, &account, error, sizeof error) == 0 && account.uid == geteuid();
}

/* The manager's own group, or one of its supplementary groups, to which it may give files. */
static bool config_check_own_group(const char *name, bool supplementary)
{
    gid_t gid;
    char error[256];
    return account_group(name, &gid, error, sizeof error) == 0 &&
           (gid == getegid() || (supplementary && group_member(gid)));
}

/* Forgets a user or group that only root could change to. */
static void config_check_ignore(const struct config_check_section *in, size_t index, char **field,
                                const char *instead)
{
    config_check_warning(in, index, " = %s: ignored, because only root can change to it; %s",
                         *field, instead);
    free(*field);
    *field = NULL;
    in->origins[index] = (struct directive_origin){0};
}

/* A manager without root: what only root may give is forgotten, or is an error where the workers
 * must not run without it. */
static void config_check_as_user(struct config_pool *pool, const struct config_check_section *in)
{
    static const char workers[] = "the workers run as the manager does";
    static const char socket[] = "the socket belongs to the manager";
    int64_t wanted = pool->process_priority;
    struct rlimit nice;
    if (pool->user != NULL && !config_check_own_user(pool->user))
        config_check_ignore(in, POOL(user), &pool->user, workers);
    if (pool->group != NULL && !config_check_own_group(pool->group, false))
        config_check_ignore(in, POOL(group), &pool->group, workers);
    if (pool->listen_owner != NULL && !config_check_own_user(pool->listen_owner))
        config_check_ignore(in, POOL(listen_owner), &pool->listen_owner, socket);
    if (pool->listen_group != NULL && !config_check_own_group(pool->listen_group, true))
        config_check_ignore(in, POOL(listen_group), &pool->listen_group, socket);
    if (pool->chroot != NULL)
        config_check_error(
            in, POOL(chroot),
            " = %s: only root can change the root folder; start the manager as root, "
            "or remove the line",
            pool->chroot);
    if (wanted != DIRECTIVE_UNSET && wanted < getpriority(PRIO_PROCESS, 0) &&
        getrlimit(RLIMIT_NICE, &nice) == 0 && nice.rlim_cur < (rlim_t)(20 - wanted))
        config_check_error(
            in, POOL(process_priority),
            " = %d: only root can raise the priority above the manager's, which is %d", (int)wanted,
            getpriority(PRIO_PROCESS, 0));
}

/* ---- the program ---- */

/* The first entry of `search` that holds a runnable `name` inside `root`; NULL if none does. */
static char *config_check_search_path(const char *root, const char *search, const char *name)
{
    while (*search != '\0') {
        size_t length = strcspn(search, ":");
        char *candidate = NULL;
        /* Entries that depend on the current folder would find another program after chdir. */
        if (*search == '/' && asprintf(&candidate, "%.*s/%s", (int)length, search, name) >= 0) {
            if (chroot_path_runnable(root, candidate) == 0)
                return candidate;
            free(candidate);
        }
        search += length + (search[length] == ':');
    }
    return NULL;
}

/* Finds the program, and whether the pool's user could start it. */
static void config_check_program(struct config_pool *pool, const struct config_check_section *in)
{
    const struct config_identity *identity = &pool->identity;
    const char *name = pool->command.argc > 0 ? pool->command.argv[0] : NULL;
    const char *search = getenv("PATH"), *text = pool->command.text;
    const char *inside = pool->chroot != NULL ? " inside " : "";
    const char *root = pool->chroot != NULL ? pool->chroot : "";
    gid_t groups[CONFIG_CHECK_GROUPS_MAX];
    char obstacle[2048];
    int result, count = CONFIG_CHECK_GROUPS_MAX;
    if (name == NULL)
        return;
    if (strchr(name, '/') == NULL) {
        search = search != NULL && *search != '\0' ? search : CONFIG_CHECK_PATH;
        pool->program = config_check_search_path(pool->chroot, search, name);
        if (pool->program == NULL)
            config_check_error(in, POOL(command),
                               " = %.200s: no program of that name in PATH (%.500s)%s%s", text,
                               search, inside, root);
    } else if (*name != '/')
        config_check_error(in, POOL(command),
                           " = %.200s: must begin with an absolute path, or a name without a slash "
                           "that is found in PATH",
                           text);
    else if ((result = chroot_path_runnable(pool->chroot, name)) != 0)
        config_check_error(in, POOL(command), " = %.200s: %.200s cannot be run%s%s: %s", text, name,
                           inside, root, strerror(result));
    else if ((pool->program = strdup(name)) == NULL)
        config_report_error(in->report, NULL, "out of memory");
    if (pool->program == NULL || !identity->change)
        return;
    if (identity->name == NULL || getgrouplist(identity->name, identity->gid, groups, &count) < 0)
        count = 0;
    const struct path_access_user user = {identity->name, identity->uid, identity->gid, groups,
                                          (size_t)count};
    if (path_access_obstacle(&user, pool->chroot, pool->program, obstacle, sizeof obstacle))
        config_check_error(in, POOL(command), " = %.200s: %.200s cannot be run: %s", text,
                           pool->program, obstacle);
}

/* ---- limits of the system ---- */

/* rlimit_files: no process may have more descriptors than fs.nr_open; only root may go above its
 * own hard limit. */
static void config_check_files(int64_t wanted, size_t index, const struct config_check_section *in)
{
    struct rlimit own;
    unsigned long long max = 0;
    char number[32] = "unlimited";
    if (in->origins[index].file == NULL || wanted < 0)
        return;
    FILE *file = fopen("/proc/sys/fs/nr_open", "re");
    bool known = file != NULL && fscanf(file, "%llu", &max) == 1;
    if (file != NULL)
        (void)fclose(file);
    if (wanted != INT64_MAX)
        snprintf(number, sizeof number, "%lld", (long long)wanted);
    if (known && (unsigned long long)wanted > max)
        config_check_error(in, index, " = %s: the kernel allows at most %llu (sysctl fs.nr_open)",
                           number, max);
    else if (geteuid() != 0 && getrlimit(RLIMIT_NOFILE, &own) == 0 &&
             own.rlim_max != RLIM_INFINITY && (rlim_t)wanted > own.rlim_max)
        config_check_error(
            in, index,
            " = %s: only root can raise the limit above %llu, with which the manager "
            "is started",
            number, (unsigned long long)own.rlim_max);
}

/* rlimit_core: only root may go above its own hard limit. */
static void config_check_core(int64_t wanted, size_t index, const struct config_check_section *in)
{
    struct rlimit own;
    if (in->origins[index].file == NULL || wanted < 0 || geteuid() == 0 ||
        getrlimit(RLIMIT_CORE, &own) != 0 || own.rlim_max == RLIM_INFINITY ||
        (wanted != INT64_MAX && (rlim_t)wanted <= own.rlim_max))
        return;
    config_check_error(
        in, index,
        ": only root can raise the limit above %llu bytes, with which the manager is "
        "started",
        (unsigned long long)own.rlim_max);
}

/* oom_score_adj: only root may go below the lowest value that root has set. That of the manager is
 * as low as what it knows of. */
static void config_check_oom_score(const struct config_pool *pool,
                                   const struct config_check_section *in)
{
    int own = 0;
    if (pool->oom_score_adj == DIRECTIVE_UNSET || geteuid() == 0)
        return;
    FILE *file = fopen("/proc/self/oom_score_adj", "re");
    bool known = file != NULL && fscanf(file, "%d", &own) == 1;
    if (file != NULL)
        (void)fclose(file);
    if (known && pool->oom_score_adj < own)
        config_check_warning(
            in, POOL(oom_score_adj),
            " = %d: only root can go below a value that root has set, and that of the "
            "manager is %d: workers may not start",
            (int)pool->oom_score_adj, own);
}

/* ---- sockets ---- */

/* The kernel takes no filter of more instructions. An IPv4 network takes one, IPv6 up to nine. */
static void config_check_clients(const struct config_pool *pool,
                                 const struct config_check_section *in)
{
    const struct value_parse_list *clients = &pool->listen_allowed_clients;
    if (clients->count == 0)
        return;
    struct cidr *nets = calloc(clients->count, sizeof *nets);
    struct sock_filter *code = calloc(CLIENT_FILTER_MAX, sizeof *code);
    for (size_t i = 0; nets != NULL && i < clients->count; i++)
        (void)cidr_parse(clients->items[i], strlen(clients->items[i]), &nets[i]);
    if (nets == NULL || code == NULL || client_filter_build(nets, clients->count, code) == 0)
        config_check_error(
            in, POOL(listen_allowed_clients),
            ": %zu entries are more than the kernel's filter of %d instructions holds: "
            "an IPv6 address takes nine, an IPv6 network five to seven, IPv4 one; join "
            "neighbours to larger networks",
            clients->count, CLIENT_FILTER_MAX);
    free(nets);
    free(code);
}

/* Directives that have no effect on the kind of socket the pool listens on. A dump gives every
 * default, so a default is no mistake. */
static void config_check_listen(const struct config_pool *pool,
                                const struct config_check_section *in)
{
    static const size_t unix_only[] = {POOL(listen_owner), POOL(listen_group), POOL(listen_mode)};
    if (pool->listen.kind == VALUE_PARSE_ADDRESS_UNIX && pool->listen_allowed_clients.count > 0)
        config_check_warning(in, POOL(listen_allowed_clients),
                             " has no effect on a unix socket; listen.owner, listen.group and "
                             "listen.mode guard it");
    else
        config_check_clients(pool, in);
    for (size_t i = 0; i < sizeof unix_only / sizeof *unix_only; i++) {
        const struct directive *row = &directive_pool[unix_only[i]];
        char *text = directive_value_text(row, pool);
        bool same = text != NULL && row->by_default != NULL && strcmp(text, row->by_default) == 0;
        free(text);
        if (pool->listen.kind == VALUE_PARSE_ADDRESS_TCP && !same &&
            in->origins[unix_only[i]].file != NULL)
            config_check_warning(
                in, unix_only[i],
                " has no effect on a TCP socket; listen.allowed_clients guards it");
    }
}

/* ---- folders ---- */

/* Is there a folder at the first `length` bytes of `path`? */
static bool config_check_is_folder(const char *path, size_t length)
{
    struct stat status;
    char *folder = length == 0 ? strdup("/") : strndup(path, length);
    bool result = folder != NULL && stat(folder, &status) == 0 && S_ISDIR(status.st_mode);
    free(folder);
    return result;
}

/* The bytes of an absolute path before its last slash. */
static size_t config_check_folder_length(const char *path, size_t length)
{
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 0 && path[length - 1] == '/')
        length--;
    return length;
}

/* Will there be a folder for the file at `path`? The manager makes the one of control.listen, if
 * that alone is missing; what may be written is for the start to find out. */
static bool config_check_has_folder(const struct config_global *global, const char *path)
{
    const char *control = global->control_listen.path;
    size_t length = config_check_folder_length(path, strlen(path));
    if (config_check_is_folder(path, length))
        return true;
    return control != NULL && config_check_folder_length(control, strlen(control)) == length &&
           strncmp(path, control, length) == 0 &&
           config_check_is_folder(path, config_check_folder_length(path, length));
}

static void config_check_folder(const char *path, size_t index, const struct config_global *global,
                                const struct config_check_section *in)
{
    if (path != NULL && *path == '/' && !config_check_has_folder(global, path))
        config_check_error(in, index, " = %s%s: the folder %.*s does not exist", path,
                           in->origins[index].file == NULL ? " (by default)" : "",
                           (int)config_check_folder_length(path, strlen(path)), path);
}

/* Can the manager write the log, or make it? Devices and pipes are for the start to find out. */
static void config_check_log(const char *path, size_t index, const struct config_check_section *in)
{
    struct stat status;
    size_t length = path != NULL ? config_check_folder_length(path, strlen(path)) : 0;
    if (path == NULL || *path != '/' || strncmp(path, "/dev/", 5) == 0 ||
        strncmp(path, "/proc/", 6) == 0 || !config_check_is_folder(path, length))
        return;
    char *folder = length == 0 ? strdup("/") : strndup(path, length);
    bool there = stat(path, &status) == 0;
    if (folder != NULL && there && S_ISDIR(status.st_mode))
        config_check_error(in, index, " = %s: is a folder", path);
    else if (folder != NULL && there && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
        config_check_error(in, index, " = %s: cannot be written (%s, mode %04o, of user %u)", path,
                           strerror(errno), (unsigned)status.st_mode & 07777,
                           (unsigned)status.st_uid);
    else if (folder != NULL && !there && errno == ENOENT &&
             faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0 &&
             stat(folder, &status) == 0)
        config_check_error(
            in, index, " = %s: cannot be made in the folder %s (%s, mode %04o, of user %u)", path,
            folder, strerror(errno), (unsigned)status.st_mode & 07777, (unsigned)status.st_uid);
    free(folder);
}

/* The directive `index` names a folder, which is looked for inside `root`. */
static void config_check_inside(const char *root, const char *path, size_t index,
                                const struct config_check_section *in)
{
    int result = path != NULL ? chroot_path_folder(root, path) : 0;
    const char *inside = root != NULL ? " inside " : "";
    root = root != NULL ? root : "";
    if (result == ENOTDIR)
        config_check_error(in, index, " = %s: is not a folder%s%s", path, inside, root);
    else if (result != 0)
        config_check_error(in, index, " = %s: cannot be used%s%s: %s", path, inside, root,
                           strerror(result));
}

/* ---- numbers of workers ---- */

/* Completes directives of *dynamic* that follow from others, and compares them. With another kind
 * of pool they have no effect, so a mistake there does no harm. */
static void config_check_scaling(struct config_pool *pool, const struct config_check_section *in)
{
    int64_t most = pool->pm_max_children;
    if (in->origins[POOL(pm_max_children)].file == NULL)
        return; /* reported as missing */
    if (pool->pm_min_spare_servers == DIRECTIVE_UNSET)
        pool->pm_min_spare_servers = 1;
    if (pool->pm_max_spare_servers == DIRECTIVE_UNSET) {
        int64_t wanted = 3 * pool->pm_min_spare_servers;
        pool->pm_max_spare_servers = wanted < most ? wanted : most;
    }
    if (pool->pm_start_servers == DIRECTIVE_UNSET)
        pool->pm_start_servers = (pool->pm_min_spare_servers + pool->pm_max_spare_servers) / 2;
    if (pool->post_response_max_children == DIRECTIVE_UNSET)
        pool->post_response_max_children = most;

    const struct {
        size_t index;
        int64_t value;
        const char *other;
        int64_t most;
    } pairs[] = {
        {POOL(pm_max_spare_servers), pool->pm_max_spare_servers, "pm.max_children", most},
        {POOL(pm_min_spare_servers), pool->pm_min_spare_servers, "pm.max_spare_servers",
         pool->pm_max_spare_servers},
        {POOL(pm_start_servers), pool->pm_start_servers, "pm.max_children", most},
    };
    for (size_t i = 0; pool->pm == DIRECTIVE_PM_DYNAMIC && i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].value > pairs[i].most && in->origins[pairs[i].index].file != NULL)
            config_check_error(in, pairs[i].index,
                               " = %lld: must not be more than %s, which is %lld",
                               (long long)pairs[i].value, pairs[i].other, (long long)pairs[i].most);
}

/* Does not fail, as pools need not all be busy at once; but the first workers are started. */
static void config_check_process_max(const struct config_global *global,
                                     const struct config_pool *pools, size_t count,
                                     const struct config_check_section *in)
{
    int64_t first = 0;
    for (size_t i = 0; i < count; i++) {
        if (pools[i].pm_max_children == DIRECTIVE_UNSET)
            return;
        first += pools[i].pm == DIRECTIVE_PM_STATIC    ? pools[i].pm_max_children
                 : pools[i].pm == DIRECTIVE_PM_DYNAMIC ? pools[i].pm_start_servers
                                                       : 0;
    }
    if (global->process_max > 0 && first > global->process_max)
        config_check_warning(in, GLOBAL(process_max),
                             " = %lld: the pools begin with %lld workers, not all of which will be "
                             "started; raise it, or lower pm.max_children",
                             (long long)global->process_max, (long long)first);
}

/* ---- the access log ---- */

/* Workers read the format and the paths from a place of fixed size. */
static void config_check_access(const struct config_pool *pool,
                                const struct config_check_section *in)
{
    const struct value_parse_list *paths = &pool->access_suppress_path;
    char error[1024];
    size_t size = strlen(pool->access_format) + 1;
    struct log_format *format = log_format_compile(pool->access_format, error, sizeof error);
    if (format == NULL)
        config_check_error(in, POOL(access_format), " = %.200s: %s", pool->access_format, error);
    log_format_free(&format);
    for (size_t i = 0; i < paths->count; i++) {
        size += strlen(paths->items[i]) + 1;
        if (paths->items[i][0] != '/' || strchr(paths->items[i], '?') != NULL)
            config_check_error(in, POOL(access_suppress_path),
                               " = %.200s: must be a path that begins with /, without a query",
                               paths->items[i]);
    }
    if (size > OT_ACCESS_SIZE)
        config_check_error(in, POOL(access_suppress_path),
                           ": these paths and access.format have %zu bytes together; %d fit", size,
                           OT_ACCESS_SIZE);
}

/* ---- status and ping ---- */

static void config_check_answers(const struct config_pool *pool,
                                 const struct config_check_section *in)
{
    const char *status = pool->pm_status_path, *ping = pool->ping_path;
    const struct {
        size_t index;
        const char *text;
    } texts[] = {{POOL(pm_status_path), status},
                 {POOL(ping_path), ping},
                 {POOL(ping_response), pool->ping_response}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].text != NULL && strlen(texts[i].text) >= OT_PATH_MAX)
            config_check_error(in, texts[i].index, " = %.60s...: has %zu bytes; %d fit",
                               texts[i].text, strlen(texts[i].text), OT_PATH_MAX - 1);
    for (size_t i = 0; i < 2; i++)
        if (texts[i].text != NULL && strchr(texts[i].text, '?') != NULL) {
            config_check_error(in, texts[i].index, " = %.200s: must be a path without a query",
                               texts[i].text);
            break;
        }
    if (status == NULL && ping == NULL && pool->pm_status_listen.kind != VALUE_PARSE_ADDRESS_NONE)
        config_check_error(in, POOL(pm_status_listen),
                           " = %s: there is nothing to answer; set pm.status_path or ping.path",
                           pool->pm_status_listen.text);
    if (status != NULL && ping != NULL && strcmp(status, ping) == 0)
        config_check_error(in, POOL(ping_path),
                           " = %.200s: is pm.status_path as well; ping would never be answered",
                           ping);
}

/* ---- the slow log ---- */

static void config_check_slow_log(const struct config_pool *pool,
                                  const struct config_check_section *in)
{
    const struct {
        size_t index;
        int64_t limit;
        size_t end_index;
        int64_t end;
    } limits[] = {
        {POOL(request_slowlog_timeout), pool->request_slowlog_timeout,
         POOL(request_terminate_timeout), pool->request_terminate_timeout},
        {POOL(post_response_slowlog_timeout), pool->post_response_slowlog_timeout,
         POOL(post_response_terminate_timeout), pool->post_response_terminate_timeout},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].limit > 0 && pool->slowlog == NULL)
            config_check_error(in, limits[i].index,
                               ": there is no slow log to write to; name a file, as in slowlog = "
                               "/var/log/overtime/$pool.slow, or remove the line");
        else if (limits[i].limit > 0 && limits[i].end > 0 && limits[i].limit >= limits[i].end)
            config_check_warning(
                in, limits[i].index,
                " has no effect: it is not less than %s, at which the worker is ended",
                directive_pool[limits[i].end_index].name);
    if (pool->slowlog_command.argc == 0)
        return;
    /* The manager runs it, not a worker: outside of the pool's chroot. */
    const char *name = pool->slowlog_command.argv[0];
    int result = *name == '/' ? chroot_path_runnable(NULL, name) : EINVAL;
    if (result != 0)
        config_check_error(in, POOL(slowlog_command),
                           " = %.200s: must begin with the absolute path of a program; %.200s: %s",
                           pool->slowlog_command.text, name, strerror(result));
}

static bool config_check_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Takes identity and program from a pool that runs the same as the same user, if all is well with
 * it. */
static bool config_check_take_over(struct config_pool *pool, const struct config_pool *before,
                                   const struct config_report *report)
{
    if (before == NULL || report->failed > 0 || before->program == NULL || pool->chroot != NULL ||
        before->chroot != NULL || pool->command.argc == 0 || !before->identity.change ||
        !config_check_same(pool->command.argv[0], before->command.argv[0]) ||
        !config_check_same(pool->user, before->user) ||
        !config_check_same(pool->group, before->group))
        return false;
    char *name = before->identity.name != NULL ? strdup(before->identity.name) : NULL;
    char *program = strdup(before->program);
    if (program == NULL || (name == NULL && before->identity.name != NULL)) {
        free(name);
        free(program);
        return false;
    }
    pool->identity = before->identity;
    pool->identity.name = name;
    pool->program = program;
    return true;
}

void config_check_pool(struct config_pool *pool, const struct config_pool *before, bool allow_root,
                       struct config_report *report)
{
    const struct config_check_section section = config_check_section_of(pool, report);
    for (size_t i = 0; i < DIRECTIVE_POOL_COUNT; i++) {
        const struct directive *row = &directive_pool[i];
        char accepted[256];
        if (!row->required || pool->origins[i].file != NULL)
            continue;
        accepted[0] = '\0';
        directive_accepts(row, accepted, sizeof accepted);
        config_report_error(report, &pool->origin, "[%s] %s is missing: every pool needs it, %s",
                            pool->name, row->name, accepted);
    }
    address_place_look(&pool->listen);
    address_place_look(&pool->pm_status_listen);
    bool taken = config_check_take_over(pool, before, report);
    if (!taken && geteuid() == 0)
        config_check_as_root(pool, allow_root, &section);
    else if (!taken)
        config_check_as_user(pool, &section);
    config_check_files(pool->rlimit_files, POOL(rlimit_files), &section);
    config_check_core(pool->rlimit_core, POOL(rlimit_core), &section);
    config_check_oom_score(pool, &section);

    /* A chroot that is missing is reported once; paths inside it are not reported too. */
    config_check_inside(NULL, pool->chroot, POOL(chroot), &section);
    if (pool->chroot == NULL || chroot_path_folder(NULL, pool->chroot) == 0) {
        config_check_inside(pool->chroot, pool->chdir, POOL(chdir), &section);
        if (!taken)
            config_check_program(pool, &section);
    }
    config_check_listen(pool, &section);
    config_check_access(pool, &section);
    config_check_answers(pool, &section);
    config_check_slow_log(pool, &section);
    config_check_scaling(pool, &section);
}

/* ---- addresses ---- */

/* An address of the file, and the directive that gives it. */
struct config_check_address {
    const struct value_parse_address *address;
    const struct config_check_section *in;
    size_t index;
};

/* Reports that both cannot be listened on. Returns whether that is so. */
static bool config_check_clash(struct config_check_address one, struct config_check_address other)
{
    const struct directive_origin *origin = &other.in->origins[other.index];
    char where[PATH_MAX + 32];
    if (!address_place_clash(one.address, other.address))
        return false;
    snprintf(where, sizeof where, " (by default)");
    if (origin->file != NULL)
        snprintf(where, sizeof where, ", see %s:%u", origin->file, origin->line);
    config_check_error(
        one.in, one.index, " = %s: [%s] %s = %s is %s%s", one.address->text, other.in->name,
        other.in->table[other.index].name, other.address->text,
        address_place_same(one.address, other.address) ? "there already" : "in its way", where);
    return true;
}

/* Reports an address that clashes with one of the pools' others in `taken`, which are before it, or
 * with `all` anywhere. One report for each address. */
static bool config_check_taken(const struct config_check_address address, size_t index,
                               const struct hash_index *taken, struct config_pool *pools,
                               bool status, bool all, struct config_report *report)
{
    const struct hash_index_entry *found;
    size_t count = hash_index_find(taken, address_place_hash(address.address), &found);
    for (size_t i = 0; i < count && (all || found[i].number < index); i++) {
        struct config_pool *pool = &pools[found[i].number];
        const struct config_check_section section = config_check_section_of(pool, report);
        const struct config_check_address other = {status ? &pool->pm_status_listen : &pool->listen,
                                                   &section,
                                                   status ? POOL(pm_status_listen) : POOL(listen)};
        if (config_check_clash(address, other))
            return true;
    }
    return false;
}

static void config_check_addresses(const struct config_check_address control,
                                   struct config_pool *pools, size_t count,
                                   struct config_report *report)
{
    struct hash_index listens, statuses;
    if (hash_index_open(&listens, count) != 0 || hash_index_open(&statuses, count) != 0) {
        config_report_error(report, NULL, "out of memory");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        hash_index_add(&listens, address_place_hash(&pools[i].listen), i);
        if (pools[i].pm_status_listen.kind != VALUE_PARSE_ADDRESS_NONE)
            hash_index_add(&statuses, address_place_hash(&pools[i].pm_status_listen), i);
    }
    hash_index_sort(&listens);
    hash_index_sort(&statuses);
    for (size_t i = 0; i < count; i++) {
        const struct config_check_section section = config_check_section_of(&pools[i], report);
        const struct config_check_address own = {&pools[i].listen, &section, POOL(listen)};
        const struct config_check_address status = {&pools[i].pm_status_listen, &section,
                                                    POOL(pm_status_listen)};
        if (!config_check_clash(own, control))
            (void)config_check_taken(own, i, &listens, pools, false, false, report);
        if (status.address->kind != VALUE_PARSE_ADDRESS_NONE &&
            !config_check_clash(status, control) &&
            !config_check_taken(status, i, &listens, pools, false, true, report))
            (void)config_check_taken(status, i, &statuses, pools, true, false, report);
    }
    hash_index_close(&listens);
    hash_index_close(&statuses);
}

void config_check_all(struct config_global *global, struct config_pool *pools, size_t count,
                      struct config_report *report)
{
    static const char socket[] = "the control socket belongs to the manager";
    static const struct config_global none = {0};
    const struct config_check_section in = {"global", directive_global, global->origins, report};
    const struct config_check_address control = {&global->control_listen, &in,
                                                 GLOBAL(control_listen)};
    if (geteuid() != 0 && global->control_owner != NULL &&
        !config_check_own_user(global->control_owner))
        config_check_ignore(&in, GLOBAL(control_owner), &global->control_owner, socket);
    if (geteuid() != 0 && global->control_group != NULL &&
        !config_check_own_group(global->control_group, true))
        config_check_ignore(&in, GLOBAL(control_group), &global->control_group, socket);
    if (geteuid() != 0 && global->log_group != NULL &&
        !config_check_own_group(global->log_group, true))
        config_check_ignore(&in, GLOBAL(log_group), &global->log_group,
                            "log files belong to the manager");
    if (!log_line_ident_fits(global->syslog_ident))
        config_check_error(&in, GLOBAL(syslog_ident),
                           " = %s: must be 1 to %d visible characters of ASCII, without blanks",
                           global->syslog_ident, LOG_LINE_IDENT_MAX);
    address_place_look(&global->control_listen);
    config_check_files(global->rlimit_files, GLOBAL(rlimit_files), &in);
    config_check_core(global->rlimit_core, GLOBAL(rlimit_core), &in);

    /* The log is opened before there is a folder that the manager makes. */
    config_check_folder(global->error_log, GLOBAL(error_log), &none, &in);
    config_check_log(global->error_log, GLOBAL(error_log), &in);
    config_check_folder(global->pid, GLOBAL(pid), global, &in);
    config_check_folder(global->control_listen.path, GLOBAL(control_listen), global, &in);
    for (size_t i = 0; i < count; i++) {
        const struct config_check_section pool = config_check_section_of(&pools[i], report);
        config_check_folder(pools[i].listen.path, POOL(listen), global, &pool);
        config_check_folder(pools[i].access_log, POOL(access_log), global, &pool);
        config_check_folder(pools[i].slowlog, POOL(slowlog), global, &pool);
        config_check_log(pools[i].access_log, POOL(access_log), &pool);
        config_check_log(pools[i].slowlog, POOL(slowlog), &pool);
    }
    config_check_process_max(global, pools, count, &in);
    config_check_addresses(control, pools, count, report);
}
