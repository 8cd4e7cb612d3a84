/* stray_process.c: see stray_process.h. */
#include "fpm/worker/stray_process.h"

#include "fpm/log/log.h"
#include "fpm/util/child.h"
#include "fpm/util/fd.h"
#include "fpm/worker/proc_activity.h"
#include "fpm/worker/proc_socket.h"
#include "fpm/worker/process_tree.h"
#include "sapi-shim/util/clock.h"

#include <sys/stat.h>
#include <unistd.h>

enum {
    STRAY_PROCESS_MAX = 64,        /* that are looked at, and remembered as told */
    STRAY_PROCESS_FILES_MAX = 256, /* descriptors that are looked at, of one process */
    STRAY_PROCESS_OFTEN = 100,     /* children with which each call looks */
    STRAY_PROCESS_PAUSE = 10       /* ms between looks with more */
};

struct stray_process {
    struct process_tree_key key;
    bool holds; /* told that it holds a socket */
};

static struct stray_process stray_process_told[STRAY_PROCESS_MAX]; /* the oldest is replaced */
static unsigned stray_process_next;
static int64_t stray_process_last; /* ms: the last look */

/* ---- what it holds ---- */

/* It takes the right to trace the process to know that. */
static bool stray_process_has_connection(pid_t pid, int listen_fd)
{
    bool found = false;
    for (int number = 0; number < STRAY_PROCESS_FILES_MAX && !found; number++) {
        int copy = proc_socket_copy(pid, number);
        found = copy >= 0 && proc_socket_came_through(copy, listen_fd);
        fd_close(&copy);
    }
    return found;
}

static const char *stray_process_held(pid_t pid, int listen_fd)
{
    struct stat socket;
    if (fstat(listen_fd, &socket) == 0 && proc_activity_holds(pid, socket.st_ino))
        return "the pool's socket, and may answer requests with what it was started with";
    if (stray_process_has_connection(pid, listen_fd))
        return "a connection to the pool, which stays open as long";
    return NULL;
}

/* ---- telling ---- */

/* Returns the entry of a process; a new one replaces the oldest. */
static struct stray_process *stray_process_entry(const struct process_tree_process *process,
                                                 bool *is_new)
{
    for (unsigned i = 0; i < STRAY_PROCESS_MAX; i++) {
        struct stray_process *entry = &stray_process_told[i];
        if (entry->key.pid == process->pid && entry->key.started == process->started) {
            *is_new = false;
            return entry;
        }
    }
    struct stray_process *entry = &stray_process_told[stray_process_next++ % STRAY_PROCESS_MAX];
    *entry = (struct stray_process){.key = {.pid = process->pid, .started = process->started}};
    *is_new = true;
    return entry;
}

static void stray_process_tell(const struct process_tree_process *process, const char *pool,
                               int listen_fd)
{
    bool is_new = false;
    struct stray_process *entry = stray_process_entry(process, &is_new);
    const char *held = entry->holds ? NULL : stray_process_held(process->pid, listen_fd);
    if (held != NULL) {
        entry->holds = true;
        log_about(
            LOG_LEVEL_WARNING, (&(struct log_about){.pool = pool, .pid = process->pid}),
            "pool %s: process %d (%s) has left its worker for a session of its own and is not "
            "stopped with it; it holds %s; run the application in the foreground",
            pool, (int)process->pid, process->name, held);
    } else if (is_new) {
        log_notice("process %d (%s), which a worker started in a session of its own, outlives it",
                   (int)process->pid, process->name);
    }
}

void stray_process_look(const char *pool, int listen_fd)
{
    pid_t adopted[STRAY_PROCESS_MAX];
    struct process_tree_process process;
    pid_t session = getsid(0);
    int64_t now = clock_ms();
    if (child_watched() > STRAY_PROCESS_OFTEN && now - stray_process_last < STRAY_PROCESS_PAUSE)
        return;
    stray_process_last = now;
    unsigned count = process_tree_orphans(adopted, STRAY_PROCESS_MAX);
    for (unsigned i = 0; i < count; i++)
        if (getsid(adopted[i]) != session && process_tree_read(adopted[i], &process) &&
            !process.ended && !process_tree_is_claimed(&process))
            stray_process_tell(&process, pool, listen_fd);
}
