/* overtime_status.c: the program that answers on `pm.status_listen` (see status_worker_process.h).
 *
 * A FastCGI application on our own library, which answers all requests
 * itself (status_handler.h), from scoreboards that it maps read-only. It owns nothing,
 * writes nothing and waits for no other process, so it answers when every worker of the pool is
 * stuck. It has several threads, so that a client that does not read delays no other client.
 *
 * usage: overtime-status NAME STATUS_PATH PING_PATH PING_RESPONSE, with the socket as descriptor 0
 * and scoreboards from OT_FD_BOARD on
 */
#include "sapi-shim/status/status_handler.h"

#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OVERTIME_STATUS_THREADS = 4,
    OVERTIME_STATUS_STACK = 256 * 1024 /* bytes */
};

/* Maps a scoreboard for good; false if the descriptor is none. */
static bool overtime_status_map(int fd, struct status_source *source)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || status.st_size <= 0)
        return false;
    void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    return memory != MAP_FAILED && status_open(memory, (size_t)status.st_size, source);
}

/* The library answers every request before it gets here, unless memory is short. */
static void *overtime_status_serve(void *unused)
{
    FCGX_Request request;
    if (FCGX_InitRequest(&request, STDIN_FILENO, 0) != 0)
        return unused;
    while (FCGX_Accept_r(&request) == 0) {
        (void)FCGX_PutS("Status: 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\n"
                        "Short of memory.\n",
                        request.out);
        FCGX_Finish_r(&request);
    }
    return unused;
}

int main(int argc, char **argv)
{
    struct status_source sources[OT_FD_FIRST_FREE - OT_FD_BOARD];
    pthread_t threads[OVERTIME_STATUS_THREADS];
    pthread_attr_t small;
    size_t count = 0;
    int started = 0;
    /* This process must not outlive the manager, and the pool's workers, which run as the same
     * user, must not trace it. */
    if (argc != 5 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || FCGX_Init() != 0) {
        fprintf(
            stderr,
            "usage: %s NAME STATUS_PATH PING_PATH PING_RESPONSE; started by overtime(8) alone\n",
            argv[0]);
        return EXIT_FAILURE;
    }
    for (int fd = OT_FD_BOARD; fd < OT_FD_FIRST_FREE; fd++) {
        count += overtime_status_map(fd, &sources[count]);
        (void)close(fd);
    }
    const struct status_handler_paths paths = {argv[2], argv[3], argv[4]};
    status_handler_open(sources, count, -1, &paths);
    if (pthread_attr_init(&small) == 0 &&
        pthread_attr_setstacksize(&small, OVERTIME_STATUS_STACK) == 0)
        while (started < OVERTIME_STATUS_THREADS - 1 &&
               pthread_create(&threads[started], &small, overtime_status_serve, NULL) == 0)
            started++;
    (void)overtime_status_serve(NULL);
    for (int i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    return EXIT_SUCCESS;
}
