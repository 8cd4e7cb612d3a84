/* recycling.c: see recycling.h. */
#include "sapi-shim/request/recycling.h"

#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"
#include "sapi-shim/util/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    RECYCLING_AGAIN = 16, /* requests between looks for a manager */
    RECYCLING_OFF = -1,
    RECYCLING_REOPEN = -2 /* at the next check */
};

static _Atomic uint64_t recycling_requests;
static uint64_t recycling_last; /* the number of the worker's last request */
static pthread_once_t recycling_once = PTHREAD_ONCE_INIT;
static _Atomic int recycling_statm = RECYCLING_OFF;
static pid_t recycling_pid; /* of the process that recycling_statm tells about */

/* Leaves, unless no manager would start a successor: then the worker serves on, and says so once.
 */
static void recycling_leave(enum ot_exit_reason reason, const char *directive)
{
    static atomic_bool logged;
    struct pollfd error = {.fd = STDERR_FILENO};
    enum worker_slot_manager manager = worker_slot_manager();
    if (manager == WORKER_SLOT_MANAGED) {
        graceful_stop_begin(reason);
        return;
    }
    /* A pipe that no process reads would raise SIGPIPE. */
    if (!atomic_exchange(&logged, true) && poll(&error, 1, 0) >= 0 &&
        (error.revents & POLLERR) == 0)
        diagnostics_write("pool %s: the manager is %s: worker %d serves on beyond `%s`, as no "
                          "worker would take its place",
                          worker_slot_pool(),
                          manager == WORKER_SLOT_MANAGER_GONE ? "gone" : "stopped", (int)getpid(),
                          directive);
}

/* ---- requests ---- */

uint64_t recycling_max_requests(uint64_t max, uint64_t jitter, uint64_t random)
{
    if (max == 0)
        return 0;
    uint64_t more = jitter == UINT64_MAX ? random : random % (jitter + 1);
    return more > UINT64_MAX - max ? UINT64_MAX : max + more;
}

static void recycling_draw(void)
{
    const struct ot_settings *settings = worker_slot_settings();
    uint64_t random = 0;
    if (settings->max_requests_jitter > 0 &&
        getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = clock_ns() ^ (uint64_t)getpid() << 20;
    recycling_last =
        recycling_max_requests(settings->max_requests, settings->max_requests_jitter, random);
}

void recycling_count_request(void)
{
    if (worker_slot_settings()->max_requests == 0)
        return;
    (void)pthread_once(&recycling_once, recycling_draw);
    uint64_t requests = atomic_fetch_add(&recycling_requests, 1) + 1;
    /* Not at each request: without a manager many may follow. */
    if (requests >= recycling_last && (requests - recycling_last) % RECYCLING_AGAIN == 0)
        recycling_leave(OT_EXIT_MAX_REQUESTS, "pm.max_requests");
}

/* ---- memory ---- */

/* Not fatal: the manager checks the workers' memory as well, from time to time. */
static void recycling_give_up(const char *reason)
{
    if (atomic_exchange(&recycling_statm, RECYCLING_OFF) != RECYCLING_OFF)
        diagnostics_write(
            "pool %s: cannot check pm.max_memory after each request: /proc/self/statm: %s",
            worker_slot_pool(), reason);
}

void recycling_open(void)
{
    if (worker_slot_settings()->max_memory == 0 ||
        (atomic_load(&recycling_statm) >= 0 && recycling_pid == getpid()))
        return;
    if (atomic_load(&recycling_statm) >= 0)
        (void)close(atomic_load(&recycling_statm));
    recycling_pid = getpid();
    atomic_store(&recycling_statm, RECYCLING_REOPEN);
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    /* Keep clear of the numbers that the contract and the application's start-up use. */
    if (fd >= 0 && fd < OT_FD_FIRST_FREE) {
        int low = fd;
        fd = fcntl(low, F_DUPFD_CLOEXEC, OT_FD_FIRST_FREE);
        (void)close(low);
    }
    if (fd < 0)
        recycling_give_up(strerror(errno));
    else
        atomic_store(&recycling_statm, fd);
}

void recycling_check_memory(void)
{
    char line[256];
    uint64_t bytes = 0;
    int fd = atomic_load_explicit(&recycling_statm, memory_order_relaxed);
    if (fd == RECYCLING_OFF)
        return;
    if (fd == RECYCLING_REOPEN) {
        recycling_open();
        fd = atomic_load(&recycling_statm);
        if (fd < 0)
            return;
    }
    ssize_t n = pread(fd, line, sizeof line - 1, 0);
    line[n > 0 ? n : 0] = '\0';
    if (n < 0 || !procfs_private(line, (uint64_t)sysconf(_SC_PAGESIZE), &bytes))
        recycling_give_up(n < 0 ? strerror(errno) : "not understood");
    else if (bytes > worker_slot_settings()->max_memory)
        recycling_leave(OT_EXIT_MAX_MEMORY, "pm.max_memory");
}

void recycling_after_fork(void)
{
    int fd = atomic_load(&recycling_statm);
    if (fd < 0)
        return;
    (void)close(fd);
    atomic_store(&recycling_statm, RECYCLING_REOPEN);
}
