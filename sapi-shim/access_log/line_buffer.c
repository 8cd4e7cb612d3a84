/* line_buffer.c: see line_buffer.h. */
#include "sapi-shim/access_log/line_buffer.h"

#include "sapi-shim/contract.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/locale_free.h"

#include <string.h>
#include <sys/param.h>

void line_buffer_bytes(struct line_buffer *line, const char *bytes, size_t count)
{
    if (count > line->size - line->length) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->length, bytes, count);
    line->length += count;
}

void line_buffer_words(struct line_buffer *line, const char *words)
{
    line_buffer_bytes(line, words, strlen(words));
}

void line_buffer_decimal(struct line_buffer *line, uint64_t number, unsigned decimals)
{
    char digits[LOCALE_FREE_MAX];
    line_buffer_words(line, locale_free_decimal(digits, number, decimals, decimals));
}

/* Nothing to escape, as nearly always. */
static bool line_buffer_is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            return false;
    }
    return true;
}

/* Escapes as much as fits field_max, with OT_CUT at the end where that is not all. */
static void line_buffer_escape(struct line_buffer *line, enum escape_target target,
                               const char *text, size_t length)
{
    const size_t mark = sizeof OT_CUT - 1;
    size_t max = MAX(line->field_max, mark), begin = line->length;
    if (length <= max && line_buffer_is_plain(text, length)) {
        line_buffer_bytes(line, text, length);
        return;
    }
    size_t cut = begin; /* the last place that leaves room for the mark */
    for (size_t i = 0; i < length;) {
        char piece[ESCAPE_PIECE];
        size_t count;
        i += escape_next(target, text + i, length - i, piece, &count);
        if (line->length - begin + count > max) {
            line->length = cut;
            line_buffer_bytes(line, OT_CUT, mark);
            return;
        }
        line_buffer_bytes(line, piece, count);
        if (line->full)
            return;
        if (line->length - begin + mark <= max)
            cut = line->length;
    }
}

void line_buffer_field(struct line_buffer *line, const char *text, size_t length)
{
    if (text == NULL || length == 0)
        line_buffer_bytes(line, "-", 1);
    else
        line_buffer_escape(line, ESCAPE_QUOTED, text, length);
}

void line_buffer_string(struct line_buffer *line, const char *text, size_t length)
{
    if (text == NULL) {
        line_buffer_words(line, "null");
        return;
    }
    line_buffer_bytes(line, "\"", 1);
    line_buffer_escape(line, ESCAPE_JSON_SHORT, text, length);
    line_buffer_bytes(line, "\"", 1);
}
