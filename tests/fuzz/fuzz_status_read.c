/* fuzz_status_read.c: the manager's answers as `overtimectl top` and `record` read them. */
#include "fpm/ctl/recorder.h"
#include "fpm/ctl/status_read.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct status_read read = {0};
    char error[256] = "";
    if (status_read_status(&read, text, error, sizeof error) != 0)
        FUZZ_CHECK(error[0] != '\0');
    error[0] = '\0';
    if (status_read_workers(&read, text, error, sizeof error) != 0)
        FUZZ_CHECK(error[0] != '\0');
    for (size_t i = 0; i < read.pool_count; i++)
        FUZZ_CHECK(memchr(read.pools[i].name, '\0', sizeof read.pools[i].name) != NULL);
    for (size_t i = 0; i < read.worker_count; i++)
        FUZZ_CHECK(memchr(read.workers[i].uri, '\0', sizeof read.workers[i].uri) != NULL);
    status_read_free(&read);

    /* A recorded line is one line of JSON, whatever the manager sent. */
    char *line = recorder_line(1, text, NULL);
    if (line != NULL) {
        size_t length = strlen(line);
        FUZZ_CHECK(strchr(line, '\n') == line + length - 1);
        json_t *json = json_loads(line, 0, NULL);
        FUZZ_CHECK(json_is_object(json));
        json_decref(json);
    }
    free(line);
    free(text);
    return 0;
}
