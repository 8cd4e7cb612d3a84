/* load_request.c: see load_request.h. */
#include "tests/bench/load_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LONG_REQUEST = 65536,
    RECORD_MAX = 65535,
    BEGIN_REQUEST = 1,
    PARAMS = 4,
    STDIN = 5,
    KEEP_CONN = 1
};

static int put(struct load_request *out, const void *bytes, size_t size)
{
    unsigned char *grown = realloc(out->bytes, out->size + size);
    if (grown == NULL)
        return -1;
    out->bytes = grown;
    memcpy(grown + out->size, bytes, size);
    out->size += size;
    return 0;
}

static int put_record(struct load_request *out, int type, const void *content, size_t size)
{
    const unsigned char header[8] = {1, (unsigned char)type,        0,
                                     1, (unsigned char)(size >> 8), (unsigned char)size};
    if (put(out, header, sizeof header) != 0)
        return -1;
    return size == 0 ? 0 : put(out, content, size);
}

/* A stream with its end. */
static int put_stream(struct load_request *out, int type, const unsigned char *content, size_t size)
{
    for (size_t at = 0; at < size; at += RECORD_MAX) {
        size_t part = size - at < RECORD_MAX ? size - at : RECORD_MAX;
        if (put_record(out, type, content + at, part) != 0)
            return -1;
    }
    return put_record(out, type, NULL, 0);
}

static int put_length(struct load_request *out, size_t length)
{
    const unsigned char wide[4] = {(unsigned char)(length >> 24 | 0x80),
                                   (unsigned char)(length >> 16), (unsigned char)(length >> 8),
                                   (unsigned char)length};
    return length < 128 ? put(out, &wide[3], 1) : put(out, wide, sizeof wide);
}

static int put_pair(struct load_request *out, const char *name, size_t name_size, const char *value)
{
    size_t value_size = strlen(value);
    if (put_length(out, name_size) != 0 || put_length(out, value_size) != 0)
        return -1;
    return put(out, name, name_size) != 0 ? -1 : put(out, value, value_size);
}

/* True if the kind brings a parameter of that name itself. */
static bool has_own(const struct load_kind *kind, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < kind->param_count; i++)
        if (strncmp(kind->params[i], name, length) == 0 && kind->params[i][length] == '=')
            return true;
    return false;
}

/* The parameters of nginx's fastcgi_params, in its order. */
static int put_params(struct load_request *out, const struct load_kind *kind)
{
    char uri[4096];
    char length[32] = "";
    int written =
        snprintf(uri, sizeof uri, "/%s%s", kind->query[0] == '\0' ? "" : "?", kind->query);
    if (written < 0 || (size_t)written >= sizeof uri)
        return -1;
    if (kind->body > 0)
        (void)snprintf(length, sizeof length, "%zu", kind->body);
    const char *const pairs[][2] = {
        {"QUERY_STRING", kind->query},
        {"REQUEST_METHOD", kind->body > 0 ? "POST" : "GET"},
        {"CONTENT_TYPE", kind->body > 0 ? "application/octet-stream" : ""},
        {"CONTENT_LENGTH", length},
        {"SCRIPT_FILENAME", "/srv/application/index"},
        {"SCRIPT_NAME", "/"},
        {"REQUEST_URI", uri},
        {"DOCUMENT_URI", "/"},
        {"DOCUMENT_ROOT", "/srv/application"},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"REQUEST_SCHEME", "http"},
        {"GATEWAY_INTERFACE", "CGI/1.1"},
        {"SERVER_SOFTWARE", "load"},
        {"REMOTE_ADDR", "127.0.0.1"},
        {"REMOTE_PORT", "40000"},
        {"SERVER_ADDR", "127.0.0.1"},
        {"SERVER_PORT", "80"},
        {"SERVER_NAME", "localhost"},
        {"REDIRECT_STATUS", "200"},
        {"HTTP_HOST", "localhost"},
        {"HTTP_USER_AGENT", "load"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (!has_own(kind, pairs[i][0]) &&
            put_pair(out, pairs[i][0], strlen(pairs[i][0]), pairs[i][1]) != 0)
            return -1;
    for (size_t i = 0; i < kind->param_count; i++) {
        const char *value = strchr(kind->params[i], '=');
        if (value == NULL ||
            put_pair(out, kind->params[i], (size_t)(value - kind->params[i]), value + 1) != 0)
            return -1;
    }
    return 0;
}

static int put_body(struct load_request *out, size_t size)
{
    unsigned char *body = calloc(1, size + 1);
    if (body == NULL)
        return -1;
    memset(body, 'b', size);
    int result = put_stream(out, STDIN, body, size);
    free(body);
    return result;
}

/* Best effort: without the file, the bytes are there. */
static void put_into_file(struct load_request *request)
{
    size_t done = 0;
    request->file = memfd_create("load", MFD_CLOEXEC);
    while (request->file >= 0 && done < request->size) {
        ssize_t n = write(request->file, request->bytes + done, request->size - done);
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        (void)close(request->file);
        request->file = -1;
    }
}

/* HTTP/1.0: the answer ends with the connection. */
static int put_http(struct load_request *out, const char *path)
{
    char text[4096];
    int size = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    return size < 0 || (size_t)size >= sizeof text ? -1 : put(out, text, (size_t)size);
}

int load_request_make(struct load_request *request, const struct load_kind *kind)
{
    const unsigned char begin[8] = {0, 1, kind->keep ? KEEP_CONN : 0};
    struct load_request params = {0};

    *request = (struct load_request){.file = -1};
    if (kind->http != NULL)
        return put_http(request, kind->http);
    int result = put_params(&params, kind);
    if (result == 0)
        result = put_record(request, BEGIN_REQUEST, begin, sizeof begin);
    if (result == 0)
        result = put_stream(request, PARAMS, params.bytes, params.size);
    if (result == 0)
        result = put_body(request, kind->body);
    free(params.bytes);
    if (result != 0)
        load_request_free(request);
    else if (request->size >= LONG_REQUEST)
        put_into_file(request);
    return result;
}

ssize_t load_request_send(const struct load_request *request, int fd, size_t at, size_t size)
{
    off_t from = (off_t)at;
    return request->file >= 0 ? sendfile(fd, request->file, &from, size)
                              : send(fd, request->bytes + at, size, MSG_NOSIGNAL);
}

void load_request_free(struct load_request *request)
{
    free(request->bytes);
    if (request->file >= 0)
        (void)close(request->file);
    *request = (struct load_request){.file = -1};
}
