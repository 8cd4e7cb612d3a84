/* fuzz_overrides.c: the web server's settings for one request: all of a text counts, or nothing. */
#include "sapi-shim/request/request_overrides.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct request_overrides before = {.max_execution_time = 7}, after;
    memcpy(&after, &before, sizeof after);
    char error[128] = "";
    if (request_overrides_parse(text, &after, error, sizeof error)) {
        FUZZ_CHECK(error[0] == '\0');
        FUZZ_CHECK(after.max_execution_time >= 0 && after.post_response_time_limit >= 0);
    } else {
        /* Padding was copied, too. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
        FUZZ_CHECK(error[0] != '\0' && memcmp(&before, &after, sizeof before) == 0);
    }
    free(text);
    return 0;
}
