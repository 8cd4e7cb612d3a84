/* config_check.c: checks that need more than one value. See config_check.h. */
#include "fpm/config/config_check.h"

#include "fpm/config/address_place.h"
#include "fpm/config/directive_value.h"
#include "fpm/log/log_line.h"
#include "fpm/util/account.h"
#include "fpm/util/chroot_path.h"
#include "fpm/util/client_filter.h"
#include "fpm/util/path_access.h"
#include "sapi-shim/access_log/log_format.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the manager has no PATH of its own. */
#define PATH_BY_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define ORIGIN(pool, field) (&(pool)->origins[DIRECTIVE_POOL_##field])

static void config_check_required(const struct config_pool *pool, struct config_report *report)
{
    for (size_t i = 0; i < DIRECTIVE_POOL_COUNT; i++) {
        const struct directive *row = &directive_pool[i];
        char accepted[256] = "";

        if (row->required && pool->origins[i].file == NULL) {
            directive_accepts(row, accepted, sizeof accepted);
            config_report_error(report, &pool->origin,
                                "[%s] %s is missing: every pool needs it, %s", pool->name,
                                row->name, accepted);
        }
    }
}

/* ---- user and group ---- */

/* The account that `user` and `group` come to; false if it was reported as impossible. */
static bool config_check_find_identity(struct config_pool *pool, struct config_identity *out,
                                       struct config_report *report)
{
    struct account account;
    gid_t gid = (gid_t)-1;
    char error[256];
    if (account_user(pool->user, &account, error, sizeof error) != 0) {
        config_report_error(report, ORIGIN(pool, user), "[%s] user = %s: %s", pool->name,
                            pool->user, error);
        return false;
    }
    if (pool->group != NULL && account_group(pool->group, &gid, error, sizeof error) != 0) {
        config_report_error(report, ORIGIN(pool, group), "[%s] group = %s: %s", pool->name,
                            pool->group, error);
        return false;
    }
    if (pool->group == NULL && !account.listed) {
        config_report_error(report, ORIGIN(pool, user),
                            "[%s] user = %s: the number has no entry among the users; name a group "
                            "as well",
                            pool->name, pool->user);
        return false;
    }
    *out = (struct config_identity){
        .change = true, .uid = account.uid, .gid = pool->group != NULL ? gid : account.gid};
    if (account.listed) {
        out->name = strdup(account.name);
        if (out->name == NULL) {
            config_report_error(report, NULL, "out of memory");
            return false;
        }
    }
    return true;
}

static void config_check_as_root(struct config_pool *pool, bool allow_root,
                                 struct config_report *report)
{
    struct config_identity identity;
    if (pool->user == NULL) {
        if (ORIGIN(pool, user)->file == NULL) {
            config_report_error(report, &pool->origin,
                                "[%s] user is missing: the manager runs as root and needs to know "
                                "whom the workers run as",
                                pool->name);
        }
        return;
    }
    if (!config_check_find_identity(pool, &identity, report))
        return;
    pool->identity = identity;
    if (!allow_root && identity.uid == 0) {
        config_report_error(report, ORIGIN(pool, user),
                            "[%s] user = %s: workers as root are refused; name another user, or "
                            "start the manager with -R",
                            pool->name, pool->user);
    } else if (!allow_root && identity.gid == 0) {
        config_report_error(report, pool->group != NULL ? ORIGIN(pool, group) : ORIGIN(pool, user),
                            "[%s] %s = %s: workers in the group root are refused; name another "
                            "group, or start the manager with -R",
                            pool->name, pool->group != NULL ? "group" : "user",
                            pool->group != NULL ? pool->group : pool->user);
    }
}

/* Forgets a user or group that only root could change to. */
static void config_check_ignore(const char *section, struct directive_origin *origin,
                                const char *what, char **field, const char *instead,
                                struct config_report *report)
{
    config_report_warning(report, origin,
                          "[%s] %s = %s: ignored, because only root can change to it; %s", section,
                          what, *field, instead);
    free(*field);
    *field = NULL;
    *origin = (struct directive_origin){0};
}

/* The manager's own user. */
static bool config_check_own_user(const char *name)
{
    struct account account;
    char error[256];
    return account_user(name, &account, error, sizeof error) == 0 && account.uid == geteuid();
}

/* A group the manager is in, to which it may give its files. */
static bool config_check_own_group(const char *name)
{
    gid_t gid;
    char error[256];
    return account_group(name, &gid, error, sizeof error) == 0 &&
           (gid == getegid() || group_member(gid));
}

static bool config_check_main_group(const char *name)
{
    gid_t gid;
    char error[256];
    return account_group(name, &gid, error, sizeof error) == 0 && gid == getegid();
}

static void config_check_as_user(struct config_pool *pool, struct config_report *report)
{
    static const char workers[] = "the workers run as the manager does";
    static const char socket[] = "the socket belongs to the manager";
    if (pool->user != NULL && !config_check_own_user(pool->user))
        config_check_ignore(pool->name, ORIGIN(pool, user), "user", &pool->user, workers, report);
    if (pool->group != NULL && !config_check_main_group(pool->group))
        config_check_ignore(pool->name, ORIGIN(pool, group), "group", &pool->group, workers,
                            report);
    if (pool->listen_owner != NULL && !config_check_own_user(pool->listen_owner)) {
        config_check_ignore(pool->name, ORIGIN(pool, listen_owner), "listen.owner",
                            &pool->listen_owner, socket, report);
    }
    if (pool->listen_group != NULL && !config_check_own_group(pool->listen_group)) {
        config_check_ignore(pool->name, ORIGIN(pool, listen_group), "listen.group",
                            &pool->listen_group, socket, report);
    }
}

static void config_check_global_as_user(struct config_global *global, struct config_report *report)
{
    static const char socket[] = "the control socket belongs to the manager";
    struct directive_origin *origins = global->origins;
    if (global->control_owner != NULL && !config_check_own_user(global->control_owner)) {
        config_check_ignore("global", &origins[DIRECTIVE_GLOBAL_control_owner], "control.owner",
                            &global->control_owner, socket, report);
    }
    if (global->control_group != NULL && !config_check_own_group(global->control_group)) {
        config_check_ignore("global", &origins[DIRECTIVE_GLOBAL_control_group], "control.group",
                            &global->control_group, socket, report);
    }
}

/* ---- what only root may give ---- */

/* A worker must not run outside its chroot, so this is an error and no warning. */
static void config_check_powers(const struct config_pool *pool, struct config_report *report)
{
    struct rlimit nice;
    int64_t wanted = pool->process_priority;
    if (geteuid() == 0)
        return;
    if (pool->chroot != NULL) {
        config_report_error(report, ORIGIN(pool, chroot),
                            "[%s] chroot = %s: only root can change the root folder; start the "
                            "manager as root, or remove the line",
                            pool->name, pool->chroot);
    }
    if (wanted != DIRECTIVE_UNSET && wanted < getpriority(PRIO_PROCESS, 0) &&
        getrlimit(RLIMIT_NICE, &nice) == 0 && nice.rlim_cur < (rlim_t)(20 - wanted)) {
        config_report_error(
            report, ORIGIN(pool, process_priority),
            "[%s] process.priority = %d: only root can raise the priority above the "
            "manager's, which is %d",
            pool->name, (int)wanted, getpriority(PRIO_PROCESS, 0));
    }
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

static void config_check_program(struct config_pool *pool, struct config_report *report)
{
    const char *name = pool->command.argc > 0 ? pool->command.argv[0] : NULL;
    const char *search = getenv("PATH");
    const char *inside = pool->chroot != NULL ? " inside " : "";
    const char *root = pool->chroot != NULL ? pool->chroot : "";
    int result;
    if (name == NULL)
        return;
    if (strchr(name, '/') == NULL) {
        search = search != NULL && *search != '\0' ? search : PATH_BY_DEFAULT;
        pool->program = config_check_search_path(pool->chroot, search, name);
        if (pool->program == NULL) {
            config_report_error(
                report, ORIGIN(pool, command),
                "[%s] command = %.200s: no program of that name in PATH (%.500s)%s%s", pool->name,
                pool->command.text, search, inside, root);
        }
    } else if (*name != '/') {
        config_report_error(report, ORIGIN(pool, command),
                            "[%s] command = %.200s: must begin with an absolute path, or a name "
                            "without a slash that is found in PATH",
                            pool->name, pool->command.text);
    } else if ((result = chroot_path_runnable(pool->chroot, name)) != 0) {
        config_report_error(report, ORIGIN(pool, command),
                            "[%s] command = %.200s: %.200s cannot be run%s%s: %s", pool->name,
                            pool->command.text, name, inside, root, strerror(result));
    } else if ((pool->program = strdup(name)) == NULL) {
        config_report_error(report, NULL, "out of memory");
    }
}

enum {
    CONFIG_CHECK_GROUPS_MAX = 1024
};

/* Would the program start as the pool's user? */
static void config_check_reach(const struct config_pool *pool, struct config_report *report)
{
    const struct config_identity *identity = &pool->identity;
    gid_t groups[CONFIG_CHECK_GROUPS_MAX];
    int count = CONFIG_CHECK_GROUPS_MAX;
    char obstacle[2048];
    if (pool->program == NULL || !identity->change)
        return;
    if (identity->name == NULL || getgrouplist(identity->name, identity->gid, groups, &count) < 0)
        count = 0;
    const struct path_access_user user = {.name = identity->name,
                                          .uid = identity->uid,
                                          .gid = identity->gid,
                                          .groups = groups,
                                          .count = (size_t)count};
    if (path_access_obstacle(&user, pool->chroot, pool->program, obstacle, sizeof obstacle))
        config_report_error(report, ORIGIN(pool, command),
                            "[%s] command = %.200s: %.200s cannot be run: %s", pool->name,
                            pool->command.text, pool->program, obstacle);
}

/* ---- limits of the system ---- */

/* Nothing may have more descriptors than fs.nr_open; only root may go above its own hard limit. */
static void config_check_files(int64_t wanted, const char *section,
                               const struct directive_origin *origin, struct config_report *report)
{
    struct rlimit own;
    unsigned long long most = 0;
    FILE *file = fopen("/proc/sys/fs/nr_open", "re");
    bool known = file != NULL && fscanf(file, "%llu", &most) == 1;
    if (file != NULL)
        (void)fclose(file);
    if (origin->file == NULL || wanted < 0)
        return;
    char number[32] = "unlimited";
    if (wanted != INT64_MAX)
        snprintf(number, sizeof number, "%lld", (long long)wanted);
    if (known && (unsigned long long)wanted > most)
        config_report_error(report, origin,
                            "[%s] rlimit_files = %s: the kernel allows at most %llu (sysctl "
                            "fs.nr_open)",
                            section, number, most);
    else if (geteuid() != 0 && getrlimit(RLIMIT_NOFILE, &own) == 0 &&
             own.rlim_max != RLIM_INFINITY && (rlim_t)wanted > own.rlim_max)
        config_report_error(report, origin,
                            "[%s] rlimit_files = %s: only root can raise the limit above %llu, "
                            "with which the manager is started",
                            section, number, (unsigned long long)own.rlim_max);
}

/* ---- sockets ---- */

/* Is the directive given, and not as its default? A dump gives every default. */
static bool config_check_is_chosen(const struct config_pool *pool, size_t index)
{
    const struct directive *row = &directive_pool[index];
    char *text = directive_value_text(row, pool);
    bool same = text != NULL && row->by_default != NULL && strcmp(text, row->by_default) == 0;
    free(text);
    return pool->origins[index].file != NULL && !same;
}

/* The kernel takes no filter of more instructions. An IPv4 network takes one, IPv6 up to nine. */
static void config_check_clients(const struct config_pool *pool, struct config_report *report)
{
    const struct value_parse_list *clients = &pool->listen_allowed_clients;
    if (clients->count == 0)
        return;
    struct cidr *nets = calloc(clients->count, sizeof *nets);
    struct sock_filter *code = calloc(CLIENT_FILTER_MAX, sizeof *code);
    for (size_t i = 0; nets != NULL && i < clients->count; i++)
        (void)cidr_parse(clients->items[i], strlen(clients->items[i]), &nets[i]);
    if (nets == NULL || code == NULL || client_filter_build(nets, clients->count, code) == 0)
        config_report_error(report, ORIGIN(pool, listen_allowed_clients),
                            "[%s] listen.allowed_clients: %zu entries are more than the kernel's "
                            "filter of %d instructions holds: an IPv6 address takes nine, an IPv6 "
                            "network five to seven, IPv4 one; join neighbours to larger networks",
                            pool->name, clients->count, CLIENT_FILTER_MAX);
    free(nets);
    free(code);
}

/* Directives that have no effect on the kind of socket the pool listens on. */
static void config_check_listen(const struct config_pool *pool, struct config_report *report)
{
    static const size_t unix_alone[] = {DIRECTIVE_POOL_listen_owner, DIRECTIVE_POOL_listen_group,
                                        DIRECTIVE_POOL_listen_mode};
    if (pool->listen.kind == VALUE_PARSE_ADDRESS_UNIX && pool->listen_allowed_clients.count > 0) {
        config_report_warning(report, ORIGIN(pool, listen_allowed_clients),
                              "[%s] listen.allowed_clients has no effect on a unix socket; "
                              "listen.owner, listen.group and listen.mode guard it",
                              pool->name);
    } else {
        config_check_clients(pool, report);
    }
    for (size_t i = 0; i < sizeof unix_alone / sizeof unix_alone[0]; i++) {
        if (pool->listen.kind == VALUE_PARSE_ADDRESS_TCP &&
            config_check_is_chosen(pool, unix_alone[i])) {
            config_report_warning(report, &pool->origins[unix_alone[i]],
                                  "[%s] %s has no effect on a TCP socket; listen.allowed_clients "
                                  "guards it",
                                  pool->name, directive_pool[unix_alone[i]].name);
        }
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

static void config_check_folder(const struct config_global *global, const char *section,
                                const char *name, const char *path,
                                const struct directive_origin *origin, struct config_report *report)
{
    if (path != NULL && *path == '/' && !config_check_has_folder(global, path)) {
        config_report_error(report, origin, "[%s] %s = %s%s: the folder %.*s does not exist",
                            section, name, path, origin->file == NULL ? " (by default)" : "",
                            (int)config_check_folder_length(path, strlen(path)), path);
    }
}

/* Can the manager write the log, or make it? Devices and pipes are for the start to find out. */
static void config_check_log(const char *section, const char *name, const char *path,
                             const struct directive_origin *origin, struct config_report *report)
{
    struct stat status;
    size_t length = path != NULL ? config_check_folder_length(path, strlen(path)) : 0;
    if (path == NULL || *path != '/' || strncmp(path, "/dev/", 5) == 0 ||
        strncmp(path, "/proc/", 6) == 0 || !config_check_is_folder(path, length))
        return;
    char *folder = length == 0 ? strdup("/") : strndup(path, length);
    bool there = stat(path, &status) == 0;
    if (folder != NULL && there && S_ISDIR(status.st_mode))
        config_report_error(report, origin, "[%s] %s = %s: is a folder", section, name, path);
    else if (folder != NULL && there && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
        config_report_error(
            report, origin, "[%s] %s = %s: cannot be written (%s, mode %04o, of user %u)", section,
            name, path, strerror(errno), (unsigned)status.st_mode & 07777, (unsigned)status.st_uid);
    else if (folder != NULL && !there && errno == ENOENT &&
             faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0 &&
             stat(folder, &status) == 0)
        config_report_error(report, origin,
                            "[%s] %s = %s: cannot be made in the folder %s (%s, mode %04o, of user "
                            "%u)",
                            section, name, path, folder, strerror(errno),
                            (unsigned)status.st_mode & 07777, (unsigned)status.st_uid);
    free(folder);
}

/* The log is opened before there is a folder that the manager makes. */
static void config_check_folders(const struct config_global *global,
                                 const struct config_pool *pools, size_t count,
                                 struct config_report *report)
{
    static const struct config_global none = {0};
    const struct directive_origin *origins = global->origins;
    config_check_folder(&none, "global", "error_log", global->error_log,
                        &origins[DIRECTIVE_GLOBAL_error_log], report);
    config_check_log("global", "error_log", global->error_log, &origins[DIRECTIVE_GLOBAL_error_log],
                     report);
    config_check_folder(global, "global", "pid", global->pid, &origins[DIRECTIVE_GLOBAL_pid],
                        report);
    config_check_folder(global, "global", "control.listen", global->control_listen.path,
                        &origins[DIRECTIVE_GLOBAL_control_listen], report);
    for (size_t i = 0; i < count; i++) {
        config_check_folder(global, pools[i].name, "listen", pools[i].listen.path,
                            ORIGIN(&pools[i], listen), report);
        config_check_folder(global, pools[i].name, "access.log", pools[i].access_log,
                            ORIGIN(&pools[i], access_log), report);
        config_check_folder(global, pools[i].name, "slowlog", pools[i].slowlog,
                            ORIGIN(&pools[i], slowlog), report);
        config_check_log(pools[i].name, "access.log", pools[i].access_log,
                         ORIGIN(&pools[i], access_log), report);
        config_check_log(pools[i].name, "slowlog", pools[i].slowlog, ORIGIN(&pools[i], slowlog),
                         report);
    }
}

/* `path` is what the pool's `name` says, and is looked for inside `root`. */
static void config_check_inside(const struct config_pool *pool, const char *root, const char *name,
                                const char *path, const struct directive_origin *origin,
                                struct config_report *report)
{
    int result = path != NULL ? chroot_path_folder(root, path) : 0;
    const char *inside = root != NULL ? " inside " : "";
    root = root != NULL ? root : "";
    if (result == ENOTDIR) {
        config_report_error(report, origin, "[%s] %s = %s: is not a folder%s%s", pool->name, name,
                            path, inside, root);
    } else if (result != 0) {
        config_report_error(report, origin, "[%s] %s = %s: cannot be used%s%s: %s", pool->name,
                            name, path, inside, root, strerror(result));
    }
}

/* A chroot that is missing is reported once; paths inside it are not reported too. */
static void config_check_jail(struct config_pool *pool, struct config_report *report)
{
    const char *root = pool->chroot;
    config_check_inside(pool, NULL, "chroot", root, ORIGIN(pool, chroot), report);
    if (root != NULL && chroot_path_folder(NULL, root) != 0)
        return;
    config_check_inside(pool, root, "chdir", pool->chdir, ORIGIN(pool, chdir), report);
    config_check_program(pool, report);
    config_check_reach(pool, report);
}

static void config_check_ident(const struct config_global *global, struct config_report *report)
{
    if (!log_line_ident_fits(global->syslog_ident)) {
        config_report_error(report, &global->origins[DIRECTIVE_GLOBAL_syslog_ident],
                            "[global] syslog.ident = %s: must be 1 to %d visible characters of "
                            "ASCII, without blanks",
                            global->syslog_ident, LOG_LINE_IDENT_MAX);
    }
}

/* ---- numbers of workers ---- */

/* Directives of *dynamic* that were not given follow from the others. */
static void config_check_complete_scaling(struct config_pool *pool)
{
    int64_t most = pool->pm_max_children;
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
}

static void config_check_at_most(const struct config_pool *pool, size_t index, int64_t value,
                                 const char *other, int64_t most, struct config_report *report)
{
    if (value > most && pool->origins[index].file != NULL) {
        config_report_error(report, &pool->origins[index],
                            "[%s] %s = %lld: must not be more than %s, which is %lld", pool->name,
                            directive_pool[index].name, (long long)value, other, (long long)most);
    }
}

/* These directives have no effect with another kind of pool, so a mistake there does no harm. */
static void config_check_scaling(struct config_pool *pool, struct config_report *report)
{
    bool known = ORIGIN(pool, pm_max_children)->file != NULL;
    if (!known)
        return; /* it was said that it is missing */
    config_check_complete_scaling(pool);
    if (pool->pm != DIRECTIVE_PM_DYNAMIC)
        return;
    config_check_at_most(pool, DIRECTIVE_POOL_pm_max_spare_servers, pool->pm_max_spare_servers,
                         "pm.max_children", pool->pm_max_children, report);
    config_check_at_most(pool, DIRECTIVE_POOL_pm_min_spare_servers, pool->pm_min_spare_servers,
                         "pm.max_spare_servers", pool->pm_max_spare_servers, report);
    config_check_at_most(pool, DIRECTIVE_POOL_pm_start_servers, pool->pm_start_servers,
                         "pm.max_children", pool->pm_max_children, report);
}

/* Does not fail, as pools need not all be busy at once; but the first workers are started. */
static void config_check_process_max(const struct config_global *global,
                                     const struct config_pool *pools, size_t count,
                                     struct config_report *report)
{
    int64_t first = 0;
    for (size_t i = 0; i < count; i++) {
        if (pools[i].pm_max_children == DIRECTIVE_UNSET)
            return;
        first += pools[i].pm == DIRECTIVE_PM_STATIC    ? pools[i].pm_max_children
                 : pools[i].pm == DIRECTIVE_PM_DYNAMIC ? pools[i].pm_start_servers
                                                       : 0;
    }
    if (global->process_max > 0 && first > global->process_max) {
        config_report_warning(
            report, &global->origins[DIRECTIVE_GLOBAL_process_max],
            "[global] process.max = %lld: the pools begin with %lld workers, not all "
            "of which will be started; raise it, or lower pm.max_children",
            (long long)global->process_max, (long long)first);
    }
}

/* ---- the access log ---- */

/* What workers read of it lies in a place of fixed size. */
static void config_check_access(const struct config_pool *pool, struct config_report *report)
{
    const struct value_parse_list *paths = &pool->access_suppress_path;
    char error[1024];
    size_t size = strlen(pool->access_format) + 1;
    struct log_format *format = log_format_compile(pool->access_format, error, sizeof error);
    if (format == NULL) {
        config_report_error(report, ORIGIN(pool, access_format), "[%s] access.format = %.200s: %s",
                            pool->name, pool->access_format, error);
    }
    log_format_free(&format);
    for (size_t i = 0; i < paths->count; i++) {
        size += strlen(paths->items[i]) + 1;
        if (paths->items[i][0] != '/' || strchr(paths->items[i], '?') != NULL) {
            config_report_error(report, ORIGIN(pool, access_suppress_path),
                                "[%s] access.suppress_path[] = %.200s: must be a path that begins "
                                "with /, without a query",
                                pool->name, paths->items[i]);
        }
    }
    if (size > OT_ACCESS_SIZE) {
        config_report_error(report, ORIGIN(pool, access_suppress_path),
                            "[%s] access.suppress_path[]: these paths and access.format have %zu "
                            "bytes together; %d fit",
                            pool->name, size, OT_ACCESS_SIZE);
    }
}

/* ---- status and ping ---- */

static void config_check_length(const struct config_pool *pool,
                                const struct directive_origin *origin, const char *name,
                                const char *text, struct config_report *report)
{
    if (text != NULL && strlen(text) >= OT_PATH_MAX) {
        config_report_error(report, origin, "[%s] %s = %.60s...: has %zu bytes; %d fit", pool->name,
                            name, text, strlen(text), OT_PATH_MAX - 1);
    }
}

static void config_check_answers(const struct config_pool *pool, struct config_report *report)
{
    const char *status = pool->pm_status_path;
    const char *ping = pool->ping_path;
    config_check_length(pool, ORIGIN(pool, pm_status_path), "pm.status_path", status, report);
    config_check_length(pool, ORIGIN(pool, ping_path), "ping.path", ping, report);
    config_check_length(pool, ORIGIN(pool, ping_response), "ping.response", pool->ping_response,
                        report);
    if ((status != NULL && strchr(status, '?') != NULL) ||
        (ping != NULL && strchr(ping, '?') != NULL)) {
        bool first = status != NULL && strchr(status, '?') != NULL;
        config_report_error(report, first ? ORIGIN(pool, pm_status_path) : ORIGIN(pool, ping_path),
                            "[%s] %s = %.200s: must be a path without a query", pool->name,
                            first ? "pm.status_path" : "ping.path", first ? status : ping);
    }
    if (status == NULL && ping == NULL && pool->pm_status_listen.kind != VALUE_PARSE_ADDRESS_NONE) {
        config_report_error(report, ORIGIN(pool, pm_status_listen),
                            "[%s] pm.status_listen = %s: there is nothing to answer; set "
                            "pm.status_path or ping.path",
                            pool->name, pool->pm_status_listen.text);
    }
    if (status != NULL && ping != NULL && strcmp(status, ping) == 0) {
        config_report_error(report, ORIGIN(pool, ping_path),
                            "[%s] ping.path = %.200s: is pm.status_path as well; ping would never "
                            "be answered",
                            pool->name, ping);
    }
}

/* ---- the slow log ---- */

static void config_check_slow_limit(const struct config_pool *pool, size_t index, int64_t limit,
                                    size_t end_index, int64_t end, struct config_report *report)
{
    const char *name = directive_pool[index].name;
    if (limit > 0 && pool->slowlog == NULL)
        config_report_error(report, &pool->origins[index],
                            "[%s] %s: there is no slow log to write to; name a file, as in slowlog "
                            "= /var/log/overtime/$pool.slow, or remove the line",
                            pool->name, name);
    else if (limit > 0 && end > 0 && limit >= end)
        config_report_warning(
            report, &pool->origins[index],
            "[%s] %s has no effect: it is not less than %s, at which the worker is ended",
            pool->name, name, directive_pool[end_index].name);
}

static void config_check_slow_log(const struct config_pool *pool, struct config_report *report)
{
    config_check_slow_limit(pool, DIRECTIVE_POOL_request_slowlog_timeout,
                            pool->request_slowlog_timeout, DIRECTIVE_POOL_request_terminate_timeout,
                            pool->request_terminate_timeout, report);
    config_check_slow_limit(pool, DIRECTIVE_POOL_post_response_slowlog_timeout,
                            pool->post_response_slowlog_timeout,
                            DIRECTIVE_POOL_post_response_terminate_timeout,
                            pool->post_response_terminate_timeout, report);
    if (pool->slowlog_command.argc == 0)
        return;
    /* The manager runs it, not a worker: outside of the pool's chroot. */
    const char *name = pool->slowlog_command.argv[0];
    int result = *name == '/' ? chroot_path_runnable(NULL, name) : EINVAL;
    if (result != 0)
        config_report_error(report, ORIGIN(pool, slowlog_command),
                            "[%s] slowlog.command = %.200s: must begin with the absolute path of a "
                            "program; %.200s: %s",
                            pool->name, pool->slowlog_command.text, name, strerror(result));
}

void config_check_pool(struct config_pool *pool, bool allow_root, struct config_report *report)
{
    config_check_required(pool, report);
    address_place_look(&pool->listen);
    address_place_look(&pool->pm_status_listen);
    if (geteuid() == 0)
        config_check_as_root(pool, allow_root, report);
    else
        config_check_as_user(pool, report);
    config_check_powers(pool, report);
    config_check_files(pool->rlimit_files, pool->name, ORIGIN(pool, rlimit_files), report);
    config_check_jail(pool, report);
    config_check_listen(pool, report);
    config_check_access(pool, report);
    config_check_answers(pool, report);
    config_check_slow_log(pool, report);
    config_check_scaling(pool, report);
}

/* ---- addresses ---- */

/* An address of the file, and the directive that gives it. */
struct config_check_address {
    const struct value_parse_address *address;
    const char *section, *name;
    const struct directive_origin *origin;
};

static struct config_check_address config_check_listen_of(const struct config_pool *pool)
{
    return (struct config_check_address){&pool->listen, pool->name, "listen", ORIGIN(pool, listen)};
}

static struct config_check_address config_check_status_of(const struct config_pool *pool)
{
    return (struct config_check_address){&pool->pm_status_listen, pool->name, "pm.status_listen",
                                         ORIGIN(pool, pm_status_listen)};
}

/* Reports that both cannot be listened on. Returns whether that is so. */
static bool config_check_clash(struct config_check_address one, struct config_check_address other,
                               struct config_report *report)
{
    char where[PATH_MAX + 32] = " (by default)";
    if (!address_place_clash(one.address, other.address))
        return false;
    if (other.origin->file != NULL)
        snprintf(where, sizeof where, ", see %s:%u", other.origin->file, other.origin->line);
    config_report_error(
        report, one.origin, "[%s] %s = %s: [%s] %s = %s is %s%s", one.section, one.name,
        one.address->text, other.section, other.name, other.address->text,
        address_place_same(one.address, other.address) ? "there already" : "in its way", where);
    return true;
}

/* Of pool number `index`, against what stands before it. One report for each address. */
static void config_check_addresses(const struct config_global *global,
                                   const struct config_pool *pools, size_t index, size_t count,
                                   struct config_report *report)
{
    const struct config_check_address control = {&global->control_listen, "global",
                                                 "control.listen",
                                                 &global->origins[DIRECTIVE_GLOBAL_control_listen]};
    const struct config_check_address own = config_check_listen_of(&pools[index]);
    const struct config_check_address status = config_check_status_of(&pools[index]);
    bool found = config_check_clash(own, control, report);
    for (size_t i = 0; i < index && !found; i++)
        found = config_check_clash(own, config_check_listen_of(&pools[i]), report);
    found = config_check_clash(status, control, report);
    for (size_t i = 0; i < count && !found; i++)
        found =
            config_check_clash(status, config_check_listen_of(&pools[i]), report) ||
            (i < index && config_check_clash(status, config_check_status_of(&pools[i]), report));
}

void config_check_all(struct config_global *global, const struct config_pool *pools, size_t count,
                      struct config_report *report)
{
    if (geteuid() != 0)
        config_check_global_as_user(global, report);
    config_check_ident(global, report);
    address_place_look(&global->control_listen);
    config_check_files(global->rlimit_files, "global",
                       &global->origins[DIRECTIVE_GLOBAL_rlimit_files], report);
    config_check_folders(global, pools, count, report);
    config_check_process_max(global, pools, count, report);
    for (size_t i = 0; i < count; i++)
        config_check_addresses(global, pools, i, count, report);
}
