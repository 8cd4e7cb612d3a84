/* line.c: see line.h. */
#include "sapi-shim/line.h"
#include "sapi-shim/utf8.h"

#include <string.h>

void line_bytes(struct line *line, const char *bytes, size_t count)
{
    if (count > line->size - line->length) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->length, bytes, count);
    line->length += count;
}

void line_words(struct line *line, const char *words)
{
    line_bytes(line, words, strlen(words));
}

void line_decimal(struct line *line, uint64_t number, unsigned decimals)
{
    char digits[32];
    size_t at = sizeof digits;
    for (unsigned i = 0; number > 0 || i <= decimals; i++) {
        if (i == decimals && i > 0)
            digits[--at] = '.';
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    }
    line_bytes(line, digits + at, sizeof digits - at);
}

void line_number(struct line *line, uint64_t number)
{
    line_decimal(line, number, 0);
}

/* ---- escapes ---- */

static const char line_hex[] = "0123456789abcdef";

static size_t line_escape_x(char piece[8], unsigned char c)
{
    memcpy(piece, "\\x", 2);
    piece[2] = line_hex[c >> 4];
    piece[3] = line_hex[c & 15];
    return 4;
}

static size_t line_escape_u(char piece[8], unsigned char c)
{
    memcpy(piece, "\\u00", 4);
    piece[4] = line_hex[c >> 4];
    piece[5] = line_hex[c & 15];
    return 6;
}

/* Each writes what stands for the character at `text` and says how many bytes of it are covered;
 * both return the length of what they wrote. */
typedef size_t line_escape(char piece[8], const char *text, size_t length, size_t *covers);

static size_t line_escape_field(char piece[8], const char *text, size_t length, size_t *covers)
{
    unsigned char c = (unsigned char)*text;
    *covers = utf8_character(text, length);
    if (c == '"' || c == '\\' || c == '\t') {
        piece[0] = '\\';
        piece[1] = c == '\t' ? 't' : (char)c;
        return 2;
    }
    if (*covers == 0 || c < 0x20 || c == 0x7f || utf8_is_c1(text, *covers)) {
        *covers = 1;
        return line_escape_x(piece, c);
    }
    memcpy(piece, text, *covers);
    return *covers;
}

static size_t line_escape_string(char piece[8], const char *text, size_t length, size_t *covers)
{
    unsigned char c = (unsigned char)*text;
    *covers = utf8_character(text, length);
    if (*covers == 0) {
        *covers = 1;
        memcpy(piece, "\\ufffd", 6);
        return 6;
    }
    if (c == '"' || c == '\\') {
        piece[0] = '\\';
        piece[1] = (char)c;
        return 2;
    }
    if (c < 0x20 || c == 0x7f)
        return line_escape_u(piece, c);
    if (utf8_is_c1(text, *covers))
        return line_escape_u(piece, (unsigned char)text[1]);
    memcpy(piece, text, *covers);
    return *covers;
}

/* Nothing to escape and nothing to cut, as nearly always. */
static bool line_is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            return false;
    }
    return true;
}

/* Escapes as much as fits field_max, with the mark of a cut where that is not all. */
static void line_escaped(struct line *line, const char *text, size_t length, line_escape *escape)
{
    const size_t mark = sizeof LINE_CUT - 1;
    size_t room = line->field_max > mark ? line->field_max : mark;
    size_t begin = line->length;
    size_t keep = begin; /* where the mark would go */
    if (length <= room && line_is_plain(text, length)) {
        line_bytes(line, text, length);
        return;
    }
    for (size_t i = 0, covers; i < length; i += covers) {
        char piece[8];
        size_t count = escape(piece, text + i, length - i, &covers);
        if (line->length - begin + count > room) {
            line->length = keep;
            line_bytes(line, LINE_CUT, mark);
            return;
        }
        line_bytes(line, piece, count);
        if (line->full)
            return;
        if (line->length - begin + mark <= room)
            keep = line->length;
    }
}

void line_field(struct line *line, const char *text, size_t length)
{
    if (text == NULL || length == 0)
        line_bytes(line, "-", 1);
    else
        line_escaped(line, text, length, line_escape_field);
}

void line_string(struct line *line, const char *text, size_t length)
{
    if (text == NULL) {
        line_bytes(line, "null", 4);
        return;
    }
    line_bytes(line, "\"", 1);
    line_escaped(line, text, length, line_escape_string);
    line_bytes(line, "\"", 1);
}
