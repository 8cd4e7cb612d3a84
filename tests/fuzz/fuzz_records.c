/* fuzz_records.c: FastCGI records of a connection, whole and cut into pieces.
 *
 * However the bytes are cut, the same records are found; the two readers of a body pass on each
 * byte once.
 */
#include "sapi-shim/protocol/frame.h"
#include "sapi-shim/protocol/stdin_split.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/param.h>

/* All records in `data`, as one number; *end is where the first incomplete or refused one begins.
 */
static uint64_t fuzz_records_walk(const uint8_t *data, size_t size, size_t piece, size_t *end)
{
    struct frame frame = {0};
    uint64_t sum = 0;
    size_t at = 0, visible = 0;
    while (at < size) {
        visible = MAX(visible, at);
        struct frame_record record = frame_next(&frame, data + at, visible - at);
        if (record.kind == FRAME_MORE && visible < size) {
            visible = MIN(size, visible + piece);
            continue;
        }
        if (record.kind == FRAME_HOLD) {
            frame_reset(&frame);
            continue;
        }
        if (record.kind == FRAME_MORE || record.kind == FRAME_BAD)
            break;
        FUZZ_CHECK(record.size >= FRAME_HEADER && record.size >= record.content);
        if (record.kind == FRAME_VALUES && at + record.size <= size) {
            unsigned char answer[FRAME_ANSWER_MAX];
            size_t length =
                frame_values_answer(data + at + FRAME_HEADER, record.content, 4, answer);
            FUZZ_CHECK(length <= sizeof answer);
        }
        sum = sum * 31 + (unsigned)record.kind * 7u + record.id + record.size;
        at += record.size;
    }
    *end = at;
    return sum;
}

/* Reads a body by turns as records and as content; nothing is made up, nothing comes twice. */
static void fuzz_records_split(const uint8_t *data, size_t size)
{
    struct stdin_split split = {0};
    unsigned char into[512];
    size_t at = 0;
    unsigned idle = 0; /* turns without progress; 64 have seen every number of bytes present */
    for (unsigned turn = 0; idle < 70; turn++) {
        size_t present = MIN(size - at, 1 + turn * 13 % 64), used = 0, copied;
        if (turn % 3 == 0 && stdin_split_may_read_content(&split))
            copied = stdin_split_content(&split, data + at, present, into, sizeof into, &used);
        else
            copied = stdin_split_records(&split, 1, data + at, present, into, sizeof into, &used);
        FUZZ_CHECK(used <= present && copied <= sizeof into);
        FUZZ_CHECK(copied <= used + FRAME_HEADER);
        at += used;
        idle = used > 0 ? 0 : idle + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t end = 0, end_in_pieces = 0;
    uint64_t whole = fuzz_records_walk(data, size, size + 1, &end);
    uint64_t pieces = fuzz_records_walk(data, size, 3, &end_in_pieces);
    FUZZ_CHECK(whole == pieces && end == end_in_pieces);
    fuzz_records_split(data, size);
    return 0;
}
