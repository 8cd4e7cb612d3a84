/* detail.c: see detail.h. */
#include "sapi-shim/detail.h"

#include <stdlib.h>
#include <string.h>

static const char *detail_param(const void *context, const char *name, size_t length)
{
    const struct detail *detail = context;
    for (char **param = detail->params; param != NULL && *param != NULL; param++)
        if (strncmp(*param, name, length) == 0 && (*param)[length] == '=')
            return *param + length + 1;
    return NULL;
}

static const char *detail_field(const void *context, const char *name, size_t name_length,
                                size_t *length)
{
    const struct detail *detail = context;
    return head_get(&detail->head, name, name_length, length);
}

void detail_output(struct detail *detail, const char *bytes, size_t count, bool keep_head)
{
    if (!detail->head.done)
        head_feed(&detail->head, bytes, count, keep_head);
}

struct detail_name {
    const char *name;
    size_t length;
    const char *value;
};

enum detail_index {
    DETAIL_METHOD,
    DETAIL_URI,
    DETAIL_SCRIPT_NAME,
    DETAIL_QUERY,
    DETAIL_SCRIPT,
    DETAIL_REMOTE,
    DETAIL_USER,
    DETAIL_LENGTH,
    DETAIL_NAMES
};

#define NAME(text)                                                                                 \
    {                                                                                              \
        (text "="), sizeof(text), NULL                                                             \
    }

/* One pass over the parameters instead of one for each. */
static void detail_find(const struct detail *detail, struct detail_name *names)
{
    for (char **param = detail->params; param != NULL && *param != NULL; param++) {
        char first = **param;
        if (first != 'R' && first != 'S' && first != 'Q' && first != 'C')
            continue;
        for (size_t i = 0; i < DETAIL_NAMES; i++)
            if (strncmp(*param, names[i].name, names[i].length) == 0)
                names[i].value = *param + names[i].length;
    }
}

void detail_fill(struct detail *detail, bool sent, struct format_facts *facts)
{
    struct detail_name names[DETAIL_NAMES] = {
        [DETAIL_METHOD] = NAME("REQUEST_METHOD"),   [DETAIL_URI] = NAME("REQUEST_URI"),
        [DETAIL_SCRIPT_NAME] = NAME("SCRIPT_NAME"), [DETAIL_QUERY] = NAME("QUERY_STRING"),
        [DETAIL_SCRIPT] = NAME("SCRIPT_FILENAME"),  [DETAIL_REMOTE] = NAME("REMOTE_ADDR"),
        [DETAIL_USER] = NAME("REMOTE_USER"),        [DETAIL_LENGTH] = NAME("CONTENT_LENGTH"),
    };
    detail_find(detail, names);
    const char *uri = names[DETAIL_URI].value;
    const char *length = names[DETAIL_LENGTH].value;
    bool has_uri = uri != NULL && *uri != '\0';
    facts->method = names[DETAIL_METHOD].value;
    facts->uri = has_uri ? uri : names[DETAIL_SCRIPT_NAME].value;
    /* An application may have cut up its query string; the URI it seldom touches. */
    facts->query = has_uri ? NULL : names[DETAIL_QUERY].value;
    facts->script = names[DETAIL_SCRIPT].value;
    facts->remote = names[DETAIL_REMOTE].value;
    facts->user = names[DETAIL_USER].value;
    facts->content_length = length != NULL ? (int64_t)(strtoull(length, NULL, 10) & INT64_MAX) : 0;
    facts->param = detail_param;
    facts->field = detail_field;
    facts->context = detail;
    if (sent)
        head_end(&detail->head);
    facts->status = sent ? detail->head.status : 0;
}

void detail_end(struct detail *detail)
{
    head_free(&detail->head);
}
