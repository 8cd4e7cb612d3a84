/* ini_lines.h: one ini file, as a sequence of sections, values and problems with their lines.
 *
 * It decides what a line is; it never opens a file and knows no directive. inih splits the lines;
 * this file stands before it, because inih counts no lines for us and cuts long names, long lines
 * and values without a word. Called by config.
 */
#ifndef INI_LINES_H
#define INI_LINES_H

#include <stdio.h>

/* Longest line, in bytes without its end. */
#define INI_LINES_LINE_MAX    8192
/* Longest name of a section. */
#define INI_LINES_SECTION_MAX 49

enum ini_lines_kind {
    INI_LINES_SECTION, /* [section] begins; `section` */
    INI_LINES_VALUE,   /* `section` ("" before the first), `name`, `value` (may be empty) */
    INI_LINES_PROBLEM  /* `problem`, a sentence; the line is otherwise passed over */
};

struct ini_lines_item {
    enum ini_lines_kind kind;
    unsigned line; /* from 1 */
    const char *section, *name, *value, *problem;
};

/* Gets one item; its texts live until it returns. It may call ini_lines_read for another file. */
typedef void ini_lines_fn(void *context, const struct ini_lines_item *item);

/* Reads to the end. Values come without comments and surrounding blanks, quotes untouched. After a
 * broken section line, the values up to the next section are passed over. Returns 0, or -1 with
 * errno. */
int ini_lines_read(FILE *file, ini_lines_fn *tell, void *context);

#endif
