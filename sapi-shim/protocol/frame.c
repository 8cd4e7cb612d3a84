/* frame.c: see frame.h. */
#include "sapi-shim/protocol/frame.h"

#include <stdio.h>
#include <string.h>

enum frame_type {
    FRAME_TYPE_BEGIN_REQUEST = 1,
    FRAME_TYPE_ABORT_REQUEST = 2,
    FRAME_TYPE_END_REQUEST = 3,
    FRAME_TYPE_PARAMS = 4,
    FRAME_TYPE_DATA = 8,
    FRAME_TYPE_GET_VALUES = 9,
    FRAME_TYPE_GET_VALUES_RESULT = 10,
    FRAME_TYPE_UNKNOWN_TYPE = 11,
};

enum {
    FRAME_VERSION = 1,
    FRAME_KEEP_CONN = 1
};

static enum frame_kind frame_begin(struct frame *frame, const struct frame_record *record,
                                   const unsigned char *bytes, size_t count)
{
    if (record->content != FRAME_BEGIN_BODY)
        return FRAME_BAD;
    /* The specification does not allow a next request yet; it is harmless and waits. */
    if (frame->phase == FRAME_COMPLETE && record->id == frame->id)
        return FRAME_HOLD;
    if (frame->phase != FRAME_NONE)
        return record->id == frame->id ? FRAME_BAD : FRAME_SECOND;
    if (count < FRAME_HEADER + FRAME_BEGIN_BODY)
        return FRAME_MORE;
    frame->phase = FRAME_PARAMS;
    frame->id = record->id;
    frame->role = (uint16_t)(bytes[8] << 8 | bytes[9]);
    frame->keep = (bytes[10] & FRAME_KEEP_CONN) != 0;
    frame->params_bytes = 0;
    frame->body_bytes = 0;
    return FRAME_PASS;
}

/* A record of one of the current request's streams; an empty one ends the stream. */
static enum frame_kind frame_stream(struct frame *frame, const struct frame_record *record)
{
    bool last = record->content == 0;
    switch (frame->phase) {
    case FRAME_PARAMS:
        if (record->type != FRAME_TYPE_PARAMS)
            return FRAME_BAD;
        frame->params_bytes += record->content;
        if (last) /* an authorizer gets no other input */
            frame->phase = frame->role == FRAME_ROLE_AUTHORIZER ? FRAME_COMPLETE : FRAME_STDIN;
        return FRAME_PASS;
    case FRAME_STDIN:
        if (record->type != FRAME_TYPE_STDIN)
            return FRAME_BAD;
        frame->body_bytes += record->content;
        if (last)
            frame->phase = frame->role == FRAME_ROLE_FILTER ? FRAME_DATA : FRAME_COMPLETE;
        return FRAME_PASS;
    case FRAME_DATA:
        if (record->type != FRAME_TYPE_DATA)
            return FRAME_BAD;
        if (last)
            frame->phase = FRAME_COMPLETE;
        return FRAME_PASS;
    case FRAME_COMPLETE:
        /* Some servers send an authorizer an empty body; anything else is past the end. */
        return last ? FRAME_DROP : FRAME_BAD;
    case FRAME_NONE:
    default:
        return FRAME_DROP;
    }
}

size_t frame_content_size(const unsigned char *header, size_t *size)
{
    size_t content = (size_t)(header[4] << 8 | header[5]);
    *size = FRAME_HEADER + content + header[6];
    return content;
}

struct frame_record frame_next(struct frame *frame, const unsigned char *bytes, size_t count)
{
    struct frame_record record = {.kind = FRAME_MORE};
    if (count < FRAME_HEADER)
        return record;
    record.type = bytes[1];
    record.id = (uint16_t)(bytes[2] << 8 | bytes[3]);
    record.content = frame_content_size(bytes, &record.size);
    if (bytes[0] != FRAME_VERSION)
        record.kind = FRAME_BAD;
    else if (record.id == 0)
        record.kind = record.type == FRAME_TYPE_GET_VALUES ? FRAME_VALUES : FRAME_UNKNOWN;
    else if (record.type == FRAME_TYPE_BEGIN_REQUEST)
        record.kind = frame_begin(frame, &record, bytes, count);
    else if (frame->phase == FRAME_NONE || record.id != frame->id)
        record.kind = FRAME_DROP;
    else if (record.type == FRAME_TYPE_ABORT_REQUEST && frame->phase == FRAME_PARAMS) {
        record.kind = FRAME_CANCEL;
        frame_reset(frame);
    } else if (record.type == FRAME_TYPE_ABORT_REQUEST)
        record.kind = FRAME_ABORT;
    else
        record.kind = frame_stream(frame, &record);
    return record;
}

bool frame_is_abort(const unsigned char *header, uint16_t id)
{
    return header[0] == FRAME_VERSION && header[1] == FRAME_TYPE_ABORT_REQUEST &&
           (uint16_t)(header[2] << 8 | header[3]) == id;
}

void frame_reset(struct frame *frame)
{
    frame->phase = FRAME_NONE;
    frame->params_bytes = 0;
}

static size_t frame_header(unsigned char type, uint16_t id, size_t content, unsigned char *out)
{
    out[0] = FRAME_VERSION;
    out[1] = type;
    out[2] = (unsigned char)(id >> 8);
    out[3] = (unsigned char)(id & 0xff);
    out[4] = (unsigned char)(content >> 8);
    out[5] = (unsigned char)(content & 0xff);
    out[6] = 0;
    out[7] = 0;
    return FRAME_HEADER;
}

/* Reads one length of a name-value pair: one byte, or four with the top bit set. Returns the byte
 * after it, NULL if the length is incomplete or `p` is NULL. */
static const unsigned char *frame_length(const unsigned char *p, const unsigned char *end,
                                         size_t *length)
{
    if (p == NULL || p == end)
        return NULL;
    if (*p < 0x80) {
        *length = *p;
        return p + 1;
    }
    if (end - p < 4)
        return NULL;
    *length = (size_t)(p[0] & 0x7f) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    return p + 4;
}

bool frame_next_pair(const unsigned char **p, const unsigned char *end, struct frame_pair *pair)
{
    const unsigned char *at = frame_length(*p, end, &pair->name_size);
    at = frame_length(at, end, &pair->value_size);
    if (at == NULL || pair->name_size > (size_t)(end - at) ||
        pair->value_size > (size_t)(end - at) - pair->name_size)
        return false;
    pair->name = at;
    pair->value = at + pair->name_size;
    *p = pair->value + pair->value_size;
    return true;
}

/* A connection carries one request at a time, so as many connections as requests are taken. */
static const char *const frame_values[] = {"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"};
enum {
    FRAME_VALUE_MULTIPLEXES = 2,
    FRAME_VALUE_COUNT = sizeof frame_values / sizeof frame_values[0]
};

size_t frame_values_answer(const unsigned char *content, size_t count, unsigned requests,
                           unsigned char *out)
{
    char served[16];
    const unsigned char *end = content + count;
    bool wanted[FRAME_VALUE_COUNT] = {false};
    while (content < end) {
        struct frame_pair pair;
        if (!frame_next_pair(&content, end, &pair))
            return 0;
        for (size_t i = 0; i < FRAME_VALUE_COUNT; i++)
            if (strlen(frame_values[i]) == pair.name_size &&
                memcmp(frame_values[i], pair.name, pair.name_size) == 0)
                wanted[i] = true;
    }
    size_t at = FRAME_HEADER;
    (void)snprintf(served, sizeof served, "%u", requests);
    for (size_t i = 0; i < FRAME_VALUE_COUNT; i++) {
        const char *value = i == FRAME_VALUE_MULTIPLEXES ? "0" : served;
        size_t length = strlen(frame_values[i]);
        size_t value_length = strlen(value);
        /* An unknown value is left out, as the specification asks. */
        if (!wanted[i] || (i != FRAME_VALUE_MULTIPLEXES && requests == 0))
            continue;
        out[at++] = (unsigned char)length;
        out[at++] = (unsigned char)value_length;
        memcpy(out + at, frame_values[i], length);
        memcpy(out + at + length, value, value_length);
        at += length + value_length;
    }
    (void)frame_header(FRAME_TYPE_GET_VALUES_RESULT, 0, at - FRAME_HEADER, out);
    return at;
}

/* A record with a body of 8 bytes that is zero but for one byte. */
static size_t frame_short(unsigned char type, uint16_t id, size_t index, unsigned char value,
                          unsigned char *out)
{
    size_t at = frame_header(type, id, 8, out);
    memset(out + at, 0, 8);
    out[at + index] = value;
    return at + 8;
}

size_t frame_unknown_answer(unsigned char type, unsigned char *out)
{
    return frame_short(FRAME_TYPE_UNKNOWN_TYPE, 0, 0, type, out);
}

size_t frame_end_request(uint16_t id, enum frame_status status, unsigned char *out)
{
    return frame_short(FRAME_TYPE_END_REQUEST, id, 4, (unsigned char)status, out);
}

size_t frame_stdout_header(uint16_t id, size_t content, unsigned char *out)
{
    return frame_header(FRAME_TYPE_STDOUT, id, content, out);
}

size_t frame_stdin_header(uint16_t id, size_t content, size_t padding, unsigned char *out)
{
    size_t size = frame_header(FRAME_TYPE_STDIN, id, content, out);
    out[6] = (unsigned char)padding;
    return size;
}
