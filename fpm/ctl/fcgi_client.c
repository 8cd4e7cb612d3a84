/* fcgi_client.c: see fcgi_client.h. */
#include "fpm/ctl/fcgi_client.h"

#include <stdlib.h>
#include <string.h>

enum {
    FCGI_CLIENT_VERSION = 1,
    FCGI_CLIENT_ID = 1,
    FCGI_CLIENT_HEADER = 8,
    FCGI_CLIENT_RECORD_MAX = 65528, /* some applications need all parameters in one record */
    FCGI_CLIENT_BEGIN_REQUEST = 1,
    FCGI_CLIENT_END_REQUEST = 3,
    FCGI_CLIENT_PARAMS = 4,
    FCGI_CLIENT_STDIN = 5,
    FCGI_CLIENT_STDOUT = 6,
    FCGI_CLIENT_STDERR = 7,
    FCGI_CLIENT_RESPONDER = 1
};

/* ---- the request ---- */

void fcgi_client_add(struct fcgi_client_bytes *out, const void *bytes, size_t size)
{
    if (size > out->capacity - out->size) {
        size_t capacity = (out->size + size) * 2 + 1024;
        char *grown = realloc(out->bytes, capacity);
        if (grown == NULL) {
            out->failed = true;
            return;
        }
        out->bytes = grown;
        out->capacity = capacity;
    }
    if (size > 0)
        memcpy(out->bytes + out->size, bytes, size);
    out->size += size;
}

static void fcgi_client_record(struct fcgi_client_bytes *out, int type, const char *bytes,
                               size_t size)
{
    const unsigned char header[FCGI_CLIENT_HEADER] = {
        FCGI_CLIENT_VERSION, (unsigned char)type,        0,
        FCGI_CLIENT_ID,      (unsigned char)(size >> 8), (unsigned char)size};
    fcgi_client_add(out, header, sizeof header);
    fcgi_client_add(out, bytes, size);
}

/* Writes as many records as the bytes need, and the empty one that ends a stream. */
static void fcgi_client_stream(struct fcgi_client_bytes *out, int type, const char *bytes,
                               size_t size)
{
    while (size > 0) {
        size_t part = size < FCGI_CLIENT_RECORD_MAX ? size : FCGI_CLIENT_RECORD_MAX;
        fcgi_client_record(out, type, bytes, part);
        bytes += part;
        size -= part;
    }
    fcgi_client_record(out, type, "", 0);
}

void fcgi_client_param(struct fcgi_client_bytes *params, const char *name, size_t name_length,
                       const char *value)
{
    const size_t lengths[] = {name_length, strlen(value)};
    for (size_t i = 0; i < 2; i++) {
        size_t length = lengths[i];
        const unsigned char bytes[4] = {
            (unsigned char)(length < 128 ? length : length >> 24 | 0x80),
            (unsigned char)(length >> 16), (unsigned char)(length >> 8), (unsigned char)length};
        params->failed |= length > INT32_MAX;
        fcgi_client_add(params, bytes, length < 128 ? 1 : 4);
    }
    if (params->failed)
        return;
    fcgi_client_add(params, name, name_length);
    fcgi_client_add(params, value, lengths[1]);
}

struct fcgi_client_bytes fcgi_client_request(const struct fcgi_client_bytes *params,
                                             const char *body, size_t size)
{
    static const char begin[8] = {0, FCGI_CLIENT_RESPONDER};
    struct fcgi_client_bytes out = {.failed = params->failed};
    fcgi_client_record(&out, FCGI_CLIENT_BEGIN_REQUEST, begin, sizeof begin);
    fcgi_client_stream(&out, FCGI_CLIENT_PARAMS, params->bytes, params->size);
    fcgi_client_stream(&out, FCGI_CLIENT_STDIN, body, size);
    return out;
}

/* ---- the answer ---- */

/* Takes bytes of the header, and checks it when it is complete. */
static void fcgi_client_header(struct fcgi_client_answer *answer, const char *bytes, size_t size)
{
    const unsigned char *header = answer->header;
    memcpy(answer->header + answer->header_have, bytes, size);
    answer->header_have += size;
    if (answer->header_have < FCGI_CLIENT_HEADER)
        return;
    unsigned type = header[1], id = (unsigned)header[2] << 8 | header[3];
    answer->content = (size_t)header[4] << 8 | header[5];
    answer->padding = header[6];
    if (header[0] != FCGI_CLIENT_VERSION)
        answer->fault = "the answer is not FastCGI";
    else if (type != FCGI_CLIENT_STDOUT && type != FCGI_CLIENT_STDERR &&
             type != FCGI_CLIENT_END_REQUEST)
        answer->fault = "the answer has a record of a type that no answer has";
    else if (id != FCGI_CLIENT_ID)
        answer->fault = "the answer has a record of another request";
    else if (type == FCGI_CLIENT_END_REQUEST && answer->content != sizeof answer->end)
        answer->fault = "the record that ends the request is malformed";
}

void fcgi_client_feed(struct fcgi_client_answer *answer, const char *bytes, size_t size)
{
    const unsigned char *end = answer->end;
    while (size > 0 && !answer->complete && answer->fault == NULL) {
        size_t missing = FCGI_CLIENT_HEADER - answer->header_have;
        size_t wanted = missing > 0           ? missing
                        : answer->content > 0 ? answer->content
                                              : answer->padding;
        size_t part = wanted < size ? wanted : size;
        if (missing > 0)
            fcgi_client_header(answer, bytes, part);
        else if (answer->content == 0)
            answer->padding -= part;
        else {
            if (answer->header[1] == FCGI_CLIENT_STDOUT)
                answer->events->output(answer->context, bytes, part);
            else if (answer->header[1] == FCGI_CLIENT_STDERR)
                answer->events->error(answer->context, bytes, part);
            else { /* FCGI_CLIENT_END_REQUEST, of just this size */
                memcpy(answer->end + answer->end_have, bytes, part);
                answer->end_have += part;
            }
            answer->content -= part;
        }
        bytes += part;
        size -= part;
        if (answer->fault != NULL || answer->header_have < FCGI_CLIENT_HEADER ||
            answer->content > 0 || answer->padding > 0)
            continue;
        /* The record is complete with its padding. */
        answer->header_have = 0;
        answer->complete = answer->header[1] == FCGI_CLIENT_END_REQUEST;
        if (answer->complete) {
            answer->app_status =
                (uint32_t)end[0] << 24 | (uint32_t)end[1] << 16 | (uint32_t)end[2] << 8 | end[3];
            answer->protocol_status = end[4];
        }
    }
}

const char *fcgi_client_refusal(unsigned protocol_status)
{
    static const char *const names[] = {"", "it serves no second request on a connection",
                                        "it is overloaded", "it does not know the responder role"};
    return protocol_status < sizeof names / sizeof *names ? names[protocol_status]
                                                          : "for an unknown reason";
}
