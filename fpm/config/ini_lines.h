/* ini_lines.h: one ini file as a sequence of sections, values and problems, each with its line.
 *
 * inih parses the lines. This file reads them for it and counts them, because inih passes on no
 * line numbers. It refuses lines that inih would cut or skip without an error, and it reports
 * sections, empty ones included. It opens no file and knows no directive.
 */
#ifndef FPM_INI_LINES_H
#define FPM_INI_LINES_H

#include <stdio.h>

/* Longest line, in bytes without its end. */
#define INI_LINES_LINE_MAX    8192
/* Longest name of a section: what inih keeps of it. */
#define INI_LINES_SECTION_MAX 49

enum ini_lines_kind {
    INI_LINES_SECTION, /* a section begins: `name` */
    INI_LINES_VALUE,   /* `name`, and `value` (may be empty) */
    INI_LINES_PROBLEM  /* `problem`, a sentence; the line is otherwise ignored */
};

struct ini_lines_item {
    enum ini_lines_kind kind;
    unsigned line; /* from 1 */
    const char *name, *value, *problem;
};

/* Receives one item, whose texts are valid until it returns. It may call ini_lines_read for another
 * file. */
typedef void ini_lines_fn(void *context, const struct ini_lines_item *item);

/* Reads to the end of the file. Values come without comment and surrounding blanks, quotes
 * untouched. The values of a section whose line is broken are ignored. Reads at most *left bytes,
 * and takes what it reads from them. Returns 0, or -1 with errno; EFBIG = there were more. */
int ini_lines_read(FILE *file, size_t *left, ini_lines_fn *handler, void *context);

#endif
