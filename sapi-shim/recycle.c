/* recycle.c: see recycle.h. */
#include "sapi-shim/recycle.h"
#include "sapi-shim/board.h"
#include "sapi-shim/clock.h"
#include "sapi-shim/drain.h"
#include "sapi-shim/note.h"
#include "sapi-shim/statm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    RECYCLE_NONE = -1,
    RECYCLE_ANEW = -2 /* to be opened at the next look */
};

static _Atomic uint64_t recycle_requests;
static uint64_t recycle_last; /* the request after which to leave; 0 = none */
static pthread_once_t recycle_once = PTHREAD_ONCE_INIT;
static _Atomic int recycle_statm = RECYCLE_NONE;

/* ---- requests ---- */

uint64_t recycle_share(uint64_t max, uint64_t jitter, uint64_t random)
{
    if (max == 0)
        return 0;
    uint64_t more = jitter == UINT64_MAX ? random : random % (jitter + 1);
    return more > UINT64_MAX - max ? UINT64_MAX : max + more;
}

static void recycle_draw(void)
{
    const struct ot_settings *settings = board_settings();
    uint64_t random = 0;
    if (settings->max_requests_jitter > 0 &&
        getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = clock_now() ^ (uint64_t)getpid() << 20;
    recycle_last = recycle_share(settings->max_requests, settings->max_requests_jitter, random);
}

void recycle_count(void)
{
    if (board_settings()->max_requests == 0)
        return;
    (void)pthread_once(&recycle_once, recycle_draw);
    if (atomic_fetch_add(&recycle_requests, 1) + 1 >= recycle_last)
        drain_begin(OT_EXIT_MAX_REQUESTS);
}

/* ---- memory ---- */

/* The manager looks from time to time as well. */
static void recycle_give_up(const char *why)
{
    if (atomic_exchange(&recycle_statm, RECYCLE_NONE) != RECYCLE_NONE)
        note("pool %s: pm.max_memory is not looked at after each request: /proc/self/statm: %s",
             board_pool(), why);
}

/* Above the descriptors that the treaty and the application's start-up know by their numbers. */
static int recycle_open_statm(void)
{
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd >= OT_FD_FIRST_FREE)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, OT_FD_FIRST_FREE);
    (void)close(fd);
    return high;
}

void recycle_open(void)
{
    if (board_settings()->max_memory == 0)
        return;
    atomic_store(&recycle_statm, RECYCLE_ANEW);
    int fd = recycle_open_statm();
    if (fd < 0)
        recycle_give_up(strerror(errno));
    else
        atomic_store(&recycle_statm, fd);
}

void recycle_weigh(void)
{
    char line[256];
    uint64_t bytes = 0;
    int fd = atomic_load_explicit(&recycle_statm, memory_order_relaxed);
    if (fd == RECYCLE_NONE)
        return;
    if (fd == RECYCLE_ANEW) {
        recycle_open();
        fd = atomic_load(&recycle_statm);
        if (fd < 0)
            return;
    }
    ssize_t n = pread(fd, line, sizeof line - 1, 0);
    line[n > 0 ? n : 0] = '\0';
    if (n < 0 || !statm_private(line, (uint64_t)sysconf(_SC_PAGESIZE), &bytes))
        recycle_give_up(n < 0 ? strerror(errno) : "not understood");
    else if (bytes > board_settings()->max_memory)
        drain_begin(OT_EXIT_MAX_MEMORY);
}

void recycle_after_fork(void)
{
    int fd = atomic_load(&recycle_statm);
    if (fd < 0)
        return;
    (void)close(fd);
    atomic_store(&recycle_statm, RECYCLE_ANEW);
}
