/* escape.h: makes text from clients and applications harmless for the place where it is shown.
 *
 * Decides, by a table, what stands for quotes, control characters (C0, DEL, C1) and bytes that are
 * not UTF-8 in a log line, in JSON, in XML and in a label of OpenMetrics. Other characters stay as
 * they are. Pure; never allocates.
 */
#ifndef OT_ESCAPE_H
#define OT_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

enum escape_target {
    ESCAPE_LOG,        /* a log line or a terminal: \t, \\, and \xNN for each harmful byte */
    ESCAPE_LOG_AGAIN,  /* as ESCAPE_LOG for text that is escaped in part: backslashes stay */
    ESCAPE_QUOTED,     /* as ESCAPE_LOG, and \": text that may stand between quotes */
    ESCAPE_JSON,       /* inside a string of JSON: \u00NN, and \ufffd for a stray byte */
    ESCAPE_JSON_SHORT, /* as ESCAPE_JSON, but \" and \\ */
    ESCAPE_XML,        /* content of an element or attribute; U+FFFD for what XML cannot hold */
    ESCAPE_LABEL       /* value of a label in OpenMetrics: \", \\, \n, U+FFFD */
};

enum {
    ESCAPE_PIECE = 8 /* bytes, more than the longest text that stands for a character */
};

/* Length in bytes of the UTF-8 character at `text`, 0 if there is none (a stray or overlong byte, a
 * surrogate, a cut character). `length` is at least 1. */
size_t escape_utf8_length(const char *text, size_t length);

/* Writes to `piece` what stands for the first character of the text, which has at least one byte.
 * Returns how many bytes of the text that covers; *size is how many were written. */
size_t escape_next(enum escape_target target, const char *text, size_t length,
                   char piece[ESCAPE_PIECE], size_t *size);

/* Fills `out` with as many whole characters as fit `size` bytes with a NUL. Returns the number of
 * bytes of the text that were taken. */
size_t escape_text(char *out, size_t size, enum escape_target target, const char *text,
                   size_t length);

/* escape_text() of a string for a log line. Returns `out`. */
const char *escape_show(char *out, size_t size, const char *text);

void escape_print(FILE *out, enum escape_target target, const char *text);

/* Prints a whole JSON string, quotes included. */
void escape_json(FILE *out, const char *text);

#endif
