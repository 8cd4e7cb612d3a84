/* utf8.c: see utf8.h. */
#include "sapi-shim/util/utf8.h"

#include <stdint.h>

size_t utf8_character(const char *text, size_t length)
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

bool utf8_is_c1(const char *text, size_t bytes)
{
    return bytes == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0;
}
