/* escape.c: see escape.h. */
#include "sapi-shim/util/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The text that stands for a harmful character. */
enum escape_form {
    ESCAPE_AS_BYTES,      /* \xNN for each byte */
    ESCAPE_AS_CODE_POINT, /* \u00NN; \ufffd for a byte that is not UTF-8 */
    ESCAPE_AS_REPLACEMENT /* U+FFFD */
};

/* Harmful characters; each level has those of the level before. */
enum escape_harmful {
    ESCAPE_HARMFUL_C0,
    ESCAPE_HARMFUL_CONTROLS,     /* DEL and C1 */
    ESCAPE_HARMFUL_NONCHARACTERS /* U+FFFE and U+FFFF */
};

#define ESCAPE_REPLACEMENT "\xef\xbf\xbd"

static const struct escape_rules {
    enum escape_form form;
    enum escape_harmful harmful;
    struct {
        char from;
        const char *to;
    } own[7]; /* characters with a text of their own, up to a NUL */
} escape_rules[] = {
    [ESCAPE_LOG] = {ESCAPE_AS_BYTES, ESCAPE_HARMFUL_CONTROLS, {{'\t', "\\t"}, {'\\', "\\\\"}}},
    [ESCAPE_LOG_AGAIN] = {ESCAPE_AS_BYTES, ESCAPE_HARMFUL_CONTROLS, {{'\t', "\\t"}}},
    [ESCAPE_QUOTED] = {ESCAPE_AS_BYTES,
                       ESCAPE_HARMFUL_CONTROLS,
                       {{'\t', "\\t"}, {'\\', "\\\\"}, {'"', "\\\""}}},
    [ESCAPE_JSON] = {ESCAPE_AS_CODE_POINT,
                     ESCAPE_HARMFUL_CONTROLS,
                     {{'"', "\\u0022"}, {'\\', "\\u005c"}}},
    [ESCAPE_JSON_SHORT] = {ESCAPE_AS_CODE_POINT,
                           ESCAPE_HARMFUL_CONTROLS,
                           {{'"', "\\\""}, {'\\', "\\\\"}}},
    [ESCAPE_XML] = {ESCAPE_AS_REPLACEMENT,
                    ESCAPE_HARMFUL_NONCHARACTERS,
                    {{'<', "&lt;"},
                     {'>', "&gt;"},
                     {'&', "&amp;"},
                     {'"', "&quot;"},
                     {'\'', "&#39;"},
                     {'\t', "\t"}}},
    [ESCAPE_LABEL] = {ESCAPE_AS_REPLACEMENT,
                      ESCAPE_HARMFUL_C0,
                      {{'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"}}},
};

size_t escape_utf8_length(const char *text, size_t length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)text[0];
    if (lead < 0x80)
        return 1;
    size_t bytes = lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || bytes > length)
        return 0;
    uint32_t code = lead & (0xffu >> (bytes + 1));
    for (size_t i = 1; i < bytes; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    }
    if (code < smallest[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return bytes;
}

/* `bytes` is the length of the character, 0 if there is none. */
static bool escape_is_harmful(enum escape_harmful harmful, const char *text, size_t bytes)
{
    unsigned char c = (unsigned char)*text;
    bool is_c1 = bytes == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0;
    if (bytes == 0 || c < 0x20)
        return true;
    if (harmful >= ESCAPE_HARMFUL_CONTROLS && (c == 0x7f || is_c1))
        return true;
    return harmful >= ESCAPE_HARMFUL_NONCHARACTERS && bytes == 3 &&
           memcmp(text, "\xef\xbf", 2) == 0 && (unsigned char)text[2] >= 0xbe;
}

size_t escape_next(enum escape_target target, const char *text, size_t length,
                   char piece[ESCAPE_PIECE], size_t *size)
{
    static const char hex[] = "0123456789abcdef";
    const struct escape_rules *rules = &escape_rules[target];
    size_t bytes = escape_utf8_length(text, length), covers = bytes > 0 ? bytes : 1;
    for (size_t i = 0; rules->own[i].from != '\0'; i++)
        if (rules->own[i].from == *text) {
            *size = strlen(rules->own[i].to);
            memcpy(piece, rules->own[i].to, *size);
            return covers;
        }
    if (!escape_is_harmful(rules->harmful, text, bytes)) {
        *size = bytes;
        memcpy(piece, text, bytes);
        return covers;
    }
    if (rules->form == ESCAPE_AS_REPLACEMENT) {
        *size = sizeof ESCAPE_REPLACEMENT - 1;
        memcpy(piece, ESCAPE_REPLACEMENT, *size);
        return covers;
    }
    if (rules->form == ESCAPE_AS_CODE_POINT && bytes == 0) {
        *size = 6;
        memcpy(piece, "\\ufffd", *size);
        return covers;
    }
    /* A character of C1 is 0xc2 and its code point; its second byte alone is not UTF-8. */
    bool code_point = rules->form == ESCAPE_AS_CODE_POINT;
    unsigned char c = (unsigned char)text[code_point ? bytes - 1 : 0];
    const char *prefix = code_point ? "\\u00" : "\\x";
    *size = strlen(prefix);
    memcpy(piece, prefix, *size);
    piece[(*size)++] = hex[c >> 4];
    piece[(*size)++] = hex[c & 15];
    return code_point ? covers : 1;
}

size_t escape_text(char *out, size_t size, enum escape_target target, const char *text,
                   size_t length)
{
    size_t used = 0, taken = 0;
    while (taken < length) {
        char piece[ESCAPE_PIECE];
        size_t count, covers = escape_next(target, text + taken, length - taken, piece, &count);
        if (used + count >= size)
            break;
        memcpy(out + used, piece, count);
        used += count;
        taken += covers;
    }
    out[used] = '\0';
    return taken;
}

const char *escape_show(char *out, size_t size, const char *text)
{
    (void)escape_text(out, size, ESCAPE_LOG, text, strlen(text));
    return out;
}

void escape_print(FILE *out, enum escape_target target, const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        char piece[ESCAPE_PIECE];
        size_t count;
        i += escape_next(target, text + i, length - i, piece, &count);
        (void)fwrite(piece, 1, count, out);
    }
}

void escape_json(FILE *out, const char *text)
{
    fputc('"', out);
    escape_print(out, ESCAPE_JSON, text);
    fputc('"', out);
}
