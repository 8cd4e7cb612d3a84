/* cgi_head.c: see cgi_head.h. */
#include "sapi-shim/protocol/cgi_head.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    CGI_HEAD_STATUS = 200,         /* of a head that says nothing */
    CGI_HEAD_STATUS_LOCATION = 302 /* of one that only says where to go (RFC 3875, 6.2.3) */
};

/* Bytes up to and with the first empty line; 0 if there is none yet. */
static size_t cgi_head_whole(const char *text, size_t length)
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

static const char *cgi_head_find(const char *text, size_t size, const char *name,
                                 size_t name_length, size_t *length)
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
static unsigned cgi_head_number(const char *text, size_t length)
{
    if (length < 3 || !isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]) ||
        !isdigit((unsigned char)text[2]) || text[0] == '0')
        return 0;
    return (unsigned)(text[0] - '0') * 100 + (unsigned)(text[1] - '0') * 10 +
           (unsigned)(text[2] - '0');
}

static unsigned cgi_head_status(const char *text, size_t size)
{
    size_t length = 0;
    unsigned status = 0;
    const char *value = cgi_head_find(text, size, "Status", 6, &length);
    if (value != NULL)
        status = cgi_head_number(value, length);
    else if (size > 12 && memcmp(text, "HTTP/", 5) == 0)
        status = cgi_head_number(text + 9, size - 9);
    else if (cgi_head_find(text, size, "Location", 8, &length) != NULL)
        status = CGI_HEAD_STATUS_LOCATION;
    return status != 0 ? status : CGI_HEAD_STATUS;
}

static void cgi_head_complete(struct cgi_head *head, const char *text, size_t size)
{
    head->done = true;
    head->status = cgi_head_status(text, size);
}

/* Without memory the head ends here. */
static bool cgi_head_append(struct cgi_head *head, const char *bytes, size_t count)
{
    char *grown = realloc(head->text, head->length + count);
    if (grown == NULL)
        return false;
    memcpy(grown + head->length, bytes, count);
    head->text = grown;
    head->length += count;
    return true;
}

void cgi_head_feed(struct cgi_head *head, const char *bytes, size_t count, bool keep)
{
    if (head->done || count == 0)
        return;
    /* Nearly always the whole head comes at once, and is read where it is. */
    size_t whole = head->length == 0 ? cgi_head_whole(bytes, count) : 0;
    if (whole > 0) {
        cgi_head_complete(head, bytes, whole);
        if (keep)
            (void)cgi_head_append(head, bytes, whole < CGI_HEAD_MAX ? whole : CGI_HEAD_MAX);
        return;
    }
    size_t room = CGI_HEAD_MAX - head->length;
    bool kept = cgi_head_append(head, bytes, count < room ? count : room);
    whole = cgi_head_whole(head->text, head->length);
    if (whole == 0 && kept && head->length < CGI_HEAD_MAX)
        return;
    if (whole > 0)
        head->length = whole;
    cgi_head_end(head);
    if (!keep)
        cgi_head_free(head);
}

void cgi_head_end(struct cgi_head *head)
{
    if (!head->done)
        cgi_head_complete(head, head->text, head->length);
}

const char *cgi_head_get(const struct cgi_head *head, const char *name, size_t name_length,
                         size_t *length)
{
    return cgi_head_find(head->text, head->length, name, name_length, length);
}

void cgi_head_free(struct cgi_head *head)
{
    free(head->text);
    head->text = NULL;
    head->length = 0;
}
