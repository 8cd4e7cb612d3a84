/* process_limits.c: see process_limits.h. */
#include "fpm/worker/process_limits.h"

#include "fpm/log/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rlimit process_limits_files; /* see process_limits_worker_files */
static bool process_limits_files_known;

static void process_limits_warn(const char *directive)
{
    log_warning("cannot set `%s` in [global]: %s", directive, strerror(errno));
}

static void process_limits_set(int resource, int64_t value, const char *directive)
{
    if (value < 0)
        return;
    rlim_t number = value == INT64_MAX ? RLIM_INFINITY : (rlim_t)value;
    struct rlimit both = {.rlim_cur = number, .rlim_max = number};
    if (setrlimit((__rlimit_resource_t)resource, &both) != 0)
        process_limits_warn(directive);
}

void process_limits_prepare(const struct config_global *global)
{
    struct rlimit *files = &process_limits_files;
    process_limits_set(RLIMIT_NOFILE, global->rlimit_files, "rlimit_files");
    if (global->rlimit_files >= 0 || !process_limits_files_known)
        process_limits_files_known = getrlimit(RLIMIT_NOFILE, files) == 0;
    const struct rlimit raised = {files->rlim_max, files->rlim_max};
    if (global->rlimit_files < 0 && process_limits_files_known &&
        raised.rlim_cur != files->rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) != 0)
        log_warning("cannot raise the limit of open files from %ju to %ju: %s; set `rlimit_files` "
                    "in [global]",
                    (uintmax_t)files->rlim_cur, (uintmax_t)raised.rlim_cur, strerror(errno));

    process_limits_set(RLIMIT_CORE, global->rlimit_core, "rlimit_core");
    if (global->process_priority != DIRECTIVE_UNSET &&
        setpriority(PRIO_PROCESS, 0, (int)global->process_priority) != 0)
        process_limits_warn("process.priority");
    if (global->rlimit_core <= 0)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

struct rlimit process_limits_worker_files(void)
{
    struct rlimit now = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    if (process_limits_files_known)
        return process_limits_files;
    (void)getrlimit(RLIMIT_NOFILE, &now);
    return now;
}

void process_limits_adopt(const struct rlimit *files)
{
    process_limits_files = *files;
    process_limits_files_known = true;
}

/* ---- the program's own file ---- */

static const char process_limits_running[] = "/proc/self/exe";

/* The absolute path of FOLDER/WORD, if it is the file that runs; else NULL. */
static char *process_limits_is_at(const char *folder, size_t length, const char *word)
{
    struct stat there, running;
    char here[PATH_MAX] = "", *path = NULL;
    if ((length == 0 || *folder != '/') && *word != '/' && getcwd(here, sizeof here) == NULL)
        return NULL;
    if (asprintf(&path, "%s%s%.*s%s%s", here, *here != '\0' && length > 0 ? "/" : "", (int)length,
                 folder, *word != '/' ? "/" : "", word) < 0)
        return NULL;
    if (stat(path, &there) == 0 && stat(process_limits_running, &running) == 0 &&
        there.st_dev == running.st_dev && there.st_ino == running.st_ino)
        return path;
    free(path);
    return NULL;
}

char *process_limits_program(const char *word)
{
    const char *rest = getenv("PATH");
    char *found = NULL;
    if (word != NULL && strchr(word, '/') != NULL)
        found = process_limits_is_at("", 0, word);
    else if (word != NULL)
        while (rest != NULL && found == NULL) {
            size_t length = strcspn(rest, ":");
            found = process_limits_is_at(rest, length, word);
            rest = rest[length] == ':' ? rest + length + 1 : NULL;
        }
    return found != NULL ? found : realpath(process_limits_running, NULL);
}
