/* fuzz_access_format.c: `access.format` and a line made with it.
 *
 * Up to the first NUL the input is the format, then come the request's texts. A line has no control
 * character but those of the format, and the JSON format gives JSON.
 */
#include "sapi-shim/access_log/log_format.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>

/* Cuts the next text off the input. */
static const char *fuzz_access_format_text(const char **at, const char *end)
{
    const char *text = *at;
    const char *nul = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;
    if (nul == NULL)
        return NULL;
    *at = nul + 1;
    return text;
}

static void fuzz_access_format_line(const char *text, const struct log_format_input *input)
{
    char error[256] = "", line[OT_ACCESS_LINE_MAX + 1];
    struct log_format *format = log_format_compile(text, error, sizeof error);
    FUZZ_CHECK((format == NULL) == (error[0] != '\0'));
    if (format == NULL)
        return;
    size_t length = log_format_line(format, input, line);
    FUZZ_CHECK(length <= OT_ACCESS_LINE_MAX);
    for (size_t i = 0; i < length; i++)
        FUZZ_CHECK(((unsigned char)line[i] >= 0x20 && line[i] != 0x7f) ||
                   strchr(text, line[i]) != NULL);
    if (strcmp(text, LOG_FORMAT_JSON) == 0) {
        json_t *json = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        FUZZ_CHECK(json_is_object(json));
        json_decref(json);
    }
    log_format_free(&format);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    copy[size] = '\0';
    const char *at = copy, *end = copy + size + 1;
    const char *format = fuzz_access_format_text(&at, end);
    struct log_format_input input = {.pool = "www", .pid = 7, .began = 1, .ended = 2};
    input.method = fuzz_access_format_text(&at, end);
    input.uri = fuzz_access_format_text(&at, end);
    input.query = fuzz_access_format_text(&at, end);
    input.script = fuzz_access_format_text(&at, end);
    input.remote = fuzz_access_format_text(&at, end);
    input.user = fuzz_access_format_text(&at, end);
    input.label = fuzz_access_format_text(&at, end);
    input.content_length = (int64_t)size - 1;
    fuzz_access_format_line(format, &input);
    fuzz_access_format_line(LOG_FORMAT_JSON, &input);
    free(copy);
    return 0;
}
