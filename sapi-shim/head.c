/* head.c: see head.h. */
#include "sapi-shim/head.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    HEAD_STATUS = 200,         /* of a head that says nothing */
    HEAD_STATUS_LOCATION = 302 /* of one that only says where to go (RFC 3875, 6.2.3) */
};

/* Bytes up to and with the first empty line; 0 if there is none yet. */
static size_t head_whole(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        const char *end = memchr(text + at, '\n', length - at);
        if (end == NULL)
            return 0;
        size_t line = (size_t)(end - (text + at));
        bool empty = line == 0 || (line == 1 && text[at] == '\r');
        at += line + 1;
        if (empty)
            return at;
    }
    return 0;
}

static const char *head_find(const char *text, size_t size, const char *name, size_t name_length,
                             size_t *length)
{
    for (size_t at = 0; at < size;) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', size - at);
        size_t count = end != NULL ? (size_t)(end - line) : size - at;
        at += count + 1;
        if (count <= name_length || line[name_length] != ':' ||
            strncasecmp(line, name, name_length) != 0)
            continue;
        const char *value = line + name_length + 1;
        count -= name_length + 1;
        while (count > 0 && isspace((unsigned char)*value)) {
            value++;
            count--;
        }
        while (count > 0 && isspace((unsigned char)value[count - 1]))
            count--;
        *length = count;
        return value;
    }
    return NULL;
}

/* Three digits; 0 for anything else. */
static unsigned head_number(const char *text, size_t length)
{
    if (length < 3 || !isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]) ||
        !isdigit((unsigned char)text[2]) || text[0] == '0')
        return 0;
    return (unsigned)(text[0] - '0') * 100 + (unsigned)(text[1] - '0') * 10 +
           (unsigned)(text[2] - '0');
}

static unsigned head_status(const char *text, size_t size)
{
    size_t length = 0;
    unsigned status = 0;
    const char *value = head_find(text, size, "Status", 6, &length);
    if (value != NULL)
        status = head_number(value, length);
    else if (size > 12 && memcmp(text, "HTTP/", 5) == 0)
        status = head_number(text + 9, size - 9);
    else if (head_find(text, size, "Location", 8, &length) != NULL)
        status = HEAD_STATUS_LOCATION;
    return status != 0 ? status : HEAD_STATUS;
}

static void head_complete(struct head *head, const char *text, size_t size)
{
    head->done = true;
    head->status = head_status(text, size);
}

/* Without memory the head ends here. */
static bool head_append(struct head *head, const char *bytes, size_t count)
{
    char *grown = realloc(head->text, head->length + count);
    if (grown == NULL)
        return false;
    memcpy(grown + head->length, bytes, count);
    head->text = grown;
    head->length += count;
    return true;
}

void head_feed(struct head *head, const char *bytes, size_t count, bool keep)
{
    if (head->done || count == 0)
        return;
    /* Nearly always the whole head comes at once, and is read where it is. */
    size_t whole = head->length == 0 ? head_whole(bytes, count) : 0;
    if (whole > 0) {
        head_complete(head, bytes, whole);
        if (keep)
            (void)head_append(head, bytes, whole < HEAD_MAX ? whole : HEAD_MAX);
        return;
    }
    size_t room = HEAD_MAX - head->length;
    bool kept = head_append(head, bytes, count < room ? count : room);
    whole = head_whole(head->text, head->length);
    if (whole == 0 && kept && head->length < HEAD_MAX)
        return;
    if (whole > 0)
        head->length = whole;
    head_end(head);
    if (!keep)
        head_free(head);
}

void head_end(struct head *head)
{
    if (!head->done)
        head_complete(head, head->text, head->length);
}

const char *head_get(const struct head *head, const char *name, size_t name_length, size_t *length)
{
    return head_find(head->text, head->length, name, name_length, length);
}

void head_free(struct head *head)
{
    free(head->text);
    head->text = NULL;
    head->length = 0;
}
