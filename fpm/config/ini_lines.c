/* ini_lines.c: see ini_lines.h. */
#include "fpm/config/ini_lines.h"

#include "fpm/config/directive.h"
#include "fpm/config/value_parse.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <string.h>

enum {
    INI_LINES_BUFFER = INI_LINES_LINE_MAX + 3 /* of inih: the line, its end and a NUL */
};

struct ini_lines_reader {
    FILE *file;
    size_t *left; /* bytes that may be read */
    ini_lines_fn *handler;
    void *context;
    unsigned line;
    bool pending;  /* the line handed to inih must result in a value */
    bool skipping; /* after a broken section line */
    bool binary;   /* a NUL byte was found: nothing more is read */
    int failure;   /* errno of the file */
    char text[INI_LINES_LINE_MAX + 1];
};

static void ini_lines_problem(const struct ini_lines_reader *reader, const char *sentence)
{
    struct ini_lines_item item = {
        .kind = INI_LINES_PROBLEM, .line = reader->line, .problem = sentence};
    reader->handler(reader->context, &item);
}

/* Reads one line into reader->text, without its end; a line that is refused becomes empty. Returns
 * false at the end of the file. */
static bool ini_lines_fill(struct ini_lines_reader *reader)
{
    size_t length = 0;
    bool nul = false, control = false, too_long = false;
    int c = EOF;
    while (!reader->binary && (c = getc(reader->file)) != EOF && c != '\n') {
        if (*reader->left == 0) {
            reader->failure = EFBIG;
            return false;
        }
        (*reader->left)--;
        nul = nul || c == '\0';
        control = control || (iscntrl(c) && c != '\t' && c != '\r' && c != '\0');
        too_long = too_long || length >= INI_LINES_LINE_MAX;
        if (!too_long)
            reader->text[length++] = (char)c;
    }
    if (c == EOF && ferror(reader->file))
        reader->failure = errno != 0 ? errno : EIO;
    if (c == EOF && (reader->failure != 0 || length == 0))
        return false;
    reader->line++;
    reader->text[length] = '\0';
    const char *cr = strchr(reader->text, '\r');
    control = control || (cr != NULL && cr[1] != '\0');
    if (nul || control || too_long) {
        reader->text[0] = '\0';
        reader->binary = nul;
        ini_lines_problem(reader, nul ? "a NUL byte: this is no text file; the rest is not read"
                                  : control ? "a control character: remove it"
                                            : "the line is longer than 8192 bytes");
    }
    return true;
}

/* inih calls back for values alone, and cuts long names: sections are reported from here. `line`
 * begins with '['. */
static void ini_lines_section(struct ini_lines_reader *reader, char *line)
{
    char *end = strchr(line, ']');
    const char *problem = NULL;
    if (end == NULL) {
        problem = "the section has no closing bracket: write [NAME]";
    } else {
        const char *rest = end + 1 + strspn(end + 1, " \t\r");
        do
            *end = '\0';
        while (end > line + 1 && isspace((unsigned char)*--end));
        line += 1 + strspn(line + 1, " \t");
        if (*rest != '\0' && *rest != ';' && *rest != '#')
            problem = "text follows the section's closing bracket";
        else if (*line == '\0')
            problem = "the section has no name: write [NAME]";
        else if (strlen(line) > INI_LINES_SECTION_MAX)
            problem = "the section's name is longer than 49 bytes";
    }
    reader->skipping = problem != NULL;
    if (problem != NULL) {
        ini_lines_problem(reader, problem);
        return;
    }
    struct ini_lines_item item = {.kind = INI_LINES_SECTION, .line = reader->line, .name = line};
    reader->handler(reader->context, &item);
}

/* Reads for inih, as fgets would: each line goes to it as it stands in the file. */
static char *ini_lines_next(char *out, int size, void *stream)
{
    struct ini_lines_reader *reader = stream;
    if (reader->pending)
        ini_lines_problem(reader,
                          "neither a section, a directive nor a comment: write NAME = VALUE");
    reader->pending = false;
    if (size < INI_LINES_BUFFER)
        reader->failure = EOVERFLOW;
    if (reader->failure != 0 || !ini_lines_fill(reader))
        return NULL;

    memcpy(out, reader->text, strlen(reader->text) + 1);
    char *text = reader->text;
    if (reader->line == 1 && strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    text += strspn(text, " \t\r");
    if (*text == '[')
        ini_lines_section(reader, text);
    else
        reader->pending = !reader->skipping && *text != '\0' && *text != ';' && *text != '#';
    return out;
}

/* inih's handler. It takes "name: value" too, which our files must not hold: such a line stays
 * pending. */
static int ini_lines_value(void *user, const char *section, const char *name, const char *value)
{
    struct ini_lines_reader *reader = user;
    if (!reader->pending || *name == '\0' || reader->text[strcspn(reader->text, "=:")] == ':')
        return 1;
    reader->pending = false;

    /* The comment goes; the line's own copy has room for the value. */
    const struct directive *row = directive_find(directive_pool, DIRECTIVE_POOL_COUNT, name);
    size_t length = value_parse_length(value, row != NULL && row->type == DIRECTIVE_WORDS);
    memcpy(reader->text, value, length);
    reader->text[length] = '\0';
    struct ini_lines_item item = {
        .kind = INI_LINES_VALUE, .line = reader->line, .name = name, .value = reader->text};
    reader->handler(reader->context, &item);
    return 1;
}

int ini_lines_read(FILE *file, size_t *left, ini_lines_fn *handler, void *context)
{
    struct ini_lines_reader reader = {.file = file, .handler = handler, .context = context};
    reader.left = left;
    /* These switches of inih are the process's; no other code here reads ini files. */
    ini_use_stack = false;
    ini_allow_realloc = false;
    ini_max_line = INI_LINES_BUFFER;
    ini_initial_alloc = INI_LINES_BUFFER;
    ini_allow_bom = true;
    ini_allow_multiline = false;
    ini_allow_inline_comments = false;
    ini_allow_no_value = false;
    ini_stop_on_first_error = false;

    /* Its result is the line of its first error, which is reported already; or no memory. */
    errno = 0;
    if (ini_parse_stream(ini_lines_next, &reader, ini_lines_value, &reader) == -2)
        reader.failure = ENOMEM;
    errno = reader.failure;
    return reader.failure == 0 ? 0 : -1;
}
