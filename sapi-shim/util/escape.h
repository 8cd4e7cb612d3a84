/* escape.h: a line of text in a buffer of fixed size, put together piece by piece; pure.
 *
 * Decides how foreign text is escaped and how a long field is cut, so that a line stays one line
 * and one JSON object. Never allocates. Used by log_format.c and log_pipe.c.
 */
#ifndef OT_ESCAPE_H
#define OT_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stands at the end of a field that was cut. */
#define ESCAPE_CUT "[...]"

struct line {
    char *text; /* not terminated */
    size_t length;
    size_t size;
    size_t field_max; /* bytes that escape_field and escape_string write at the most */
    bool full;        /* something did not fit and was left out */
};

/* As it is. */
void escape_bytes(struct line *line, const char *bytes, size_t count);
void escape_words(struct line *line, const char *words);

/* Decimal. */
void escape_number(struct line *line, uint64_t number);

/* number / 10^decimals, with all its decimals: (1234, 3) is "1.234". */
void escape_decimal(struct line *line, uint64_t number, unsigned decimals);

/* Foreign text: control characters, quote, backslash and bytes that are no UTF-8 become \xNN (\t,
 * \", \\). Nothing, or no text at all, is a dash. */
void escape_field(struct line *line, const char *text, size_t length);

/* Foreign text as a string of JSON; no text is null. */
void escape_string(struct line *line, const char *text, size_t length);

#endif
