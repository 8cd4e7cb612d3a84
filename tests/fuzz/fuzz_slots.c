/* fuzz_slots.c: a scoreboard whose slots hold any bytes, in every format of the status.
 *
 * The input is a list of writes into the slots: offset, length, bytes. JSON stays JSON, XML and the
 * page's texts have no control character, OpenMetrics ends as it must.
 */
#include "fpm/worker/scoreboard.h"
#include "sapi-shim/status/status_metrics.h"
#include "sapi-shim/status/status_write.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>
#include <sys/param.h>

enum {
    FUZZ_SLOTS_COUNT = 2
};

static struct scoreboard board;
static struct status_source source;

static void fuzz_slots_open(void)
{
    struct ot_settings settings = {0};
    char error[256] = "";
    if (board.board != NULL)
        return;
    if (scoreboard_create(&board, "www", FUZZ_SLOTS_COUNT, &settings, error, sizeof error) != 0)
        abort();
    board.board->generation = 1;
    struct ot_pool_stats stats = {.generation = 1};
    for (unsigned i = 0; i < FUZZ_SLOTS_COUNT; i++)
        scoreboard_set_process(&board, i, OT_PROCESS_RUNNING, INT32_MAX, 1);
    scoreboard_publish(&board, &stats);
    FUZZ_CHECK(status_open(board.board, board.size, &source));
}

/* Attached workers with one thread each, then the input's writes. */
static void fuzz_slots_fill(const uint8_t *data, size_t size)
{
    for (unsigned i = 0; i < FUZZ_SLOTS_COUNT; i++) {
        unsigned char *bytes = (unsigned char *)board.board + board.offset + board.stride * i;
        struct ot_slot *slot = (struct ot_slot *)bytes;
        memset(slot, 0, 1024 + 4 * sizeof(struct ot_record));
        slot->version = OT_CONTRACT_VERSION;
        slot->threads = 1;
        slot->magic = OT_SLOT_MAGIC;
    }
    while (size >= 4) {
        unsigned slot = data[0] % FUZZ_SLOTS_COUNT;
        size_t offset = (size_t)(data[1] | data[2] << 8) % (1024 + 4 * sizeof(struct ot_record));
        size_t length = MIN(data[3], MIN(size - 4, board.stride - offset));
        memcpy((unsigned char *)board.board + board.offset + board.stride * slot + offset, data + 4,
               length);
        data += 4 + length;
        size -= 4 + length;
    }
}

static char *fuzz_slots_written(void (*write)(FILE *, const struct status_report *),
                                const struct status_report *report, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (out == NULL)
        abort();
    write(out, report);
    if (fclose(out) != 0)
        abort();
    FUZZ_CHECK(strlen(text) == *length);
    for (size_t i = 0; i < *length; i++)
        FUZZ_CHECK((unsigned char)text[i] >= 0x20 || text[i] == '\n' || text[i] == '\t');
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_slots_open();
    fuzz_slots_fill(data, size);
    struct status_pool pool;
    status_pool(&source, NULL, NULL, &pool);
    struct status_report report = {.pool = &pool};
    if (!status_collect(&source, 1, &report))
        return 0;

    size_t length = 0;
    char *text = fuzz_slots_written(status_write_json, &report, &length);
    json_error_t error;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        fprintf(stderr, "%s\n", error.text);
    FUZZ_CHECK(json_is_object(json));
    json_decref(json);
    free(text);
    text = fuzz_slots_written(status_metrics, &report, &length);
    FUZZ_CHECK(length > 6 && strcmp(text + length - 6, "# EOF\n") == 0);
    FUZZ_CHECK(strstr(text, " -") == NULL || strstr(text, "nan") == NULL);
    free(text);
    free(fuzz_slots_written(status_write_xml, &report, &length));
    free(fuzz_slots_written(status_write_text, &report, &length));
    free(report.workers);
    return 0;
}
