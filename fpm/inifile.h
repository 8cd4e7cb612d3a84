/* inifile.h: one ini file, as a sequence of sections, values and problems with their lines.
 *
 * It decides what a line is; it never opens a file and knows no directive. inih splits the lines;
 * this file stands before it, because inih counts no lines for us and cuts long names, long lines
 * and values without a word. Called by conf.
 */
#ifndef INIFILE_H
#define INIFILE_H

#include <stdio.h>

/* Longest line, in bytes without its end. */
#define INIFILE_LINE_MAX    8192
/* Longest name of a section. */
#define INIFILE_SECTION_MAX 49

enum inifile_kind {
    INIFILE_SECTION, /* [section] begins; `section` */
    INIFILE_VALUE,   /* `section` ("" before the first), `name`, `value` (may be empty) */
    INIFILE_PROBLEM  /* `problem`, a sentence; the line is otherwise passed over */
};

struct inifile_item {
    enum inifile_kind kind;
    unsigned line; /* from 1 */
    const char *section, *name, *value, *problem;
};

/* Gets one item; its texts live until it returns. It may call inifile_read for another file. */
typedef void inifile_fn(void *context, const struct inifile_item *item);

/* Reads to the end. Values come without comments and surrounding blanks, quotes untouched. After a
 * broken section line, the values up to the next section are passed over. Returns 0, or -1 with
 * errno. */
int inifile_read(FILE *file, inifile_fn *tell, void *context);

#endif
