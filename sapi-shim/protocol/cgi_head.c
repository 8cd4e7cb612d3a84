/* cgi_head.c: see cgi_head.h. */
#include "sapi-shim/protocol/cgi_head.h"

#include "sapi-shim/contract.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/param.h>

/* The length of the head with its first empty line; 0 if that has not come. */
static size_t cgi_head_length(const char *text, size_t length)
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

/* The head ends here: reads its status, 200 if it has none, 302 if it has only a Location (RFC
 * 3875, 6.2.3). Of a head that is not whole only a status that it shows is known. */
static void cgi_head_complete(struct cgi_head *head, const char *text, size_t size, bool whole)
{
    size_t length = 0;
    const char *value = cgi_head_find(text, size, "Status", 6, &length);
    head->done = true;
    head->status = whole ? 200 : OT_HTTP_STATUS_UNKNOWN;
    if (value == NULL && size > 12 && memcmp(text, "HTTP/", 5) == 0) {
        value = text + 9;
        length = size - 9;
    } else if (value == NULL && whole &&
               cgi_head_find(text, size, "Location", 8, &length) != NULL) {
        head->status = 302;
    }
    if (value != NULL && length >= 3 && value[0] != '0' && isdigit((unsigned char)value[0]) &&
        isdigit((unsigned char)value[1]) && isdigit((unsigned char)value[2]))
        head->status = (unsigned)(value[0] - '0') * 100 + (unsigned)(value[1] - '0') * 10 +
                       (unsigned)(value[2] - '0');
}

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
    /* Nearly always the whole head comes at once, and is read where it lies. */
    size_t length = head->length == 0 ? cgi_head_length(bytes, count) : 0;
    if (length > 0) {
        cgi_head_complete(head, bytes, length, true);
        if (keep)
            (void)cgi_head_append(head, bytes, MIN(length, CGI_HEAD_MAX));
        return;
    }
    bool appended = cgi_head_append(head, bytes, MIN(count, CGI_HEAD_MAX - head->length));
    length = cgi_head_length(head->text, head->length);
    if (length == 0 && appended && head->length < CGI_HEAD_MAX)
        return;
    if (length > 0)
        head->length = length;
    cgi_head_complete(head, head->text, head->length, length > 0);
    if (!keep)
        cgi_head_free(head);
}

void cgi_head_end(struct cgi_head *head)
{
    if (!head->done)
        cgi_head_complete(head, head->text, head->length, true);
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
