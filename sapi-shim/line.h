/* line.h: a line of text in a buffer of fixed size, put together piece by piece; pure.
 *
 * Decides how foreign text is escaped and how a long field is cut, so that a line stays one line
 * and one JSON object. Never allocates. Used by format.c and access.c.
 */
#ifndef OT_LINE_H
#define OT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stands at the end of a field that was cut. */
#define LINE_CUT "[...]"

struct line {
    char *text; /* not terminated */
    size_t length;
    size_t size;
    size_t field_max; /* bytes that line_field and line_string write at the most */
    bool full;        /* something did not fit and was left out */
};

/* As it is. */
void line_bytes(struct line *line, const char *bytes, size_t count);
void line_words(struct line *line, const char *words);

/* Decimal. */
void line_number(struct line *line, uint64_t number);

/* number / 10^decimals, with all its decimals: (1234, 3) is "1.234". */
void line_decimal(struct line *line, uint64_t number, unsigned decimals);

/* Foreign text: control characters, quote, backslash and bytes that are no UTF-8 become \xNN (\t,
 * \", \\). Nothing, or no text at all, is a dash. */
void line_field(struct line *line, const char *text, size_t length);

/* Foreign text as a string of JSON; no text is null. */
void line_string(struct line *line, const char *text, size_t length);

#endif
