/* threaded_plain.c: an ordinary libfcgi program with several threads, without Overtime's library;
 * for its preload build. It ends when accept fails in its main thread.
 *
 * usage: threaded_plain THREADS [mutex]
 * mutex: one thread at a time accepts, the pattern that libfcgi documents. The query string says
 * for how many ms a request sleeps before it answers.
 */
#include <fcgiapp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    THREADS_MAX = 32
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static bool take_turns;

static int next_request(FCGX_Request *request)
{
    if (!take_turns)
        return FCGX_Accept_r(request);
    (void)pthread_mutex_lock(&turn);
    int result = FCGX_Accept_r(request);
    (void)pthread_mutex_unlock(&turn);
    return result;
}

static void *serve(void *unused)
{
    FCGX_Request request;

    (void)unused;
    if (FCGX_InitRequest(&request, 0, 0) != 0)
        return NULL;
    while (next_request(&request) >= 0) {
        const char *query = FCGX_GetParam("QUERY_STRING", request.envp);
        long ms = query != NULL ? strtol(query, NULL, 10) : 0;
        const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        (void)nanosleep(&pause, NULL);
        (void)FCGX_FPrintF(request.out, "Content-type: text/plain\r\n\r\nslept %ld", ms);
        FCGX_Finish_r(&request);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    long threads = argc > 1 ? strtol(argv[1], NULL, 10) : 0;

    if (threads < 1 || threads > THREADS_MAX || FCGX_Init() != 0)
        return 64;
    take_turns = argc > 2 && strcmp(argv[2], "mutex") == 0;
    for (long i = 1; i < threads; i++)
        if (pthread_create(&thread, NULL, serve, NULL) != 0)
            return 70;
    (void)serve(NULL);
    return 0;
}
