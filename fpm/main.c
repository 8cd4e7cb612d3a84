/* main.c: the program `overtime`: command line, configuration, background, log, pid file; then
 * master. */
#include "fpm/config/config.h"
#include "fpm/config/log_settings.h"
#include "fpm/log/log.h"
#include "fpm/master.h"
#include "fpm/pool/socket_activation.h"
#include "fpm/upgrade/upgrade.h"
#include "fpm/util/daemonize.h"
#include "fpm/util/error.h"
#include "fpm/util/fd.h"
#include "fpm/util/pidfile.h"
#include "fpm/util/version.h"
#include "fpm/worker/process_limits.h"
#include "sapi-shim/contract.h"

#include <ev.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define MAIN_CONFIGURATION "/etc/overtime/overtime.ini"

struct main_options {
    const char *configuration;
    char pidfile[PATH_MAX]; /* absolute, "" = as configured */
    int test;               /* how many -t */
    int background;         /* 1 -D, 0 -F, -1 as configured */
    bool allow_root;
    bool take_over;
    int can_adopt; /* descriptor of the state to try (upgrade.h), -1 = none */
};

/* The state that the hooks work on. */
struct main_life {
    struct daemonize detach;
    struct pidfile pidfile;
    const char *pid_path; /* NULL: none */
    bool background;
};

static void main_usage(FILE *out)
{
    fputs("usage: overtime [-c FILE] [-t | -tt] [-F | -D] [-g PIDFILE] [-R] [--take-over]\n"
          "                [-v] [-h]\n"
          "  -c FILE     main configuration (default " MAIN_CONFIGURATION ",\n"
          "              or where the program is installed: PREFIX/etc/overtime/overtime.ini)\n"
          "  -t          check the configuration and exit\n"
          "  -tt         check it, print every effective value with its origin, and exit\n"
          "  -F          stay in the foreground\n"
          "  -D          go to the background when ready\n"
          "  -g PIDFILE  write the process number there\n"
          "  -R          allow workers to run as root\n"
          "  --take-over take the sockets of workers whose manager was killed, and have\n"
          "              these workers finish their work and go\n"
          "  -v, --version  print the version and exit\n"
          "  -h, --help     print this and exit\n",
          out);
}

/* The configuration where the program is installed: /opt/x/etc/overtime/overtime.ini for
 * /opt/x/sbin/overtime. For /usr and /usr/local, and where there is none: MAIN_CONFIGURATION. */
static const char *main_configuration(void)
{
    static const char program[] = "/sbin/overtime";
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof MAIN_CONFIGURATION);
    size_t prefix = length < 0 ? 0 : (size_t)length;
    if (prefix < sizeof program ||
        memcmp(path + prefix - (sizeof program - 1), program, sizeof program - 1) != 0)
        return MAIN_CONFIGURATION;
    prefix -= sizeof program - 1;
    path[prefix] = '\0';
    if (strcmp(path, "/usr") == 0 || strcmp(path, "/usr/local") == 0)
        return MAIN_CONFIGURATION;
    memcpy(path + prefix, MAIN_CONFIGURATION, sizeof MAIN_CONFIGURATION);
    return access(path, F_OK) == 0 ? path : MAIN_CONFIGURATION;
}

static int main_bad_usage(const char *complaint)
{
    fprintf(stderr, "overtime: %s\n", complaint);
    main_usage(stderr);
    return EX_USAGE;
}

/* Made absolute now, because the process in the background has another working directory. */
static int main_absolute(const char *path, char *out, size_t size)
{
    char folder[PATH_MAX] = "";
    if (path[0] != '/' && getcwd(folder, sizeof folder) == NULL)
        return -1;
    int length = snprintf(out, size, "%s%s%s", folder, *folder != '\0' ? "/" : "", path);
    return length > 0 && (size_t)length < size ? 0 : -1;
}

static int main_version(void)
{
    printf("overtime %s (contract %u, libev %d.%d)\n", OVERTIME_VERSION, OT_CONTRACT_VERSION,
           ev_version_major(), ev_version_minor());
    return EX_OK;
}

/* Returns -1 to go on, or an exit status. */
static int main_parse(int argc, char **argv, struct main_options *options)
{
    static const struct option words[] = {{"version", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"take-over", no_argument, NULL, 'T'},
                                          {UPGRADE_OPTION, required_argument, NULL, 'A'},
                                          {0}};
    int option;
    *options = (struct main_options){
        .configuration = main_configuration(), .background = -1, .can_adopt = -1};
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:tFDg:Rvh", words, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->configuration = optarg;
            break;
        case 't':
            options->test++;
            break;
        case 'F':
        case 'D':
            if (options->background == (option == 'F'))
                return main_bad_usage("-F and -D exclude each other");
            options->background = option == 'D';
            break;
        case 'g':
            if (*optarg == '\0' ||
                main_absolute(optarg, options->pidfile, sizeof options->pidfile) != 0)
                return main_bad_usage("-g: not a usable path");
            break;
        case 'R':
            options->allow_root = true;
            break;
        case 'T':
            options->take_over = true;
            break;
        case 'A':
            options->can_adopt = atoi(optarg);
            break;
        case 'v':
            return main_version();
        case 'h':
            main_usage(stdout);
            return EX_OK;
        default: {
            char complaint[128], letter[] = {'-', (char)optopt, '\0'};
            /* getopt_long sets optopt for a long option only if that takes no value. */
            bool word = strncmp(argv[optind - 1], "--", 2) == 0;
            snprintf(complaint, sizeof complaint, "%s %.80s",
                     option == ':'         ? "a value is missing after"
                     : word && optopt != 0 ? "no value is taken by"
                                           : "unknown option",
                     word ? argv[optind - 1] : letter);
            return main_bad_usage(complaint);
        }
        }
    }
    return optind < argc ? main_bad_usage("there are no arguments, only options") : -1;
}

static void main_print(const struct value_parse_list *sentences)
{
    for (size_t i = 0; i < sentences->count; i++)
        fprintf(stderr, "overtime: %s\n", sentences->items[i]);
}

static int main_test(const struct config *config, int level)
{
    if (level > 1)
        return config_dump(config, stdout) == 0 && fflush(stdout) == 0 ? EX_OK : EX_SOFTWARE;
    printf("%s: the configuration is fine, %zu pool%s\n", config->file, config->pool_count,
           config->pool_count == 1 ? "" : "s");
    return EX_OK;
}

/* ---- the hooks ---- */

/* Every pool has taken its socket by now. */
static int main_up(void *context, char *error, size_t size)
{
    struct main_life *life = context;
    char left[ERROR_SIZE];
    while (socket_activation_drop(left, sizeof left))
        log_warning("%s", left);
    if (life->pid_path != NULL && pidfile_write(&life->pidfile, life->pid_path, error, size) != 0)
        return -1;
    return 0;
}

static void main_announced(void *context)
{
    struct main_life *life = context;
    log_mirror(LOG_LEVEL_NONE);
    if (life->detach.fd >= 0)
        log_background();
    daemonize_report(&life->detach, EX_OK);
}

static void main_down(void *context)
{
    struct main_life *life = context;
    pidfile_remove(&life->pidfile);
}

static void main_save(void *context, struct upgrade_manager *manager)
{
    const struct main_life *life = context;
    manager->background = life->background;
    manager->pid_path = life->pidfile.path;
    manager->pid_fd = life->pidfile.fd;
    manager->files = process_limits_worker_files();
}

/* `saved`: the state before an upgrade, NULL = this is a start. */
static int main_run(struct config *config, struct main_life *life,
                    const struct main_options *options, struct upgrade_saved *saved, char **argv)
{
    char *path = process_limits_program(argv[0]);
    const struct master_hooks hooks = {
        .up = main_up,
        .announced = main_announced,
        .down = main_down,
        .save = main_save,
        .must_serve = life->background && saved == NULL,
        .take_over = options->take_over,
        .flags = options->allow_root ? CONFIG_ALLOW_ROOT : 0,
        .context = life,
        .program = {path != NULL ? path : argv[0], argv},
        .saved = saved,
    };
    int status = master_run(config, &hooks);
    free(path);
    return status;
}

/* ---- the start ---- */

static int main_start(struct config *config, const struct config_report *report,
                      const struct main_options *options, char **argv)
{
    struct main_life life = {.detach = DAEMONIZE_NONE, .pidfile = PIDFILE_NONE};
    char error[ERROR_SIZE];
    bool background = options->background < 0 ? config->global.daemonize : options->background;
    life.background = background;
    life.pid_path = *options->pidfile != '\0' ? options->pidfile : config->global.pid;
    if (background && log_is_stderr(config->global.error_log)) {
        fputs("overtime: the background has no standard error: set `error_log` in [global] to a "
              "file, or stay in the foreground with -F\n",
              stderr);
        return EX_CONFIG;
    }
    if ((life.pid_path != NULL && pidfile_check(life.pid_path, error, sizeof error) != 0) ||
        socket_activation_open(error, sizeof error) != 0 ||
        (background && daemonize(&life.detach, error, sizeof error) != 0)) {
        fprintf(stderr, "overtime: %s\n", error);
        return EX_SOFTWARE;
    }
    int status = EX_CONFIG;
    /* The process that started the manager reads its errors until the outcome of the start is
     * known. */
    log_mirror(LOG_LEVEL_WARNING);
    if (log_settings_apply(&config->global, error, sizeof error) != 0) {
        log_alert("%s", error);
    } else {
        for (size_t i = 0; i < report->warnings.count; i++)
            log_warning("%s", report->warnings.items[i]);
        process_limits_prepare(&config->global);
        status = main_run(config, &life, options, NULL, argv);
    }
    daemonize_report(&life.detach, status);
    return status;
}

/* After an upgrade (upgrade.h): workers and sockets are there already. */
static int main_restore(int fd, const struct main_options *options, char **argv)
{
    struct upgrade_saved saved;
    struct main_life life = {.detach = DAEMONIZE_NONE, .pidfile = PIDFILE_NONE};
    char error[ERROR_SIZE];
    int status = EX_SOFTWARE;
    unsigned flags = options->allow_root ? CONFIG_ALLOW_ROOT : 0;
    if (upgrade_read(&saved, fd, SAVED_STATE_RESTORE, flags, error, sizeof error) != 0) {
        log_alert("upgrade: %s", error);
    } else {
        const struct config *config = saved.configs.items[0];
        life.background = saved.manager.background;
        life.pidfile = (struct pidfile){.path = saved.manager.pid_path, .fd = saved.manager.pid_fd};
        saved.manager.pid_path = NULL;
        if (life.background)
            log_background();
        if (log_settings_apply(&config->global, error, sizeof error) != 0)
            log_alert("upgrade: %s", error);
        process_limits_adopt(&saved.manager.files);
        process_limits_prepare(&config->global);
        status = main_run(saved.configs.items[0], &life, options, &saved, argv);
    }
    upgrade_free(&saved);
    return status;
}

/* Answers the running manager whether this program can take its place. */
static int main_try(int fd, unsigned flags)
{
    char error[ERROR_SIZE];
    if (upgrade_try(fd, flags, error, sizeof error) != 0) {
        fprintf(stderr, "%s\n", error);
        return EX_SOFTWARE;
    }
    puts(UPGRADE_YES_BEFORE OVERTIME_VERSION UPGRADE_YES_AFTER);
    return fflush(stdout) == 0 ? EX_OK : EX_SOFTWARE;
}

int main(int argc, char **argv)
{
    struct main_options options;
    struct config_report report = {0};
    int saved = upgrade_given();
    if (fd_fill_standard() != 0)
        return EX_SOFTWARE;
    fd_cloexec_from(STDERR_FILENO + 1);
    int status = main_parse(argc, argv, &options);
    if (status >= 0)
        return status;
    if (saved >= 0)
        return main_restore(saved, &options, argv);
    unsigned flags = options.allow_root ? CONFIG_ALLOW_ROOT : 0;
    struct config *config = config_load(options.configuration, flags, &report);
    main_print(&report.errors);
    if (options.test > 0)
        main_print(&report.warnings);
    if (config == NULL)
        status = EX_CONFIG;
    else if (options.can_adopt >= 0)
        status = main_try(options.can_adopt, flags);
    else if (options.test > 0)
        status = main_test(config, options.test);
    else
        status = main_start(config, &report, &options, argv);
    config_free(&config);
    config_report_free(&report);
    return status;
}
