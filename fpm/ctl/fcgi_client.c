/* fcgi_client.c: see fcgi_client.h. */
#include "fpm/ctl/fcgi_client.h"

#include <stdlib.h>
#include <string.h>

enum {
    FCGI_CLIENT_VERSION = 1,
    FCGI_CLIENT_ID = 1,
    FCGI_CLIENT_HEADER = 8,
    FCGI_CLIENT_RECORD_MAX = 65528, /* parameters up to this are in one record, as some need it */
    FCGI_CLIENT_BEGIN_REQUEST = 1,
    FCGI_CLIENT_END_REQUEST = 3,
    FCGI_CLIENT_PARAMS = 4,
    FCGI_CLIENT_STDIN = 5,
    FCGI_CLIENT_STDOUT = 6,
    FCGI_CLIENT_STDERR = 7,
    FCGI_CLIENT_RESPONDER = 1
};

/* ---- the request ---- */

static void fcgi_client_add(struct fcgi_client_bytes *out, const void *bytes, size_t size)
{
    if (size > out->room - out->size) {
        size_t room = (out->size + size) * 2 + 1024;
        char *grown = realloc(out->bytes, room);
        if (grown == NULL) {
            out->failed = true;
            return;
        }
        out->bytes = grown;
        out->room = room;
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

/* In as many records as it takes. */
static void fcgi_client_stream(struct fcgi_client_bytes *out, int type, const char *bytes,
                               size_t size)
{
    while (size > 0) {
        size_t part = size < FCGI_CLIENT_RECORD_MAX ? size : FCGI_CLIENT_RECORD_MAX;
        fcgi_client_record(out, type, bytes, part);
        bytes += part;
        size -= part;
    }
}

static size_t fcgi_client_length(unsigned char *out, size_t length)
{
    if (length < 128) {
        out[0] = (unsigned char)length;
        return 1;
    }
    out[0] = (unsigned char)(length >> 24 | 0x80);
    out[1] = (unsigned char)(length >> 16);
    out[2] = (unsigned char)(length >> 8);
    out[3] = (unsigned char)length;
    return 4;
}

void fcgi_client_param(struct fcgi_client_bytes *params, const char *name, size_t name_length,
                       const char *value)
{
    unsigned char lengths[8];
    size_t value_parse_length = strlen(value);
    if (name_length > INT32_MAX || value_parse_length > INT32_MAX) {
        params->failed = true;
        return;
    }
    size_t used = fcgi_client_length(lengths, name_length);
    used += fcgi_client_length(lengths + used, value_parse_length);
    fcgi_client_add(params, lengths, used);
    fcgi_client_add(params, name, name_length);
    fcgi_client_add(params, value, value_parse_length);
}

struct fcgi_client_bytes fcgi_client_request(const struct fcgi_client_bytes *params,
                                             const char *body, size_t size)
{
    static const char begin[8] = {0, FCGI_CLIENT_RESPONDER};
    struct fcgi_client_bytes out = {.failed = params->failed};
    fcgi_client_record(&out, FCGI_CLIENT_BEGIN_REQUEST, begin, sizeof begin);
    fcgi_client_stream(&out, FCGI_CLIENT_PARAMS, params->bytes, params->size);
    fcgi_client_record(&out, FCGI_CLIENT_PARAMS, "", 0);
    fcgi_client_stream(&out, FCGI_CLIENT_STDIN, body, size);
    fcgi_client_record(&out, FCGI_CLIENT_STDIN, "", 0);
    return out;
}

/* ---- the answer ---- */

static void fcgi_client_take_header(struct fcgi_client_answer *answer)
{
    const unsigned char *header = answer->header;
    unsigned type = header[1];
    unsigned id = (unsigned)header[2] << 8 | header[3];
    answer->content = (size_t)header[4] << 8 | header[5];
    answer->padding = header[6];
    if (header[0] != FCGI_CLIENT_VERSION)
        answer->fault = "the bytes that came are no FastCGI";
    else if (type != FCGI_CLIENT_STDOUT && type != FCGI_CLIENT_STDERR &&
             type != FCGI_CLIENT_END_REQUEST)
        answer->fault = "a record came that has no place in an answer";
    else if (id != FCGI_CLIENT_ID)
        answer->fault = "a record came for a request that was not made";
    else if (type == FCGI_CLIENT_END_REQUEST && answer->content != sizeof answer->end)
        answer->fault = "the end of the request is malformed";
}

static void fcgi_client_take_content(struct fcgi_client_answer *answer, const char *bytes,
                                     size_t size)
{
    switch (answer->header[1]) {
    case FCGI_CLIENT_STDOUT:
        answer->events->output(answer->context, bytes, size);
        break;
    case FCGI_CLIENT_STDERR:
        answer->events->error(answer->context, bytes, size);
        break;
    default: /* FCGI_CLIENT_END_REQUEST, of just this size */
        memcpy(answer->end + answer->end_have, bytes, size);
        answer->end_have += size;
    }
}

static void fcgi_client_close_record(struct fcgi_client_answer *answer)
{
    const unsigned char *end = answer->end;
    answer->header_have = 0;
    if (answer->header[1] != FCGI_CLIENT_END_REQUEST)
        return;
    answer->complete = true;
    answer->app_status =
        (uint32_t)end[0] << 24 | (uint32_t)end[1] << 16 | (uint32_t)end[2] << 8 | end[3];
    answer->protocol_status = end[4];
}

/* Takes what belongs to the present part of a record; returns how much that was. */
static size_t fcgi_client_step(struct fcgi_client_answer *answer, const char *bytes, size_t size)
{
    size_t part;
    if (answer->header_have < FCGI_CLIENT_HEADER) {
        part = FCGI_CLIENT_HEADER - answer->header_have;
        part = part < size ? part : size;
        memcpy(answer->header + answer->header_have, bytes, part);
        answer->header_have += part;
        if (answer->header_have < FCGI_CLIENT_HEADER)
            return part;
        fcgi_client_take_header(answer);
    } else if (answer->content > 0) {
        part = answer->content < size ? answer->content : size;
        fcgi_client_take_content(answer, bytes, part);
        answer->content -= part;
    } else {
        part = answer->padding < size ? answer->padding : size;
        answer->padding -= part;
    }
    if (answer->fault == NULL && answer->content == 0 && answer->padding == 0)
        fcgi_client_close_record(answer);
    return part;
}

void fcgi_client_feed(struct fcgi_client_answer *answer, const char *bytes, size_t size)
{
    while (size > 0 && !answer->complete && answer->fault == NULL) {
        size_t part = fcgi_client_step(answer, bytes, size);
        bytes += part;
        size -= part;
    }
}

const char *fcgi_client_refusal(unsigned protocol_status)
{
    static const char *const names[] = {"", "it serves no second request on a connection",
                                        "it is overloaded",
                                        "it does not know the role of a responder"};
    return protocol_status < sizeof names / sizeof *names ? names[protocol_status]
                                                          : "for a reason without a name";
}
