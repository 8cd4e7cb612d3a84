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

int main(int argc, char **argv)
{
    int at = 1;
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
    double began = main_seconds(CLOCK_MONOTONIC);
    for (uint64_t seed = first;
         limit > 0. ? main_seconds(CLOCK_MONOTONIC) - began < limit : seed <= last; seed++)
        sim_run(seed);
    double took = main_seconds(CLOCK_PROCESS_CPUTIME_ID);
    printf("%" PRIu64 " seeds, %" PRIu64 " events (%.0f a second of one processor), %" PRIu64
           " workers, %" PRIu64 " requests: all held\n",
           sim_totals.seeds, sim_totals.events, (double)sim_totals.events / took,
           sim_totals.started, sim_totals.requests);
    return 0;
}
