/* stdin_split.c: see stdin_split.h. */
#include "sapi-shim/protocol/stdin_split.h"

#include "sapi-shim/protocol/frame.h"

#include <string.h>
#include <sys/param.h>

/* How much of `there` bytes is padding of a record that the application had. */
static size_t stdin_split_drop_padding(struct stdin_split *feed, size_t there)
{
    size_t n = MIN(feed->padding, there);
    feed->padding -= n;
    feed->ours = feed->padding > 0;
    return n;
}

/* The record with this header begins, if it may: is one with content of the body, or another, to be
 * taken? */
static bool stdin_split_begin(struct stdin_split *feed, const unsigned char *header, bool take_body,
                              bool take_other)
{
    size_t size = 0;
    size_t content = frame_content_size(header, &size);
    bool body = header[1] == FRAME_TYPE_STDIN && content > 0;
    if (!(body ? take_body : take_other))
        return false;
    *feed = (struct stdin_split){
        .content = content, .padding = size - FRAME_HEADER - content, .body = body};
    return true;
}

/* Walks over what libfcgi may be given of `there` bytes: so many. `any`: something is given before.
 */
static size_t stdin_split_walk(struct stdin_split *feed, const unsigned char *from, size_t there,
                               bool any)
{
    size_t at = 0;
    for (;;) {
        size_t left = feed->content + feed->padding;
        if (left > 0) {
            size_t n = MIN(left, there - at);
            stdin_split_advance(feed, n);
            at += n;
            if (feed->body || n < left)
                return at;
        }
        if (there - at < FRAME_HEADER || !stdin_split_begin(feed, from + at, !any && at == 0, true))
            return at;
        at += FRAME_HEADER;
    }
}

size_t stdin_split_records(struct stdin_split *feed, uint16_t id, const unsigned char *from,
                           size_t there, unsigned char *into, size_t size, size_t *used)
{
    size_t given = 0, dropped = 0;
    if (feed->ours && feed->content > 0) {
        /* What the application left of a record begins with a header of its own. */
        given = frame_stdin_header(id, feed->content, feed->padding, into);
        feed->ours = false;
    } else if (feed->ours) {
        dropped = stdin_split_drop_padding(feed, there);
    }
    size_t n = feed->ours ? 0
                          : stdin_split_walk(feed, from + dropped,
                                             MIN(there - dropped, size - given), given > 0);
    memcpy(into + given, from + dropped, n);
    *used = dropped + n;
    return given + n;
}

size_t stdin_split_content(struct stdin_split *feed, const unsigned char *from, size_t there,
                           unsigned char *into, size_t size, size_t *used)
{
    size_t at = 0, given = 0;
    for (;;) {
        size_t n = MIN(feed->content, MIN(there - at, size - given));
        memcpy(into + given, from + at, n);
        feed->content -= n;
        at += n;
        given += n;
        if (feed->content > 0)
            break;
        at += stdin_split_drop_padding(feed, there - at);
        if (feed->ours || there - at < FRAME_HEADER || given == size ||
            !stdin_split_begin(feed, from + at, true, false))
            break;
        feed->ours = true;
        at += FRAME_HEADER;
    }
    *used = at;
    return given;
}

bool stdin_split_is_idle(const struct stdin_split *feed)
{
    return feed->content + feed->padding == 0;
}

bool stdin_split_may_read_content(const struct stdin_split *feed)
{
    return feed->ours || stdin_split_is_idle(feed);
}

size_t stdin_split_direct_records(const struct stdin_split *feed)
{
    return feed->ours ? 0 : feed->content + feed->padding;
}

size_t stdin_split_direct_content(const struct stdin_split *feed)
{
    return feed->ours ? feed->content : 0;
}

void stdin_split_advance(struct stdin_split *feed, size_t count)
{
    size_t n = MIN(count, feed->content);
    feed->content -= n;
    feed->padding -= count - n;
}
