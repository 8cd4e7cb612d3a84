/* load_worker.c: the application of load tests and benchmarks; like worker.c it does what the query
 * string says, but keeps no journal, so that a request costs almost nothing.
 *
 * Steps, joined by '&' and carried out in order:
 *   write=N    N bytes of the pattern that steps.h has too; without any output "hello"
 *   sleep=MS   waits; before `finish` that is the handler's time, after it post-response work
 *   spin=MS    the same, using the processor, with safe points
 *   finish     ends the response
 *   pid        writes the worker's process number
 *   label=TEXT
 *   touch=FILE makes an empty file, with an absolute name
 *   crash      abort()
 *
 * usage: load_worker [run]
 *   run        ot_run instead of an FCGX_Accept_r loop
 */
#include "sapi-shim/overtime.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct visit {
    FCGX_Stream *out;
    bool headed;
};

static void head(struct visit *visit)
{
    if (!visit->headed)
        FCGX_PutS("Content-Type: text/plain\r\n\r\n", visit->out);
    visit->headed = true;
}

static void write_pattern(struct visit *visit, size_t size)
{
    char block[94 * 64];

    head(visit);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)('!' + i % 94);
    for (size_t done = 0; done < size;) {
        size_t part = size - done < sizeof block ? size - done : sizeof block;
        if (FCGX_PutStr(block, (int)part, visit->out) < 0)
            return;
        done += part;
    }
}

static void pause_for(const char *value)
{
    long ms = strtol(value, NULL, 10);
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static void spin(const char *value)
{
    struct timespec begin;
    struct timespec now;
    double limit = strtod(value, NULL) / 1e3;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while (ot_checkpoint() &&
           (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 <
               limit);
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        fprintf(stderr, "cannot make %s: %s\n", path, strerror(errno));
    else
        close(fd);
}

static void step(struct visit *visit, const char *name, const char *value)
{
    if (strcmp(name, "write") == 0) {
        write_pattern(visit, strtoul(value, NULL, 10));
    } else if (strcmp(name, "sleep") == 0) {
        pause_for(value);
    } else if (strcmp(name, "spin") == 0) {
        spin(value);
    } else if (strcmp(name, "finish") == 0) {
        if (!visit->headed)
            write_pattern(visit, 0);
        ot_finish_request();
    } else if (strcmp(name, "pid") == 0) {
        head(visit);
        FCGX_FPrintF(visit->out, "%d", (int)getpid());
    } else if (strcmp(name, "label") == 0) {
        ot_set_label(value);
    } else if (strcmp(name, "touch") == 0) {
        touch(value);
    } else if (strcmp(name, "crash") == 0) {
        abort();
    }
}

static int serve(FCGX_Request *request, void *argument)
{
    struct visit visit = {.out = request->out};
    char script[1024];
    char *rest = script;
    char *word = NULL;
    const char *query = FCGX_GetParam("QUERY_STRING", request->envp);

    (void)argument;
    (void)snprintf(script, sizeof script, "%s", query == NULL ? "" : query);
    while ((word = strsep(&rest, "&")) != NULL) {
        char *value = strchr(word, '=');
        if (value != NULL)
            *value++ = '\0';
        step(&visit, word, value == NULL ? "" : value);
    }
    if (!visit.headed) {
        head(&visit);
        FCGX_PutS("hello", visit.out);
    }
    return 0;
}

int main(int argc, char **argv)
{
    FCGX_Request request;

    if (FCGX_Init() != 0)
        return 70;
    if (argc > 1 && strcmp(argv[1], "run") == 0)
        return ot_run(serve, NULL) == 0 ? 0 : 70;
    if (FCGX_InitRequest(&request, 0, 0) != 0)
        return 70;
    while (FCGX_Accept_r(&request) >= 0)
        serve(&request, NULL);
    FCGX_Free(&request, 1);
    return 0;
}
