/* writer_lines.c: see writer_lines.h. */
#include "fpm/access_log/writer_lines.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The numbers before a line. */
struct writer_lines_head {
    bool dead;
    uint64_t slot, thread, pid, number, lost;
};

int writer_lines_init(struct writer_lines *lines, unsigned slots)
{
    *lines = (struct writer_lines){.slots = slots};
    lines->seen = calloc(slots > 0 ? slots : 1, sizeof(struct writer_lines_seen *));
    return lines->seen != NULL ? 0 : -1;
}

void writer_lines_free(struct writer_lines *lines)
{
    for (unsigned i = 0; lines->seen != NULL && i < lines->slots; i++)
        free(lines->seen[i]);
    free(lines->seen);
    *lines = (struct writer_lines){.slots = 0};
}

/* Reads a number and the mark that ends it. More than 18 digits are no number. */
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

/* Moves *at past the head; false if there is none. */
static bool writer_lines_head(const char **at, const char *end, struct writer_lines_head *head)
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

/* Must the line be written? The manager's line about a dead worker must not, if the worker has
 * written it itself. Without memory a line may be written twice. */
static bool writer_lines_wanted(struct writer_lines *lines, const struct writer_lines_head *head)
{
    if (head->slot >= lines->slots || head->thread >= OT_THREADS_MAX || head->number == 0)
        return true;
    if (lines->seen[head->slot] == NULL)
        lines->seen[head->slot] = calloc(OT_THREADS_MAX, sizeof(struct writer_lines_seen));
    if (lines->seen[head->slot] == NULL)
        return true;
    struct writer_lines_seen *seen = &lines->seen[head->slot][head->thread];
    if (head->dead)
        return seen->pid != head->pid || seen->number != head->number;
    *seen = (struct writer_lines_seen){.pid = head->pid, .number = head->number};
    return true;
}

/* Takes one message without its newline. A part of an unfinished message may precede it. */
static size_t writer_lines_message(struct writer_lines *lines, const char *at, size_t count,
                                   char *out)
{
    struct writer_lines_head head;
    const char *end = at + count;
    const char *begin = at;
    for (const char *p = at; p < end; p++)
        if (*p == OT_ACCESS_FROM_WORKER || *p == OT_ACCESS_FROM_MANAGER)
            begin = p;
    lines->invalid += (uint64_t)(begin - at);
    at = begin;
    if (!writer_lines_head(&at, end, &head)) {
        lines->invalid += (uint64_t)(end - begin) + 1;
        return 0;
    }
    lines->lost += head.lost;
    if (!writer_lines_wanted(lines, &head))
        return 0;
    /* Control characters, which only a faulty worker writes, are replaced: the file may be shown on
     * a terminal. */
    size_t used = 0;
    for (; at < end; at++) {
        unsigned char c = (unsigned char)*at;
        out[used++] = (c < 0x20 && c != '\t') || c == 0x7f ? '?' : (char)c;
    }
    out[used++] = '\n';
    return used;
}

size_t writer_lines_take(struct writer_lines *lines, const char *bytes, size_t count, char *out,
                         size_t *taken)
{
    size_t used = 0, at = 0;
    for (;;) {
        const char *end = memchr(bytes + at, '\n', count - at);
        if (end == NULL)
            break;
        size_t length = (size_t)(end - (bytes + at));
        used += writer_lines_message(lines, bytes + at, length, out + used);
        at += length + 1;
    }
    if (count - at > OT_ACCESS_MESSAGE_MAX) {
        lines->invalid += count - at;
        at = count;
    }
    *taken = at;
    return used;
}
