/* uwsgi.c: hello.c as a function that uWSGI calls for each request.
 *
 * Built as a shared object of which uWSGI itself has the missing functions; they are declared here,
 * so that none of its headers is needed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct wsgi_request;

int uwsgi_parse_vars(struct wsgi_request *request);
char *uwsgi_get_var(struct wsgi_request *request, const char *name, uint16_t length,
                    uint16_t *size);
int uwsgi_response_prepare_headers(struct wsgi_request *request, const char *text, uint16_t size);
int uwsgi_response_add_header(struct wsgi_request *request, const char *name, uint16_t name_size,
                              const char *value, uint16_t size);
int uwsgi_response_write_body_do(struct wsgi_request *request, const char *bytes, size_t size);
char *uwsgi_request_body_read(struct wsgi_request *request, ssize_t hint, ssize_t *size);

int bench_hello(struct wsgi_request *request);

enum {
    PERIOD = 94, /* of the bytes that `write` sends */
    READ_SIZE = 65536
};

static long asked(const char *query, const char *name)
{
    const char *found = strstr(query, name);

    return found == NULL ? -1 : strtol(found + strlen(name), NULL, 10);
}

static void read_body(struct wsgi_request *request)
{
    ssize_t size = 0;

    do
        size = 0; /* it stays what it was where nothing is left */
    while (uwsgi_request_body_read(request, READ_SIZE, &size) != NULL && size > 0);
}

static int write_bytes(struct wsgi_request *request, long size)
{
    char block[PERIOD * 640];

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)('!' + i % PERIOD);
    while (size > 0) {
        size_t part = size < (long)sizeof block ? (size_t)size : sizeof block;
        if (uwsgi_response_write_body_do(request, block, part) != 0)
            return -1;
        size -= (long)part;
    }
    return 0;
}

int bench_hello(struct wsgi_request *request)
{
    static const char type[] = "text/plain";
    char query[256] = "";
    uint16_t size = 0;

    if (uwsgi_parse_vars(request) != 0)
        return -1;
    const char *found = uwsgi_get_var(request, "QUERY_STRING", 12, &size);
    if (found != NULL && size < sizeof query)
        memcpy(query, found, size);
    long pause = asked(query, "sleep=");
    if (asked(query, "read") >= 0)
        read_body(request);
    if (pause > 0)
        usleep((useconds_t)pause * 1000);
    if (uwsgi_response_prepare_headers(request, "200 OK", 6) != 0 ||
        uwsgi_response_add_header(request, "Content-Type", 12, type, sizeof type - 1) != 0)
        return -1;
    long wanted = asked(query, "write=");
    if (wanted >= 0)
        return write_bytes(request, wanted);
    return uwsgi_response_write_body_do(request, "hello", 5) != 0 ? -1 : 0;
}
