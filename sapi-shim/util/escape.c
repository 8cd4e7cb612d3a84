/* escape.c: see escape.h. */
#include "sapi-shim/util/escape.h"

#include "sapi-shim/util/utf8.h"

#include <string.h>

void escape_bytes(struct line *line, const char *bytes, size_t count)
{
    if (count > line->size - line->length) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->length, bytes, count);
    line->length += count;
}

void escape_words(struct line *line, const char *words)
{
    escape_bytes(line, words, strlen(words));
}

void escape_decimal(struct line *line, uint64_t number, unsigned decimals)
{
    char digits[32];
    size_t at = sizeof digits;
    for (unsigned i = 0; number > 0 || i <= decimals; i++) {
        if (i == decimals && i > 0)
            digits[--at] = '.';
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    }
    escape_bytes(line, digits + at, sizeof digits - at);
}

void escape_number(struct line *line, uint64_t number)
{
    escape_decimal(line, number, 0);
}

/* ---- escapes ---- */

static const char escape_hex[] = "0123456789abcdef";

static size_t escape_escape_x(char piece[8], unsigned char c)
{
    memcpy(piece, "\\x", 2);
    piece[2] = escape_hex[c >> 4];
    piece[3] = escape_hex[c & 15];
    return 4;
}

static size_t escape_escape_u(char piece[8], unsigned char c)
{
    memcpy(piece, "\\u00", 4);
    piece[4] = escape_hex[c >> 4];
    piece[5] = escape_hex[c & 15];
    return 6;
}

/* Each writes what stands for the character at `text` and says how many bytes of it are covered;
 * both return the length of what they wrote. */
typedef size_t escape_escape(char piece[8], const char *text, size_t length, size_t *covers);

static size_t escape_escape_field(char piece[8], const char *text, size_t length, size_t *covers)
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
        return escape_escape_x(piece, c);
    }
    memcpy(piece, text, *covers);
    return *covers;
}

static size_t escape_escape_string(char piece[8], const char *text, size_t length, size_t *covers)
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
        return escape_escape_u(piece, c);
    if (utf8_is_c1(text, *covers))
        return escape_escape_u(piece, (unsigned char)text[1]);
    memcpy(piece, text, *covers);
    return *covers;
}

/* Nothing to escape and nothing to cut, as nearly always. */
static bool escape_is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            return false;
    }
    return true;
}

/* Escapes as much as fits field_max, with the mark of a cut where that is not all. */
static void escape_escaped(struct line *line, const char *text, size_t length,
                           escape_escape *escape)
{
    const size_t mark = sizeof ESCAPE_CUT - 1;
    size_t room = line->field_max > mark ? line->field_max : mark;
    size_t begin = line->length;
    size_t keep = begin; /* where the mark would go */
    if (length <= room && escape_is_plain(text, length)) {
        escape_bytes(line, text, length);
        return;
    }
    for (size_t i = 0, covers; i < length; i += covers) {
        char piece[8];
        size_t count = escape(piece, text + i, length - i, &covers);
        if (line->length - begin + count > room) {
            line->length = keep;
            escape_bytes(line, ESCAPE_CUT, mark);
            return;
        }
        escape_bytes(line, piece, count);
        if (line->full)
            return;
        if (line->length - begin + mark <= room)
            keep = line->length;
    }
}

void escape_field(struct line *line, const char *text, size_t length)
{
    if (text == NULL || length == 0)
        escape_bytes(line, "-", 1);
    else
        escape_escaped(line, text, length, escape_escape_field);
}

void escape_string(struct line *line, const char *text, size_t length)
{
    if (text == NULL) {
        escape_bytes(line, "null", 4);
        return;
    }
    escape_bytes(line, "\"", 1);
    escape_escaped(line, text, length, escape_escape_string);
    escape_bytes(line, "\"", 1);
}
