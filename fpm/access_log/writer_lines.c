/* writer_lines.c: see writer_lines.h. */
#include "fpm/access_log/writer_lines.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What stands before a line. */
struct log_pipe_head {
    bool dead;
    uint64_t slot, thread, pid, number, lost;
};

int writer_lines_init(struct writer_lines *sink, unsigned slots)
{
    *sink = (struct writer_lines){.slots = slots};
    sink->seen = calloc(slots > 0 ? slots : 1, sizeof(struct access_seen *));
    return sink->seen != NULL ? 0 : -1;
}

void writer_lines_free(struct writer_lines *sink)
{
    for (unsigned i = 0; sink->seen != NULL && i < sink->slots; i++)
        free(sink->seen[i]);
    free(sink->seen);
    *sink = (struct writer_lines){.slots = 0};
}

/* Digits and what ends them; too many of them are no number. */
static bool writer_lines_number(const char **at, const char *end, char mark, uint64_t *out)
{
    uint64_t number = 0;
    const char *first = *at;
    while (*at < end && **at >= '0' && **at <= '9') {
        if (*at - first > 18)
            return false;
        number = number * 10 + (uint64_t)(*(*at)++ - '0');
    }
    if (*at == first || *at == end || **at != mark)
        return false;
    (*at)++;
    *out = number;
    return true;
}

/* Leaves *at behind the head; false if there is none. */
static bool writer_lines_head(const char **at, const char *end, struct log_pipe_head *head)
{
    if (*at == end || (**at != OT_ACCESS_FROM_WORKER && **at != OT_ACCESS_FROM_MANAGER))
        return false;
    head->dead = *(*at)++ == OT_ACCESS_FROM_MANAGER;
    return writer_lines_number(at, end, '.', &head->slot) &&
           writer_lines_number(at, end, '.', &head->thread) &&
           writer_lines_number(at, end, '.', &head->pid) &&
           writer_lines_number(at, end, '.', &head->number) &&
           writer_lines_number(at, end, ' ', &head->lost);
}

/* Short of memory it forgets, which costs a line that stands there twice. */
static struct access_seen *writer_lines_seen(struct writer_lines *sink,
                                             const struct log_pipe_head *head)
{
    if (head->slot >= sink->slots || head->thread >= OT_THREADS_MAX || head->number == 0)
        return NULL;
    if (sink->seen[head->slot] == NULL)
        sink->seen[head->slot] = calloc(OT_THREADS_MAX, sizeof(struct access_seen));
    return sink->seen[head->slot] != NULL ? &sink->seen[head->slot][head->thread] : NULL;
}

static bool writer_lines_wanted(struct writer_lines *sink, const struct log_pipe_head *head)
{
    struct access_seen *seen = writer_lines_seen(sink, head);
    if (seen == NULL)
        return true;
    if (head->dead)
        return seen->pid != head->pid || seen->number != head->number;
    *seen = (struct access_seen){.pid = head->pid, .number = head->number};
    return true;
}

/* Honest lines have no control characters; others are not let near a terminal. */
static size_t writer_lines_copy(char *out, const char *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)from[i];
        out[i] = (c < 0x20 && c != '\t') || c == 0x7f ? '?' : (char)c;
    }
    out[count] = '\n';
    return count + 1;
}

/* One message without its newline. Behind the rest of one that was never finished may stand a
 * whole one. */
static size_t writer_lines_message(struct writer_lines *sink, const char *at, size_t count,
                                   char *out)
{
    struct log_pipe_head head;
    const char *end = at + count;
    const char *begin = at;
    for (const char *p = at; p < end; p++)
        if (*p == OT_ACCESS_FROM_WORKER || *p == OT_ACCESS_FROM_MANAGER)
            begin = p;
    sink->junk += (uint64_t)(begin - at);
    at = begin;
    if (!writer_lines_head(&at, end, &head)) {
        sink->junk += (uint64_t)(end - begin) + 1;
        return 0;
    }
    sink->lost += head.lost;
    return writer_lines_wanted(sink, &head) ? writer_lines_copy(out, at, (size_t)(end - at)) : 0;
}

size_t writer_lines_take(struct writer_lines *sink, const char *bytes, size_t count, char *out,
                         size_t *taken)
{
    size_t used = 0, at = 0;
    for (;;) {
        const char *end = memchr(bytes + at, '\n', count - at);
        if (end == NULL)
            break;
        size_t length = (size_t)(end - (bytes + at));
        used += writer_lines_message(sink, bytes + at, length, out + used);
        at += length + 1;
    }
    if (count - at > OT_ACCESS_MESSAGE_MAX) {
        sink->junk += count - at;
        at = count;
    }
    *taken = at;
    return used;
}
