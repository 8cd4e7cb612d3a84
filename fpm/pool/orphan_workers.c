/* orphan_workers.c: see orphan_workers.h. */
#include "fpm/pool/orphan_workers.h"

#include "fpm/log/log.h"
#include "fpm/util/error.h"
#include "fpm/util/fd.h"
#include "fpm/worker/idle_check.h"
#include "fpm/worker/proc_socket.h"
#include "sapi-shim/contract.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/scalar.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ORPHAN_WORKERS_MAX = 1024,
    ORPHAN_WORKERS_FILES = 1024, /* descriptors that are looked at, of one process */
    ORPHAN_WORKERS_DEPTH = 64,   /* of ancestors */
    ORPHAN_WORKERS_SHOWN = 8,    /* in one line of the log */
    ORPHAN_WORKERS_POLL = 50,    /* ms between looks at those that are to go */
    ORPHAN_WORKERS_SOCKETS = 3   /* that a worker was given */
};

struct orphan {
    struct process_tree_process process;
    const char *pool; /* whose socket it holds, allocated; NULL = of none */
    bool (*serves)(void *context);
    void *context;
    int listen_fd; /* a copy of the socket that it holds */
    int64_t grace; /* ms */
    int64_t asked; /* ms: when it was told to go, 0 = not yet */
    bool told;     /* by a signal that needs no other */
    bool killed;
    int64_t next; /* ms: the next look */
    struct idle_check idle;
};

static struct orphan *orphan_workers_list;
static unsigned orphan_workers_count;
static pid_t orphan_workers_denied; /* one that may not be traced; 0 = all may */
static bool orphan_workers_taking, orphan_workers_starting;
static struct ev_loop *orphan_workers_loop;
static ev_timer orphan_workers_timer;

/* ---- finding them ---- */

/* Is one of its ancestors a manager? The one that started us is none of its. */
static bool orphan_workers_has_manager(const struct process_tree_process *process)
{
    struct process_tree_process ancestor, self;
    pid_t pid = process->parent;
    if (!process_tree_read(getpid(), &self))
        return true;
    for (int depth = 0; depth < ORPHAN_WORKERS_DEPTH && pid > 1; depth++) {
        if (!process_tree_read(pid, &ancestor))
            return true;
        if (strcmp(ancestor.name, "overtime") == 0 || strcmp(ancestor.name, self.name) == 0)
            return true;
        pid = ancestor.parent;
    }
    return pid > 1;
}

static void orphan_workers_look(void)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL &&
           orphan_workers_count < ORPHAN_WORKERS_MAX) {
        struct process_tree_process process;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (!isdigit((unsigned char)entry->d_name[0]) || pid <= 1 ||
            !process_tree_was_given(pid, OT_CONTRACT_ENV "=") ||
            !process_tree_read(pid, &process) || process.ended ||
            orphan_workers_has_manager(&process))
            continue;
        struct orphan *grown =
            reallocarray(orphan_workers_list, orphan_workers_count + 1, sizeof *grown);
        if (grown == NULL)
            break;
        orphan_workers_list = grown;
        grown[orphan_workers_count++] = (struct orphan){.process = process, .listen_fd = -1};
    }
    if (folder != NULL)
        (void)closedir(folder);
}

/* A copy of the socket by which the process listens at the address; -1 = it does not. */
static int orphan_workers_socket(pid_t pid, const struct socket_spec *spec)
{
    for (int number = 0; number < ORPHAN_WORKERS_FILES; number++) {
        char path[64];
        struct stat status;
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, number);
        if (stat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
            continue;
        int listens = 0, copy = proc_socket_copy(pid, number);
        socklen_t length = sizeof listens;
        if (copy < 0 && errno == EPERM)
            orphan_workers_denied = pid;
        if (copy >= 0 && getsockopt(copy, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 &&
            listens && socket_is_at(copy, spec))
            return copy;
        fd_close(&copy);
    }
    return -1;
}

/* ---- naming them ---- */

static void orphan_workers_name(const struct process_tree_process *process, char *out, size_t size)
{
    char path[64], since[32] = "?";
    struct stat status;
    struct timespec up;
    struct tm local;
    (void)snprintf(path, sizeof path, "/proc/%d", (int)process->pid);
    const struct passwd *user = stat(path, &status) == 0 ? getpwuid(status.st_uid) : NULL;
    (void)clock_gettime(CLOCK_BOOTTIME, &up);
    time_t began = time(NULL) - up.tv_sec + (time_t)(process->started / sysconf(_SC_CLK_TCK));
    if (localtime_r(&began, &local) != NULL)
        (void)strftime(since, sizeof since, "%d-%b-%Y %H:%M:%S", &local);
    (void)snprintf(out, size, "%d (%s, user %s, since %s)", (int)process->pid, process->name,
                   user != NULL ? user->pw_name : "unknown", since);
}

/* Those that hold the socket of a pool or, with `spec`, one at that address. Returns their number.
 */
static unsigned orphan_workers_names(const struct socket_spec *spec, const void *context, char *out,
                                     size_t size)
{
    unsigned count = 0;
    size_t used = 0;
    *out = '\0';
    for (unsigned i = 0; i < orphan_workers_count; i++) {
        const struct orphan *orphan = &orphan_workers_list[i];
        char one[160];
        int copy = spec != NULL ? orphan_workers_socket(orphan->process.pid, spec) : -1;
        bool holds =
            copy >= 0 || (spec == NULL && orphan->pool != NULL && orphan->context == context);
        fd_close(&copy);
        if (!holds || ++count > ORPHAN_WORKERS_SHOWN)
            continue;
        orphan_workers_name(&orphan->process, one, sizeof one);
        int more = snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", one);
        used += more > 0 && (size_t)more < size - used ? (size_t)more : 0;
    }
    if (count > ORPHAN_WORKERS_SHOWN)
        (void)snprintf(out + used, size - used, " and %u more", count - ORPHAN_WORKERS_SHOWN);
    return count;
}

/* ---- their socket ---- */

int orphan_workers_take(const struct socket_spec *spec, struct socket_listener *listener,
                        char *text, size_t size)
{
    char names[ERROR_SIZE / 2], why[ERROR_SIZE / 4] = "";
    orphan_workers_denied = 0;
    errno = EADDRINUSE;
    if (!orphan_workers_starting)
        return -1;
    unsigned count = orphan_workers_names(spec, NULL, names, sizeof names);
    if (count == 0) {
        size_t used = strlen(text);
        if (orphan_workers_denied > 0)
            (void)snprintf(text + used, size - used,
                           "; it may be process %d, a worker of a manager that has gone, but this "
                           "user may not look: start as root, or see kernel.yama.ptrace_scope",
                           (int)orphan_workers_denied);
        errno = EADDRINUSE;
        return -1;
    }
    for (unsigned i = 0; i < orphan_workers_count && orphan_workers_taking; i++) {
        int copy = orphan_workers_socket(orphan_workers_list[i].process.pid, spec);
        if (copy >= 0 && socket_take(listener, copy, spec, why, sizeof why) == 0)
            return 0;
        fd_close(&copy);
    }
    (void)snprintf(
        text, size,
        "cannot listen on %s%s: %u worker%s of a manager that has gone hold%s it: %s; %s%s",
        spec->path != NULL ? "" : "port ", spec->path != NULL ? spec->path : spec->port, count,
        count == 1 ? "" : "s", count == 1 ? "s" : "", names,
        orphan_workers_taking ? "it cannot be taken over: "
                              : "end them, or start with --take-over, which has them "
                                "finish their work and serves meanwhile",
        why);
    errno = EADDRINUSE;
    return -1;
}

/* ---- their end ---- */

static bool orphan_workers_is_there(const struct orphan *orphan)
{
    struct process_tree_process now;
    return process_tree_read(orphan->process.pid, &now) && !now.ended &&
           now.started == orphan->process.started;
}

/* The sockets that it was given: the pool's, and two through which workers exchange connections. */
static void orphan_workers_given(const struct orphan *orphan, ino_t given[ORPHAN_WORKERS_SOCKETS])
{
    const int numbers[] = {OT_FD_HANDOFF_IN, OT_FD_HANDOFF_OUT};
    struct stat status;
    given[0] = fstat(orphan->listen_fd, &status) == 0 ? status.st_ino : 0;
    for (int i = 0; i < 2; i++) {
        int type = 0, copy = proc_socket_copy(orphan->process.pid, numbers[i]);
        socklen_t length = sizeof type;
        bool is_one = copy >= 0 && getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
                      type == SOCK_SEQPACKET && fstat(copy, &status) == 0;
        given[1 + i] = is_one ? status.st_ino : 0;
        fd_close(&copy);
    }
}

/* The library has handlers for both. It serves the queue before the last of its workers goes. */
static bool orphan_workers_has_library(pid_t pid)
{
    return process_tree_catches(pid, SIGQUIT) && process_tree_catches(pid, SIGURG);
}

/* Tells one to go, without the library between two requests. Returns ms until the next look. */
static int64_t orphan_workers_tell(struct orphan *orphan, int64_t waited)
{
    static struct process_tree_list list;
    ino_t given[ORPHAN_WORKERS_SOCKETS];
    const struct idle_check_sockets sockets = {given, ORPHAN_WORKERS_SOCKETS, orphan->listen_fd};
    if (orphan_workers_has_library(orphan->process.pid)) {
        process_tree_signal_process(&orphan->process, SIGQUIT);
        orphan->told = true;
        return ORPHAN_WORKERS_POLL;
    }
    if (!process_tree_read(orphan->process.pid, &list.items[0]))
        return ORPHAN_WORKERS_POLL;
    list.count = 1;
    orphan_workers_given(orphan, given);
    switch (idle_check_look(&orphan->idle, &list, &sockets,
                            waited > orphan->grace / 2 ? 0 : IDLE_CHECK_QUIET, waited > 1000)) {
    case IDLE_CHECK_FREEZING:
        return IDLE_CHECK_PAUSE;
    case IDLE_CHECK_ANSWERING:
        return IDLE_CHECK_SOON;
    case IDLE_CHECK_IDLE:
        orphan->told = idle_check_end(&orphan->idle, &list);
        return 200;
    case IDLE_CHECK_BUSY:
    case IDLE_CHECK_UNKNOWN:
    default:
        return ORPHAN_WORKERS_POLL;
    }
}

static void orphan_workers_drop(struct orphan *orphan)
{
    fd_close(&orphan->listen_fd);
    free((void *)orphan->pool);
    *orphan = orphan_workers_list[--orphan_workers_count];
}

/* The next step of one that is to go. False if it has gone. */
static bool orphan_workers_step(struct orphan *orphan, int64_t now)
{
    char after[32];
    int64_t waited = orphan->asked != 0 ? now - orphan->asked : 0;
    scalar_duration(waited, after, sizeof after);
    orphan->next = now + ORPHAN_WORKERS_POLL;
    if (!orphan_workers_is_there(orphan)) {
        log_pool(LOG_LEVEL_NOTICE, orphan->pool, "worker %d (%s) of an earlier manager has ended",
                 (int)orphan->process.pid, orphan->process.name);
        return false;
    }
    if (orphan->asked == 0) {
        if (!orphan->serves(orphan->context))
            return true;
        orphan->asked = now;
        /* That manager may have stopped it for a moment. */
        process_tree_signal_process(&orphan->process, SIGCONT);
    }
    if (waited >= orphan->grace && !orphan->killed) {
        log_pool(LOG_LEVEL_WARNING, orphan->pool,
                 "worker %d (%s) of an earlier manager is killed: it did not end within %s of "
                 "being asked to; see `process_control_timeout`",
                 (int)orphan->process.pid, orphan->process.name, after);
        process_tree_signal_process(&orphan->process, SIGKILL);
        orphan->killed = true;
    } else if (!orphan->told) {
        orphan->next = now + orphan_workers_tell(orphan, waited);
    }
    return true;
}

static void orphan_workers_on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    int64_t now = clock_ms(), next = now + ORPHAN_WORKERS_POLL;
    bool any = false;
    (void)events;
    for (unsigned i = orphan_workers_count; i > 0; i--) {
        struct orphan *orphan = &orphan_workers_list[i - 1];
        if (orphan->pool == NULL)
            continue;
        if (orphan->next <= now && !orphan_workers_step(orphan, now)) {
            orphan_workers_drop(orphan);
            continue;
        }
        any = true;
        next = orphan->next < next ? orphan->next : next;
    }
    if (!any)
        return;
    ev_timer_set(timer, (double)(next > now ? next - now : 1) / 1000., 0.);
    ev_timer_start(loop, timer);
}

bool orphan_workers_replace(const char *pool, const struct socket_spec *spec,
                            const struct socket_listener *listener, int64_t grace,
                            bool (*serves)(void *context), void *context)
{
    char names[ERROR_SIZE / 2];
    bool takes = orphan_workers_taking || listener->given;
    unsigned count = 0;
    for (unsigned i = 0; i < orphan_workers_count && orphan_workers_starting; i++) {
        struct orphan *orphan = &orphan_workers_list[i];
        int copy = orphan->pool == NULL ? orphan_workers_socket(orphan->process.pid, spec) : -1;
        char *name = copy >= 0 ? strdup(pool) : NULL;
        if (name == NULL) {
            fd_close(&copy);
            continue;
        }
        orphan->pool = name;
        orphan->listen_fd = copy;
        orphan->serves = serves;
        orphan->context = context;
        orphan->grace = grace;
        count++;
    }
    if (count == 0)
        return false;
    (void)orphan_workers_names(NULL, context, names, sizeof names);
    log_pool(
        takes ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING, pool,
        "%u worker%s of a manager that has gone hold%s %s: %s; %s", count, count == 1 ? "" : "s",
        count == 1 ? "s" : "", takes ? "its socket" : "a socket that had its address", names,
        takes ? "they finish their requests, the queue and their work, and are told to go when "
                "this pool serves"
              : "end them, or start with --take-over");
    if (!takes) {
        orphan_workers_forget(context);
        return true;
    }
    ev_timer_set(&orphan_workers_timer, 0., 0.);
    ev_timer_start(orphan_workers_loop, &orphan_workers_timer);
    return true;
}

/* ---- life ---- */

void orphan_workers_open(struct ev_loop *loop, bool take_over)
{
    orphan_workers_loop = loop;
    orphan_workers_taking = take_over;
    orphan_workers_starting = true;
    ev_timer_init(&orphan_workers_timer, orphan_workers_on_timer, 0., 0.);
    orphan_workers_look();
}

void orphan_workers_forget(const void *context)
{
    for (unsigned i = orphan_workers_count; i > 0; i--) {
        struct orphan *orphan = &orphan_workers_list[i - 1];
        if (orphan->pool != NULL && orphan->context == context) {
            if (orphan->idle.frozen)
                process_tree_signal_process(&orphan->process, SIGCONT);
            orphan_workers_drop(orphan);
        }
    }
}

void orphan_workers_started(void)
{
    orphan_workers_starting = false;
}

void orphan_workers_close(void)
{
    while (orphan_workers_count > 0)
        orphan_workers_drop(&orphan_workers_list[orphan_workers_count - 1]);
    free(orphan_workers_list);
    orphan_workers_list = NULL;
    if (orphan_workers_loop != NULL)
        ev_timer_stop(orphan_workers_loop, &orphan_workers_timer);
}
