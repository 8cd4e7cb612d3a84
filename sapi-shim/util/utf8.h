/* utf8.h: the length of a character of UTF-8; pure. */
#ifndef OT_UTF8_H
#define OT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length in bytes of the character at `text`, 0 if there is none (a stray or overlong byte, a
 * surrogate, a cut character). `length` is at least 1. */
size_t utf8_character(const char *text, size_t length);

/* Is the character of `bytes` bytes a control character of C1? Some terminals obey these. */
bool utf8_is_c1(const char *text, size_t bytes);

#endif
