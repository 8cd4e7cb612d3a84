/* print-directives.c: prints from the table of directives what people read.
 *
 *   print-directives man [TEMPLATE]   overtime.ini(5): TEMPLATE with the lines @GLOBAL@ and @POOL@
 *                                     replaced; by default packaging/man/overtime.ini.5.in
 *   print-directives global           conf/overtime.ini
 *   print-directives pool             conf/pool.d/www.ini
 *
 * A program of the build; nothing of it is installed. Exit 0, 64 usage, 70 failure.
 */
#include "fpm/config/directive.h"
#include "sapi-shim/access_log/log_format.h"
#include "sapi-shim/status/status.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE "packaging/man/overtime.ini.5.in"
#define COLUMNS  92

static const char *const placeholders[] = {
    [DIRECTIVE_TEXT] = "text",         [DIRECTIVE_PATH] = "path",
    [DIRECTIVE_FOLDER] = "folder",     [DIRECTIVE_URI] = "/path",
    [DIRECTIVE_USER] = "user",         [DIRECTIVE_GROUP] = "group",
    [DIRECTIVE_BOOL] = "yes|no",       [DIRECTIVE_NUMBER] = "number",
    [DIRECTIVE_SIZE] = "size",         [DIRECTIVE_TIME] = "time",
    [DIRECTIVE_MODE] = "mode",         [DIRECTIVE_LIMIT_COUNT] = "number",
    [DIRECTIVE_LIMIT_SIZE] = "size",   [DIRECTIVE_LIST] = "text",
    [DIRECTIVE_NETWORKS] = "networks", [DIRECTIVE_INCLUDE] = "pattern",
    [DIRECTIVE_MAP] = "text",          [DIRECTIVE_WORDS] = "command line",
    [DIRECTIVE_ADDRESS] = "address",   [DIRECTIVE_SOCKET_PATH] = "path",
};

/* ---- man ---- */

/* Running text: *word* in bold, each sentence on its own line, roff's own characters made harmless.
 */
static void man_text(const char *text)
{
    bool bold = false;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '*') {
            bold = !bold;
            (void)fputs(bold ? "\\fB" : "\\fR", stdout);
        } else if (*c == '\\') {
            (void)fputs("\\e", stdout);
        } else if (*c == '-' && bold) {
            (void)fputs("\\-", stdout);
        } else if (*c == ' ' && c > text && c[-1] == '.') {
            (void)putchar('\n');
        } else {
            (void)putchar(*c);
        }
    }
    (void)putchar('\n');
}

/* One argument of a macro. */
static void man_word(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++)
        if (*text == '"')
            (void)fputs("\"\"", stdout);
        else if (*text == '\\')
            (void)fputs("\\e", stdout);
        else
            (void)putchar(*text);
    (void)putchar('"');
}

static size_t man_choices(const struct directive *row)
{
    size_t count = 0;
    while (row->choices[count].word != NULL)
        count++;
    return count;
}

/* Few enough to stand beside the directive's name? */
static bool man_shows_choices(const struct directive *row)
{
    return row->type == DIRECTIVE_CHOICE && man_choices(row) < 8;
}

static void man_head(const struct directive *row)
{
    bool choices = man_shows_choices(row);
    (void)fputs(".It Ic ", stdout);
    man_word(row->name);
    (void)fputs(" No = ", stdout);
    if (!choices) {
        (void)fputs("Ar ", stdout);
        man_word(row->type == DIRECTIVE_CHOICE ? "word" : placeholders[row->type]);
    }
    for (size_t i = 0; choices && i < man_choices(row); i++)
        (void)printf("%sCm %s", i == 0 ? "" : " | ", row->choices[i].word);
    (void)putchar('\n');
}

static const char *man_effect(const struct directive *row)
{
    static const char *const phrases[] = {
        [DIRECTIVE_LIVE] = "a reload applies it at once",
        [DIRECTIVE_GENERATION] = "a reload applies it to workers started from then on",
        [DIRECTIVE_RESTART] = "a change needs a restart",
    };

    return phrases[row->reload];
}

/* What the value may be, the default, when a change takes effect. */
static void man_facts(const struct directive *row)
{
    char accepted[256] = "";
    (void)fputs(".br\n", stdout);
    if (!man_shows_choices(row)) {
        directive_accepts(row, accepted, sizeof accepted);
        (void)printf("Value: %s.\n", accepted);
    }
    if (row->required) {
        (void)fputs("Every pool needs it;\n", stdout);
    } else if (row->by_default != NULL) {
        (void)fputs("Default:\n.Ql ", stdout);
        man_word(row->by_default);
        (void)fputs(" ;\n", stdout);
    } else {
        (void)printf("Default: %s;\n", row->unset);
    }
    (void)printf("%s.\n", man_effect(row));
}

static void man_rows(const struct directive *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].heading != NULL)
            (void)printf("%s.Ss %s\n.Bl -tag -width Ds\n", i == 0 ? "" : ".El\n", table[i].heading);
        man_head(&table[i]);
        man_text(table[i].help);
        man_facts(&table[i]);
    }
    (void)fputs(".El\n", stdout);
}

/* The codes of access.format. */
static void man_codes(void)
{
    (void)fputs(".Bl -tag -width \"%X\" -compact\n", stdout);
    for (const struct log_format_code_help *help = log_format_help(); help->code != NULL; help++) {
        (void)printf(".It Li \\&%s\n%s", help->code, help->help);
        if (*help->in != '\0')
            (void)printf(" { %s }", help->in);
        (void)putchar('\n');
    }
    (void)fputs(".El\n", stdout);
}

/* Fields of the status, with PHP-FPM's names where it has them. */
static void man_fields(const struct status_field *field)
{
    for (; field->key != NULL; field++) {
        (void)printf(".It Cm %s\n", field->key);
        if (field->php != NULL)
            (void)printf("%s (PHP-FPM: %s)\n", field->help, field->php);
        else
            (void)printf("%s\n", field->help);
    }
}

static void man_causes(const struct status_cause *causes, size_t count, const char *prefix)
{
    for (size_t i = 0; i < count; i++)
        (void)printf(".It Cm %s%s\n%s\n", prefix, causes[i].name, causes[i].help);
}

static int print_man(const char *template)
{
    FILE *in = fopen(template, "r");
    char line[1024];

    if (in == NULL) {
        perror(template);
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof line, in) != NULL) {
        if (strcmp(line, "@GLOBAL@\n") == 0) {
            man_rows(directive_global, DIRECTIVE_GLOBAL_COUNT);
        } else if (strcmp(line, "@POOL@\n") == 0) {
            man_rows(directive_pool, DIRECTIVE_POOL_COUNT);
        } else if (strcmp(line, "@ACCESS_CODES@\n") == 0) {
            man_codes();
        } else if (strcmp(line, "@STATUS_POOL@\n") == 0) {
            man_fields(status_pool_fields);
            man_causes(status_causes, STATUS_CAUSES, "ended_by.");
            (void)printf(
                ".It Cm exit_statuses , exit_signals\n"
                "of workers whose program ran: by exit status and by the signal they died of, "
                "those that occurred\n");
            man_causes(status_measures, OT_MEASURE_COUNT, "histograms.");
        } else if (strcmp(line, "@STATUS_WORKER@\n") == 0) {
            man_fields(status_worker_fields);
            man_fields(status_thread_fields);
        } else {
            (void)fputs(line, stdout);
        }
    }
    bool failed = ferror(in) != 0;
    return fclose(in) == 0 && !failed ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- samples ---- */

/* Lines of a comment, broken between words; the stars of bold words are left out. */
static void sample_comment(const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        size_t shown = 0;

        for (size_t i = 0; i < length; i++)
            shown += text[i] != '*';
        if (column > 0 && column + 1 + shown > COLUMNS) {
            (void)putchar('\n');
            column = 0;
        }
        column += (size_t)printf(column == 0 ? "; " : " ");
        for (size_t i = 0; i < length; i++)
            if (text[i] != '*')
                (void)putchar(text[i]);
        column += shown;
        text += length;
        text += strspn(text, " ");
    }
    (void)putchar('\n');
}

/* The row's value as the file's syntax wants it; examples are written so, with their $pool. */
static void sample_value(const struct directive *row)
{
    const char *value = row->by_default != NULL ? row->by_default : row->example;
    bool text = row->by_default != NULL && row->type != DIRECTIVE_WORDS;
    char *quoted = text ? value_parse_quote_text(value) : NULL;

    (void)printf(";%s = %s\n", row->name, quoted != NULL ? quoted : value != NULL ? value : "");
    free(quoted);
}

static void sample_row(const struct directive *row)
{
    char *text = NULL;
    int length;
    if (row->heading != NULL)
        (void)printf("\n\n; ---- %s ----\n", row->heading);
    if (row->by_default == NULL && !row->required)
        length = asprintf(&text, "%s Unset: %s.", row->help, row->unset);
    else
        length = asprintf(&text, "%s", row->help);
    (void)putchar('\n');
    sample_comment(length >= 0 ? text : row->help);
    free(length >= 0 ? text : NULL);
    if (row->sample != NULL)
        (void)printf("%s = %s\n", row->name, row->sample);
    else
        sample_value(row);
}

static int print_sample(const char *introduction, const char *section,
                        const struct directive *table, size_t count)
{
    sample_comment(introduction);
    (void)fputs(";\n", stdout);
    sample_comment(
        "A line with ; before a directive shows the default or, where nothing is set by "
        "default, an example. Times take ms, s, m, h or d (plain numbers are seconds), sizes "
        "K, M or G. The manual: overtime.ini(5). Check a changed file with: overtime -t");
    (void)printf("\n[%s]", section);
    for (size_t i = 0; i < count; i++)
        sample_row(&table[i]);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int result = 64;
    if (strcmp(what, "man") == 0 && argc <= 3) {
        result = print_man(argc == 3 ? argv[2] : TEMPLATE);
    } else if (strcmp(what, "global") == 0 && argc == 2) {
        result = print_sample("overtime.ini: configuration of the manager. The pools stand in "
                              "files of their own, see include.",
                              "global", directive_global, DIRECTIVE_GLOBAL_COUNT);
    } else if (strcmp(what, "pool") == 0 && argc == 2) {
        result = print_sample(
            "Change command first: the one below stands for your application. A pool: one "
            "application and its workers. The section's name is the pool's; $pool stands for it "
            "in values. Copy this file for a second pool and give it another name and another "
            "listen.",
            "www", directive_pool, DIRECTIVE_POOL_COUNT);
    } else {
        (void)fputs("usage: print-directives man [TEMPLATE] | global | pool\n", stderr);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("print-directives");
        return 70;
    }
    return result == EXIT_FAILURE ? 70 : result;
}
