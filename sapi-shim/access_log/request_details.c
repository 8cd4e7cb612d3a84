/* request_details.c: see request_details.h. */
#include "sapi-shim/access_log/request_details.h"

#include "sapi-shim/protocol/params.h"
#include "sapi-shim/util/scalar.h"

#include <string.h>

static const char *request_details_param(const void *context, const char *name, size_t length)
{
    const struct request_details *detail = context;
    return params_get(detail->params, name, length);
}

static const char *request_details_field(const void *context, const char *name, size_t name_length,
                                         size_t *length)
{
    const struct request_details *detail = context;
    return cgi_head_get(&detail->head, name, name_length, length);
}

void request_details_output(struct request_details *detail, const char *bytes, size_t count,
                            bool keep_head)
{
    if (!detail->head.done)
        cgi_head_feed(&detail->head, bytes, count, keep_head);
}

struct request_details_name {
    const char *name;
    size_t length;
    const char *value;
};

enum request_details_index {
    REQUEST_DETAILS_METHOD,
    REQUEST_DETAILS_URI,
    REQUEST_DETAILS_SCRIPT_NAME,
    REQUEST_DETAILS_QUERY,
    REQUEST_DETAILS_SCRIPT,
    REQUEST_DETAILS_REMOTE,
    REQUEST_DETAILS_USER,
    REQUEST_DETAILS_LENGTH,
    REQUEST_DETAILS_NAMES
};

#define REQUEST_DETAILS_NAME(text)                                                                 \
    {                                                                                              \
        (text "="), sizeof(text), NULL                                                             \
    }

void request_details_fill(struct request_details *detail, bool sent, struct log_format_input *input)
{
    struct request_details_name names[REQUEST_DETAILS_NAMES] = {
        [REQUEST_DETAILS_METHOD] = REQUEST_DETAILS_NAME("REQUEST_METHOD"),
        [REQUEST_DETAILS_URI] = REQUEST_DETAILS_NAME("REQUEST_URI"),
        [REQUEST_DETAILS_SCRIPT_NAME] = REQUEST_DETAILS_NAME("SCRIPT_NAME"),
        [REQUEST_DETAILS_QUERY] = REQUEST_DETAILS_NAME("QUERY_STRING"),
        [REQUEST_DETAILS_SCRIPT] = REQUEST_DETAILS_NAME("SCRIPT_FILENAME"),
        [REQUEST_DETAILS_REMOTE] = REQUEST_DETAILS_NAME("REMOTE_ADDR"),
        [REQUEST_DETAILS_USER] = REQUEST_DETAILS_NAME("REMOTE_USER"),
        [REQUEST_DETAILS_LENGTH] = REQUEST_DETAILS_NAME("CONTENT_LENGTH"),
    };
    /* One pass over the parameters. Of a name that comes twice the first counts. */
    for (char **param = detail->params; param != NULL && *param != NULL; param++) {
        char first = **param;
        if (first != 'R' && first != 'S' && first != 'Q' && first != 'C')
            continue;
        for (size_t i = 0; i < REQUEST_DETAILS_NAMES; i++)
            if (names[i].value == NULL && strncmp(*param, names[i].name, names[i].length) == 0)
                names[i].value = *param + names[i].length;
    }
    const char *uri = names[REQUEST_DETAILS_URI].value;
    uint64_t length = scalar_length(names[REQUEST_DETAILS_LENGTH].value);
    bool has_uri = uri != NULL && *uri != '\0';
    input->method = names[REQUEST_DETAILS_METHOD].value;
    input->uri = has_uri ? uri : names[REQUEST_DETAILS_SCRIPT_NAME].value;
    /* Prefer the URI: some applications split QUERY_STRING in place. */
    input->query = has_uri ? NULL : names[REQUEST_DETAILS_QUERY].value;
    input->script = names[REQUEST_DETAILS_SCRIPT].value;
    input->remote = names[REQUEST_DETAILS_REMOTE].value;
    input->user = names[REQUEST_DETAILS_USER].value;
    input->content_length = length > INT64_MAX ? LOG_FORMAT_UNKNOWN : (int64_t)length;
    input->param = request_details_param;
    input->field = request_details_field;
    input->context = detail;
    if (sent)
        cgi_head_end(&detail->head);
    input->status = sent ? detail->head.status : 0;
}

void request_details_end(struct request_details *detail)
{
    cgi_head_free(&detail->head);
}
