/* text.c: see text.h. */
#include "fpm/util/text.h"

#include "sapi-shim/util/utf8.h"

#include <inttypes.h>
#include <string.h>

/* Writes what stands for the character at `text`; returns the bytes of input it covers. */
static size_t text_escape(char piece[8], const char *text, size_t length)
{
    unsigned char c = (unsigned char)*text;
    size_t bytes = utf8_character(text, length);
    if (c == '\t' || c == '\\') {
        snprintf(piece, 8, "\\%c", c == '\t' ? 't' : '\\');
        return 1;
    }
    if (bytes == 0 || c < 0x20 || c == 0x7f || utf8_is_c1(text, bytes)) {
        snprintf(piece, 8, "\\x%02x", c);
        return 1;
    }
    memcpy(piece, text, bytes);
    piece[bytes] = '\0';
    return bytes;
}

/* The same for a message that may hold escapes already. */
static size_t text_escape_once(char piece[8], const char *text, size_t length)
{
    if (*text != '\\')
        return text_escape(piece, text, length);
    memcpy(piece, "\\", 2);
    return 1;
}

/* The same inside a JSON string. */
static size_t text_escape_json(char piece[8], const char *text, size_t length)
{
    unsigned char c = (unsigned char)*text;
    size_t bytes = utf8_character(text, length);
    if (bytes == 0) {
        snprintf(piece, 8, "\\ufffd");
        return 1;
    }
    if (c < 0x20 || c == 0x7f || c == '"' || c == '\\' || utf8_is_c1(text, bytes)) {
        unsigned code = bytes == 2 ? (unsigned char)text[1] : c;
        snprintf(piece, 8, "\\u%04x", code);
        return bytes;
    }
    memcpy(piece, text, bytes);
    piece[bytes] = '\0';
    return bytes;
}

typedef size_t text_escape_fn(char piece[8], const char *text, size_t length);

/* As many whole characters as fit; returns the bytes of input taken. */
static size_t text_fill(char *out, size_t size, const char *text, size_t length,
                        text_escape_fn *escape)
{
    size_t used = 0, taken = 0;
    while (taken < length) {
        char piece[8];
        size_t covers = escape(piece, text + taken, length - taken);
        size_t needs = strlen(piece);
        if (used + needs >= size)
            break;
        memcpy(out + used, piece, needs);
        used += needs;
        taken += covers;
    }
    out[used] = '\0';
    return taken;
}

size_t text_printable(char *out, size_t size, const char *text, size_t length)
{
    return text_fill(out, size, text, length, text_escape);
}

size_t text_one_line(char *out, size_t size, const char *text, size_t length)
{
    return text_fill(out, size, text, length, text_escape_once);
}

size_t text_json_part(char *out, size_t size, const char *text, size_t length)
{
    return text_fill(out, size, text, length, text_escape_json);
}

const char *text_show(char *out, size_t size, const char *text)
{
    text_printable(out, size, text, strlen(text));
    return out;
}

void text_json(FILE *out, const char *text)
{
    size_t length = strlen(text);
    fputc('"', out);
    for (size_t i = 0; i < length;) {
        char piece[8];
        i += text_escape_json(piece, text + i, length - i);
        fputs(piece, out);
    }
    fputc('"', out);
}

void text_duration(int64_t milliseconds, char *out, size_t size)
{
    int64_t ms = milliseconds < 0 ? 0 : milliseconds, seconds = ms / 1000;
    if (ms < 1000)
        snprintf(out, size, "%" PRId64 " ms", ms);
    else if (seconds < 120)
        snprintf(out, size, "%" PRId64 ".%" PRId64 " s", seconds, ms % 1000 / 100);
    else if (seconds < 7200)
        snprintf(out, size, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
    else
        snprintf(out, size, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds / 60 % 60);
}
