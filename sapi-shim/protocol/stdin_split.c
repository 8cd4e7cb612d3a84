/* stdin_split.c: see stdin_split.h. */
#include "sapi-shim/protocol/stdin_split.h"

#include "sapi-shim/protocol/frame.h"

#include <string.h>
#include <sys/param.h>

/* Skips padding of a record that the application has read; returns how many bytes. */
static size_t stdin_split_skip_padding(struct stdin_split *split, size_t present)
{
    size_t n = MIN(split->padding, present);
    split->padding -= n;
    split->direct = split->padding > 0;
    return n;
}

/* Begins the record with this header: one with content of the body if `take_body`, any other if
 * `take_other`. False if it must not begin now. */
static bool stdin_split_begin(struct stdin_split *split, const unsigned char *header,
                              bool take_body, bool take_other)
{
    size_t size = 0;
    size_t content = frame_content_size(header, &size);
    bool is_body = header[1] == FRAME_TYPE_STDIN && content > 0;
    if (!(is_body ? take_body : take_other))
        return false;
    *split = (struct stdin_split){
        .content = content, .padding = size - FRAME_HEADER - content, .is_body = is_body};
    return true;
}

size_t stdin_split_records(struct stdin_split *split, uint16_t id, const unsigned char *from,
                           size_t present, unsigned char *into, size_t size, size_t *used)
{
    size_t copied = 0;
    size_t skipped = 0;
    if (split->direct && split->content > 0) {
        /* The rest of a record that the application has begun gets a header. */
        copied = frame_stdin_header(id, split->content, split->padding, into);
        split->direct = false;
    } else if (split->direct) {
        skipped = stdin_split_skip_padding(split, present);
    }
    *used = skipped;
    if (split->direct)
        return 0;

    /* Content of the body ends the copy, and must be its beginning. */
    bool first = copied == 0;
    from += skipped;
    present = MIN(present - skipped, size - copied);
    size_t at = 0;
    for (;;) {
        size_t left = split->content + split->padding;
        if (left > 0) {
            size_t n = MIN(left, present - at);
            stdin_split_advance(split, n);
            at += n;
            if (split->is_body || n < left)
                break;
        }
        if (present - at < FRAME_HEADER ||
            !stdin_split_begin(split, from + at, first && at == 0, true))
            break;
        at += FRAME_HEADER;
    }
    memcpy(into + copied, from, at);
    *used += at;
    return copied + at;
}

size_t stdin_split_content(struct stdin_split *split, const unsigned char *from, size_t present,
                           unsigned char *into, size_t size, size_t *used)
{
    size_t at = 0;
    size_t copied = 0;
    for (;;) {
        size_t n = MIN(split->content, MIN(present - at, size - copied));
        memcpy(into + copied, from + at, n);
        split->content -= n;
        at += n;
        copied += n;
        if (split->content > 0)
            break;
        at += stdin_split_skip_padding(split, present - at);
        if (split->direct || present - at < FRAME_HEADER || copied == size ||
            !stdin_split_begin(split, from + at, true, false))
            break;
        split->direct = true;
        at += FRAME_HEADER;
    }
    *used = at;
    return copied;
}

bool stdin_split_is_idle(const struct stdin_split *split)
{
    return split->content + split->padding == 0;
}

bool stdin_split_may_read_content(const struct stdin_split *split)
{
    return split->direct || stdin_split_is_idle(split);
}

size_t stdin_split_direct_records(const struct stdin_split *split)
{
    return split->direct ? 0 : split->content + split->padding;
}

size_t stdin_split_direct_content(const struct stdin_split *split)
{
    return split->direct ? split->content : 0;
}

void stdin_split_advance(struct stdin_split *split, size_t count)
{
    size_t n = MIN(count, split->content);
    split->content -= n;
    split->padding -= count - n;
}
