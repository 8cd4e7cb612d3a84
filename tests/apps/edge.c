/* edge.c: applications at the edges of the library, for tests/system/request/test_edges.py.
 *
 * usage: edge loop|hand
 *   loop  FCGX_Accept_r; QUERY_STRING says what to do
 *   hand  one thread takes the requests, another one serves them
 */
#include "sapi-shim/overtime.h"

#include <fcgiapp.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HEAD "Content-Type: text/plain\r\n\r\n"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static FCGX_Request *handed;
static bool stop;

static void *serve_handed(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (handed == NULL && !stop)
            pthread_cond_wait(&filled, &lock);
        FCGX_Request *request = handed;
        handed = NULL;
        pthread_cond_broadcast(&filled);
        pthread_mutex_unlock(&lock);
        if (request == NULL)
            return NULL;
        FCGX_PutS(HEAD "handed", request->out);
        FCGX_Finish_r(request);
        free(request);
    }
}

static int hand(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve_handed, NULL) != 0)
        return 1;
    for (;;) {
        FCGX_Request *request = calloc(1, sizeof *request);
        if (request == NULL)
            return 1;
        if (FCGX_InitRequest(request, 0, 0) != 0 || FCGX_Accept_r(request) < 0) {
            free(request);
            break;
        }
        ot_set_time_limit(1);
        pthread_mutex_lock(&lock);
        while (handed != NULL)
            pthread_cond_wait(&filled, &lock);
        handed = request;
        pthread_cond_broadcast(&filled);
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    stop = true;
    pthread_cond_broadcast(&filled);
    pthread_mutex_unlock(&lock);
    return pthread_join(thread, NULL) != 0;
}

/* Reads its body after the response, with a file open on whatever descriptor is free. */
static void read_after_finish(FCGX_Request *request)
{
    char body[20000];
    FCGX_PutS(HEAD "ok", request->out);
    ot_finish_request();
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int count = FCGX_GetStr(body, sizeof body, request->in);
    fprintf(stderr, "read %d, file at %ld\n", count, (long)lseek(file, 0, SEEK_CUR));
    close(file);
}

static void until_cut_off(void *unused)
{
    (void)unused;
    for (;;) {
        const struct timespec ms = {.tv_nsec = 1000000};
        nanosleep(&ms, NULL);
        ot_checkpoint();
    }
}

/* Leaves no room in libfcgi's buffer for the records that end the response. */
static void fill_last_buffer(FCGX_Request *request, int size)
{
    FCGX_PutS(HEAD, request->out);
    for (int i = (int)sizeof HEAD - 1; i < size; i++)
        FCGX_PutChar('x', request->out);
    ot_register_shutdown_function(until_cut_off, NULL);
}

static void write_in_child(FCGX_Request *request)
{
    FCGX_PutS(HEAD, request->out);
    FCGX_FFlush(request->out);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 1000; i++)
            FCGX_PutS("0123456789abcdef", request->out);
        FCGX_FFlush(request->out);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void free_in_child(FCGX_Request *request)
{
    FCGX_PutS(HEAD, request->out);
    FCGX_FFlush(request->out);
    pid_t child = fork();
    if (child == 0) {
        FCGX_Free(request, 1);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    FCGX_PutS("the parent's", request->out);
}

/* Writes one string of this length between brackets, and logs the result. */
static void put_long(FCGX_Request *request, int size)
{
    char *text = malloc((size_t)size);
    if (text == NULL)
        return;
    for (int i = 0; i < size; i++)
        text[i] = (char)('!' + i % 94);
    FCGX_PutS(HEAD "<", request->out);
    int result = FCGX_PutStr(text, size, request->out);
    int end = FCGX_PutS(">", request->out);
    free(text);
    fprintf(stderr, "put %d, then %d\n", result, end);
}

static void serve(FCGX_Request *request)
{
    const char *what = FCGX_GetParam("QUERY_STRING", request->envp);
    if (strcmp(what, "read") == 0)
        read_after_finish(request);
    else if (strncmp(what, "full=", 5) == 0)
        fill_last_buffer(request, (int)strtol(what + 5, NULL, 10));
    else if (strcmp(what, "child-writes") == 0)
        write_in_child(request);
    else if (strcmp(what, "child-frees") == 0)
        free_in_child(request);
    else if (strncmp(what, "long=", 5) == 0)
        put_long(request, (int)strtol(what + 5, NULL, 10));
    else if (strncmp(what, "finish&long=", 12) == 0 && ot_finish_request())
        put_long(request, (int)strtol(what + 12, NULL, 10));
    else
        FCGX_PutS(HEAD "hello", request->out);
}

int main(int argc, char **argv)
{
    FCGX_Request request;
    if (argc != 2 || FCGX_Init() != 0)
        return 2;
    if (strcmp(argv[1], "hand") == 0)
        return hand();
    if (FCGX_InitRequest(&request, 0, 0) != 0)
        return 1;
    while (FCGX_Accept_r(&request) >= 0)
        serve(&request);
    return 0;
}
