/* hello.c: the application that every contestant of the benchmark serves: an ordinary libfcgi
 * program.
 *
 * Built three times: alone, linked with the library, and, with WITH_OVERTIME, with its call to
 * finish a response in place of libfcgi's. The query string says what a request does, in this
 * order: read       reads its body to the end write=N    the answer is N bytes rather than "hello"
 *   sleep=MS   waits before it answers
 *   work=MS    finishes the response and waits on
 */
#include <errno.h>
#include <fcgiapp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef WITH_OVERTIME
#include "sapi-shim/overtime.h"
#endif

enum {
    PERIOD = 94 /* of the bytes that `write` sends */
};

/* What stands behind `name` in the query string: a number, 0 for nothing, -1 if it is not there. */
static long asked(const char *query, const char *name)
{
    const char *found = query == NULL ? NULL : strstr(query, name);

    return found == NULL ? -1 : strtol(found + strlen(name), NULL, 10);
}

static void wait_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static void read_body(FCGX_Stream *in)
{
    char block[65536];

    while (FCGX_GetStr(block, sizeof block, in) > 0)
        continue;
}

static void write_bytes(long size, FCGX_Stream *out)
{
    char block[PERIOD * 640];

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)('!' + i % PERIOD);
    while (size > 0) {
        long part = size < (long)sizeof block ? size : (long)sizeof block;
        if (FCGX_PutStr(block, (int)part, out) < 0)
            return;
        size -= part;
    }
}

static void finish(FCGX_Request *request)
{
#ifdef WITH_OVERTIME
    (void)request;
    ot_finish_request();
#else
    FCGX_Finish_r(request);
#endif
}

static void serve(FCGX_Request *request)
{
    const char *query = FCGX_GetParam("QUERY_STRING", request->envp);
    long work = asked(query, "work=");
    long size = asked(query, "write=");
    long pause = asked(query, "sleep=");

    if (asked(query, "read") >= 0)
        read_body(request->in);
    if (pause > 0)
        wait_ms(pause);
    FCGX_PutS("Content-Type: text/plain\r\n\r\n", request->out);
    if (size >= 0)
        write_bytes(size, request->out);
    else
        FCGX_PutS("hello", request->out);
    if (work < 0)
        return;
    finish(request);
    wait_ms(work);
}

int main(void)
{
    FCGX_Request request;

    if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0)
        return 70;
    while (FCGX_Accept_r(&request) >= 0)
        serve(&request);
    FCGX_Free(&request, 1);
    return 0;
}
