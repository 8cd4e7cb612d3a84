/* ini_lines.c: lines for inih, and what it makes of them for config. See ini_lines.h. */
#include "fpm/config/ini_lines.h"

#include "fpm/config/value_parse.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <string.h>

struct reader {
    FILE *file;
    ini_lines_fn *tell;
    void *context;
    unsigned line;
    bool announce; /* the line handed out last was a section's */
    bool skipping; /* behind a broken section line */
    bool binary;   /* a NUL byte was found: nothing more is read */
    int failure;   /* errno of the file */
    char text[INI_LINES_LINE_MAX + 1];
};

static void problem(struct reader *reader, const char *sentence)
{
    const struct ini_lines_item item = {
        .kind = INI_LINES_PROBLEM, .line = reader->line, .problem = sentence};

    reader->tell(reader->context, &item);
}

/* Reads one line into reader->text, without its end. Returns false at the end of the file. */
static bool next_line(struct reader *reader)
{
    size_t length = 0;
    bool nul = false, control = false, too_long = false;
    int c;

    if (reader->binary) {
        return false;
    }
    while ((c = getc(reader->file)) != EOF && c != '\n') {
        nul = nul || c == '\0';
        control = control || (iscntrl(c) && c != '\t' && c != '\r' && c != '\0');
        too_long = too_long || length >= INI_LINES_LINE_MAX;
        if (!too_long) {
            reader->text[length++] = (char)c;
        }
    }
    if (c == EOF && ferror(reader->file)) {
        reader->failure = errno != 0 ? errno : EIO;
        return false;
    }
    if (c == EOF && length == 0) {
        return false;
    }
    reader->line++;
    reader->text[length] = '\0';
    const char *cr = strchr(reader->text, '\r');
    control = control || (cr != NULL && cr[1] != '\0');
    if (nul || control || too_long) {
        reader->text[0] = '\0';
        reader->binary = nul;
        problem(reader, nul       ? "a NUL byte: this is no text file; the rest is not read"
                        : control ? "a control character: remove it"
                                  : "the line is longer than 8192 bytes");
    }
    return true;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r\v\f");
    for (size_t length = strlen(text); length > 0 && isspace((unsigned char)text[length - 1]);) {
        text[--length] = '\0';
    }
    return text;
}

/* "[name]" and nothing more but a comment: writes the same for inih. */
static bool section_line(struct reader *reader, char *line, char *out)
{
    char *end = strchr(line, ']');

    reader->skipping = true;
    if (end == NULL) {
        problem(reader, "the section has no closing bracket: write [NAME]");
        return false;
    }
    *end = '\0';
    const char *rest = trim(end + 1);
    const char *name = trim(line + 1);
    if (*rest != '\0' && *rest != ';' && *rest != '#') {
        problem(reader, "something stands behind the section's closing bracket");
        return false;
    }
    if (*name == '\0') {
        problem(reader, "the section has no name: write [NAME]");
        return false;
    }
    if (strlen(name) > INI_LINES_SECTION_MAX) {
        problem(reader, "the section's name is longer than 49 bytes");
        return false;
    }
    reader->skipping = false;
    reader->announce = true;
    (void)snprintf(out, INI_LINES_LINE_MAX + 3, "[%s]\n", name);
    return true;
}

/* "name = value": writes it for inih without its comment. */
static bool value_line(struct reader *reader, char *line, char *out)
{
    char *sign = strpbrk(line, "=:");

    if (reader->skipping) {
        return false;
    }
    if (sign == NULL || *sign != '=' || sign == line) {
        problem(reader, "neither a section, a directive nor a comment: write NAME = VALUE");
        return false;
    }
    char *value = sign + 1 + strspn(sign + 1, " \t");
    value[value_parse_length(value)] = '\0';
    (void)snprintf(out, INI_LINES_LINE_MAX + 3, "%s\n", line);
    return true;
}

/* Hands inih the next line, as fgets would. A section's line is followed by a "=", which no file
 * can hold: inih calls back for values alone, and an empty section is to be seen as well. Lines
 * lose their indentation, which inih would take for the continuation of a value. */
static char *read_line(char *out, int size, void *stream)
{
    struct reader *reader = stream;

    if (size < INI_LINES_LINE_MAX + 3) {
        reader->failure = EOVERFLOW;
        return NULL;
    }
    memcpy(out, "=\n", 3);
    if (reader->announce) {
        reader->announce = false;
        return out;
    }
    for (;;) {
        if (!next_line(reader)) {
            return NULL;
        }
        char *text = reader->text;
        if (reader->line == 1 && strncmp(text, "\xEF\xBB\xBF", 3) == 0) {
            text += 3;
        }
        text = trim(text);
        if (*text == '\0' || *text == ';' || *text == '#') {
            continue;
        }
        if (*text == '[' ? section_line(reader, text, out) : value_line(reader, text, out)) {
            return out;
        }
    }
}

static int take(void *user, const char *section, const char *name, const char *value)
{
    struct reader *reader = user;
    const struct ini_lines_item item = {.kind = *name == '\0' ? INI_LINES_SECTION : INI_LINES_VALUE,
                                        .line = reader->line,
                                        .section = section,
                                        .name = name,
                                        .value = value};

    reader->tell(reader->context, &item);
    return 1;
}

int ini_lines_read(FILE *file, ini_lines_fn *tell, void *context)
{
    struct reader reader = {.file = file, .tell = tell, .context = context};

    /* inih's switches are the process's; nobody else reads ini files here. */
    ini_use_stack = false;
    ini_allow_realloc = false;
    ini_max_line = INI_LINES_LINE_MAX + 3;
    ini_initial_alloc = INI_LINES_LINE_MAX + 3;
    ini_allow_multiline = false;
    ini_allow_inline_comments = false;
    ini_allow_no_value = false;
    ini_stop_on_first_error = false;

    errno = 0;
    int result = ini_parse_stream(read_line, &reader, take, &reader);
    if (reader.failure != 0 || result != 0) {
        errno = reader.failure != 0 ? reader.failure : result == -2 ? ENOMEM : EINVAL;
        return -1;
    }
    return 0;
}
