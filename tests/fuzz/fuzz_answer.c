/* fuzz_answer.c: an application's answer as `overtimectl request` reads it: records, then CGI. */
#include "fpm/ctl/fcgi_client.h"
#include "fpm/ctl/response.h"
#include "sapi-shim/protocol/cgi_head.h"
#include "tests/fuzz/fuzz.h"

#include <sys/param.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fcgi_client_events events = {.output = response_output,
                                                     .error = response_error};
    struct response response = {.keep = true, .promised = -1};
    struct fcgi_client_answer answer = {.events = &events, .context = &response};
    for (size_t at = 0; at < size && answer.fault == NULL; at += 5)
        fcgi_client_feed(&answer, (const char *)data + at, MIN(size - at, 5));
    FUZZ_CHECK(response.head <= response.total);
    json_t *object = json_object();
    response_json(&response, object);
    char *text = json_dumps(object, 0);
    FUZZ_CHECK(text != NULL);
    free(text);
    json_decref(object);
    response_free(&response);

    /* The worker's own reader of the same head. */
    struct cgi_head head = {0};
    for (size_t at = 0; at < size; at += 7)
        cgi_head_feed(&head, (const char *)data + at, MIN(size - at, 7), true);
    cgi_head_end(&head);
    FUZZ_CHECK(head.done && head.length <= CGI_HEAD_MAX);
    FUZZ_CHECK(head.status == 0 || head.status == 1 || (head.status >= 100 && head.status <= 999));
    size_t length = 0;
    const char *type = cgi_head_get(&head, "Content-Type", 12, &length);
    FUZZ_CHECK(type == NULL || length <= head.length);
    cgi_head_free(&head);
    return 0;
}
