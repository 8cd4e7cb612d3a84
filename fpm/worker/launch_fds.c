/* launch_fds.c: see launch_fds.h. */
#include "fpm/worker/launch_fds.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    LAUNCH_FDS_FIRST = 10, /* clear of the contract's numbers */
    LAUNCH_FDS_MANY = 256, /* descriptors allowed: where there are fewer, there are few to copy */
    LAUNCH_FDS_WORD = 64   /* descriptors in a word of the kernel's bitmaps */
};

static struct {
    bool ready;
    int low[LAUNCH_FDS_SIZE];
    int null; /* what is in there while nothing is */
    unsigned end;
} launch_fds;

/* ---- can the kernel do it? ---- */

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer has to copy everything (launch.c). */
static bool launch_fds_works(void)
{
    return false;
}
#else
/* In the second thread: is the first number above the cut free in the table that was cut? */
static void *launch_fds_cut(void *context)
{
    bool *works = context;
    *works = close_range(LAUNCH_FDS_WORD, ~0u, CLOSE_RANGE_UNSHARE) == 0 &&
             fcntl(STDIN_FILENO, F_DUPFD, 0) == LAUNCH_FDS_WORD;
    return NULL;
}

static bool launch_fds_thread(void *(*run)(void *), void *context)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, run, context) == 0 && pthread_join(thread, NULL) == 0;
}

/* In the first thread, which has a table of its own to fill. Kernels before 6.11 and their stable
 * series of August 2024 may take more of the old table for full than was copied (CVE-2024-45025):
 * two full words, cut behind the first, show it. */
static void *launch_fds_try(void *context)
{
    bool *works = context;
    if (unshare(CLONE_FILES) != 0)
        return NULL;
    for (int fd = 0; fd < 2 * LAUNCH_FDS_WORD; fd++)
        if (fcntl(fd, F_GETFD) < 0 && dup2(STDIN_FILENO, fd) != fd)
            return NULL;
    (void)launch_fds_thread(launch_fds_cut, works);
    return NULL;
}

/* By threads, not by processes: children of the manager are its workers to everybody who looks. */
static bool launch_fds_works(void)
{
    bool works = false;
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ran = launch_fds_thread(launch_fds_try, &works);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ran && works;
}
#endif

/* ---- the descriptors ---- */

void launch_fds_reserve(void)
{
    struct rlimit files;
    if (launch_fds.ready || getrlimit(RLIMIT_NOFILE, &files) != 0 ||
        files.rlim_cur < LAUNCH_FDS_MANY || !launch_fds_works())
        return;
    launch_fds.null = open("/dev/null", O_RDWR | O_CLOEXEC);
    launch_fds.ready = launch_fds.null >= 0;
    for (int i = 0; i < LAUNCH_FDS_SIZE && launch_fds.ready; i++) {
        launch_fds.low[i] = fcntl(launch_fds.null, F_DUPFD_CLOEXEC, LAUNCH_FDS_FIRST);
        launch_fds.ready = launch_fds.low[i] >= 0;
        if (launch_fds.ready && (unsigned)launch_fds.low[i] >= launch_fds.end)
            launch_fds.end = (unsigned)launch_fds.low[i] + 1;
    }
}

bool launch_fds_ready(void)
{
    return launch_fds.ready;
}

unsigned launch_fds_fill(int *fds, int count)
{
    if (!launch_fds.ready || count > LAUNCH_FDS_SIZE)
        return 0;
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0 && dup3(fds[i], launch_fds.low[i], O_CLOEXEC) < 0)
            return 0;
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0)
            fds[i] = launch_fds.low[i];
    return launch_fds.end;
}

void launch_fds_empty(void)
{
    for (int i = 0; i < LAUNCH_FDS_SIZE && launch_fds.ready; i++)
        (void)dup3(launch_fds.null, launch_fds.low[i], O_CLOEXEC);
}
