/* utf8.h: where one character of UTF-8 ends; pure.
 *
 * Decides what is text and what are stray bytes, for everybody who shows what clients and
 * applications wrote. Used by escape.c and, for its own log, by the manager.
 */
#ifndef OT_UTF8_H
#define OT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length in bytes of the character at `text`, 0 if there is none (a stray or overlong byte, a
 * surrogate, a cut character). `length` is at least 1. */
size_t utf8_character(const char *text, size_t length);

/* Is the character of `bytes` bytes one of C1? They steer some terminals. */
bool utf8_is_c1(const char *text, size_t bytes);

#endif
