/* main.c: runs seeds of the simulator.
 *
 * usage: sim [-v | -r] FIRST [LAST | -t SECONDS]
 *
 * -v prints the timeline, -r prints its end if a seed fails. Exit status 0: all held; 1: one did
 * not, and it is named.
 */
#include "tests/sim/sim.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The real clock: libc's is the simulator's. */
static double main_seconds(clockid_t id)
{
    struct timespec now;
    (void)syscall(SYS_clock_gettime, id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

char sim_folder[64];

void sim_folder_remove(void)
{
    DIR *folder = opendir(sim_folder);
    const struct dirent *entry;
    /* A seed that failed leaves sockets behind. */
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        (void)closedir(folder);
    (void)rmdir(sim_folder);
}

/* A crash, and a callback that does not return: run again with the timeline. */
static void main_on_fatal(int number)
{
    sim_fail(number == SIGVTALRM ? "C8" : "crash", "signal %d", number);
}

static void main_guard(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGVTALRM};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        struct sigaction action = {.sa_handler = main_on_fatal,
                                   .sa_flags = SA_RESETHAND | SA_NODEFER};
        (void)sigaction(fatal[i], &action, NULL);
    }
}

int main(int argc, char **argv)
{
    int at = 1;
    /* Memory that a thread's cache of malloc keeps would look like a leak. */
    if (getenv("GLIBC_TUNABLES") == NULL &&
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1) == 0)
        (void)execv("/proc/self/exe", argv);
    if (at < argc && strcmp(argv[at], "-v") == 0) {
        sim_verbose = sim_recording = true;
        at++;
    } else if (at < argc && strcmp(argv[at], "-r") == 0) {
        sim_recording = true;
        at++;
    }
    if (at >= argc) {
        fprintf(stderr, "usage: sim [-v | -r] FIRST [LAST | -t SECONDS]\n");
        return 2;
    }
    uint64_t first = strtoull(argv[at], NULL, 10), last = first;
    double limit = 0.;
    if (at + 2 < argc && strcmp(argv[at + 1], "-t") == 0)
        limit = strtod(argv[at + 2], NULL);
    else if (at + 1 < argc)
        last = strtoull(argv[at + 1], NULL, 10);
    /* In memory, if the system has such a place. */
    snprintf(sim_folder, sizeof sim_folder, "%s/overtime-sim-%d",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    if (mkdir(sim_folder, 0700) != 0) {
        perror(sim_folder);
        return 2;
    }
    atexit(sim_folder_remove);
    signal(SIGPIPE, SIG_IGN);
    main_guard();
    static const struct itimerval limit_of_one = {.it_value.tv_sec = 20};
    /* What is kept for the life of the program is made by a seed that does not count. */
    if (first != 0)
        sim_run(0);
    memset(&sim_totals, 0, sizeof sim_totals);
    sim_totals.seeds = 1;
    double began = main_seconds(CLOCK_MONOTONIC);
    for (uint64_t seed = first;
         limit > 0. ? main_seconds(CLOCK_MONOTONIC) - began < limit : seed <= last; seed++) {
        (void)setitimer(ITIMER_VIRTUAL, &limit_of_one, NULL);
        sim_run(seed);
    }
    double took = main_seconds(CLOCK_PROCESS_CPUTIME_ID);
    printf("%" PRIu64 " seeds, %" PRIu64 " events (%.0f a second of one processor), %" PRIu64
           " workers, %" PRIu64 " requests: all held\n",
           sim_totals.seeds - 1, sim_totals.events, (double)sim_totals.events / took,
           sim_totals.started, sim_totals.requests);
    return 0;
}
