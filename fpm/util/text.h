/* text.h: makes text from workers and clients harmless before it is shown, and durations readable.
 *
 * Pure. Used wherever a string that the manager did not write itself reaches a log line, a terminal
 * or a JSON document.
 */
#ifndef FPM_TEXT_H
#define FPM_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Copies `length` bytes so that they fit one line: control characters, the backslash and bytes that
 * are no UTF-8 become \xNN (\t, \\ for tab and backslash). The result is cut to whole characters so
 * that it fits `size` bytes with its NUL. Returns the number of input bytes taken. */
size_t text_printable(char *out, size_t size, const char *text, size_t length);

/* As text_printable for a message that may hold such escapes already: backslashes stay. */
size_t text_one_line(char *out, size_t size, const char *text, size_t length);

/* As text_printable for the inside of a JSON string: bytes that are no UTF-8 become U+FFFD. */
size_t text_json_part(char *out, size_t size, const char *text, size_t length);

/* text_printable for a NUL-terminated string. Returns `out`. */
const char *text_show(char *out, size_t size, const char *text);

/* Writes a NUL-terminated string as a JSON string, quotes included. Bytes that are no UTF-8 become
 * U+FFFD. */
void text_json(FILE *out, const char *text);

/* "310 ms", "2.5 s", "5 min 3 s", "7 h 0 min"; 0 for anything negative. */
void text_duration(int64_t milliseconds, char *out, size_t size);

#endif
