/* line_buffer.h: a line of the access log in a buffer of fixed size, put together piece by piece.
 *
 * Decides how a long field is cut, so that a line stays one line and one JSON object. Never
 * allocates.
 */
#ifndef OT_LINE_BUFFER_H
#define OT_LINE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line_buffer {
    char *text; /* not terminated */
    size_t length;
    size_t size;
    size_t field_max; /* bytes that line_buffer_field and line_buffer_string write at most */
    bool full;        /* something did not fit and was left out */
};

/* As they are. */
void line_buffer_bytes(struct line_buffer *line, const char *bytes, size_t count);
void line_buffer_words(struct line_buffer *line, const char *words);

/* number / 10^decimals, with all its decimals: (1234, 3) is "1.234". */
void line_buffer_decimal(struct line_buffer *line, uint64_t number, unsigned decimals);

/* Foreign text as ESCAPE_QUOTED; a dash for an empty text and for NULL. */
void line_buffer_field(struct line_buffer *line, const char *text, size_t length);

/* Foreign text as a JSON string; null for NULL. */
void line_buffer_string(struct line_buffer *line, const char *text, size_t length);

#endif
