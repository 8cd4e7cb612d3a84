/* fuzz_log.c: what workers write: messages of the access log, and lines of output.
 *
 * A line of the log has no control character but its newline, and as JSON it is JSON.
 */
#include "fpm/access_log/writer_lines.h"
#include "fpm/log/log_line.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>
#include <sys/param.h>

static void fuzz_log_line(const uint8_t *data, size_t size, bool json, bool decorate)
{
    char line[LOG_LINE_LEAST];
    struct timespec now = {.tv_sec = 1000};
    struct log_line_style style = {.frame = LOG_LINE_FILE, .json = json, .ident = "overtime"};
    struct log_record record = {.level = LOG_LEVEL_NOTICE,
                                .about = {.pool = "www", .pid = 7},
                                .text = (const char *)data,
                                .length = size,
                                .stream = "stderr",
                                .decorate = decorate,
                                .begins = true,
                                .ends = true};
    while (record.length > 0) {
        size_t taken = 0;
        size_t length = log_line_compose(&style, &now, &record, line, sizeof line, &taken);
        FUZZ_CHECK(length > 0 && length <= sizeof line && line[length - 1] == '\n');
        FUZZ_CHECK(taken > 0 && taken <= record.length);
        for (size_t i = 0; i + 1 < length; i++)
            FUZZ_CHECK((unsigned char)line[i] >= 0x20 || line[i] == '\t');
        if (json) {
            json_t *object = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
            if (object == NULL)
                fprintf(stderr, "%.*s", (int)length, line);
            FUZZ_CHECK(json_is_object(object));
            json_decref(object);
        }
        record.text += taken;
        record.length -= taken;
        record.begins = false;
    }
}

static void fuzz_log_messages(const uint8_t *data, size_t size)
{
    char buffer[4 * OT_ACCESS_MESSAGE_MAX];
    struct writer_lines lines;
    if (writer_lines_init(&lines, 3) != 0)
        return;
    size_t have = 0, at = 0;
    while (at < size) {
        size_t piece = MIN(size - at, MIN(sizeof buffer - have, 100));
        memcpy(buffer + have, data + at, piece);
        have += piece;
        at += piece;
        size_t taken = 0;
        char out[sizeof buffer];
        size_t written = writer_lines_take(&lines, buffer, have, out, &taken);
        FUZZ_CHECK(taken <= have && written <= have);
        FUZZ_CHECK(taken > 0 || have < sizeof buffer);
        memmove(buffer, buffer + taken, have - taken);
        have -= taken;
    }
    writer_lines_free(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_log_line(data, size, true, true);
    fuzz_log_line(data, size, false, true);
    fuzz_log_line(data, size, false, false);
    fuzz_log_messages(data, size);
    return 0;
}
