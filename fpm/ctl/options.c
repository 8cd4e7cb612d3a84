/* options.c: see options.h. */
#include "fpm/ctl/options.h"

#include <getopt.h>
#include <string.h>
#include <sys/param.h>
#include <sysexits.h>

enum {
    CTL_OPTIONS_MAX = 48,
    CTL_WORD_MAX = 32, /* of words that are compared for nearness */
    CTL_COLUMN = 30
};

/* ---- looking up ---- */

const struct ctl_verb *options_verb(const struct ctl_tables *tables, const char *name)
{
    for (const struct ctl_verb *verb = tables->commands; verb->name != NULL; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

const struct ctl_option *options_option(const struct ctl_tables *tables, char letter)
{
    for (const struct ctl_option *option = tables->options; option->letter != 0; option++)
        if (option->letter == letter)
            return option;
    return NULL;
}

bool options_has(const struct options *call, char letter)
{
    for (size_t i = 0; i < call->given_count; i++)
        if (call->given[i].letter == letter)
            return true;
    return false;
}

const char *options_value(const struct options *call, char letter)
{
    const char *value = NULL;
    for (size_t i = 0; i < call->given_count; i++)
        if (call->given[i].letter == letter)
            value = call->given[i].value;
    return value;
}

/* Letters to add, leave out or change until one word is the other. */
static size_t options_distance(const char *a, const char *b)
{
    size_t row[CTL_WORD_MAX + 1];
    size_t length = strlen(b);
    if (strlen(a) > CTL_WORD_MAX || length > CTL_WORD_MAX)
        return CTL_WORD_MAX;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t corner = row[0]++;
        for (size_t j = 0; j < length; j++) {
            size_t changed = corner + (a[i] != b[j]);
            corner = row[j + 1];
            row[j + 1] = MIN(changed, MIN(corner, row[j]) + 1);
        }
    }
    return row[length];
}

const struct ctl_verb *options_near(const struct ctl_tables *tables, const char *name)
{
    const struct ctl_verb *near = NULL;
    size_t length = strlen(name), best = length < 4 ? 2 : 3;
    for (const struct ctl_verb *verb = tables->commands; verb->name != NULL; verb++) {
        if (verb->help == NULL)
            continue;
        if (length > 1 && strncmp(verb->name, name, length) == 0)
            return verb;
        size_t distance = options_distance(name, verb->name);
        if (distance < best) {
            best = distance;
            near = verb;
        }
    }
    return near;
}

/* ---- reading ---- */

/* The tables as getopt wants them. */
struct options_names {
    char letters[2 * CTL_OPTIONS_MAX + 2];
    struct option names[CTL_OPTIONS_MAX + 1];
};

static void options_names(const struct ctl_tables *tables, struct options_names *out)
{
    size_t used = 0, count = 0;
    *out = (struct options_names){{0}, {{0}}};
    out->letters[used++] = ':';
    for (const struct ctl_option *option = tables->options;
         option->letter != 0 && count < CTL_OPTIONS_MAX; option++) {
        if (option->is_short) {
            out->letters[used++] = option->letter;
            if (option->value != NULL)
                out->letters[used++] = ':';
        }
        out->names[count++] =
            (struct option){option->name, option->value != NULL ? required_argument : no_argument,
                            NULL, option->letter};
    }
}

static int options_give(struct options *call, int letter, char *error, size_t size)
{
    if (call->given_count == CTL_GIVEN_MAX) {
        snprintf(error, size, "too many options: %d is the most", CTL_GIVEN_MAX);
        return EX_USAGE;
    }
    call->given[call->given_count++] = (struct ctl_given){(char)letter, optarg};
    return 0;
}

static int options_unknown(const struct ctl_tables *tables, const char *name, char *error,
                           size_t size)
{
    const struct ctl_verb *near = options_near(tables, name);
    snprintf(error, size, "unknown verb \"%.64s\"%s%s%s", name, near != NULL ? "; is it \"" : "",
             near != NULL ? near->name : "", near != NULL ? "\"?" : "");
    return EX_USAGE;
}

int options_parse(struct options *call, const struct ctl_tables *tables, int argc, char **argv,
                  char *error, size_t size)
{
    struct options_names names;
    int option, status = 0;
    *call = (struct options){.tables = tables};
    options_names(tables, &names);
    opterr = 0;
    optind = 0;
    while (status == 0 &&
           (option = getopt_long(argc, argv, names.letters, names.names, NULL)) != -1) {
        if (option == ':' || option == '?') {
            snprintf(error, size, "%s \"%.64s\"",
                     option == ':' ? "a value is missing behind" : "unknown option",
                     argv[optind - 1]);
            return EX_USAGE;
        }
        status = options_give(call, option, error, size);
    }
    if (status != 0 || optind >= argc)
        return status;
    call->argc = argc - optind - 1;
    call->argv = argv + optind + 1;
    call->verb = options_verb(tables, argv[optind]);
    return call->verb != NULL ? 0 : options_unknown(tables, argv[optind], error, size);
}

int options_check(const struct options *call, char *error, size_t size)
{
    const struct ctl_verb *verb = call->verb;
    if (call->argc < verb->arguments_min || call->argc > verb->arguments_max) {
        snprintf(error, size, "%s arguments: it is \"%s%s%s\"",
                 call->argc < verb->arguments_min ? "too few" : "too many", verb->name,
                 *verb->arguments != '\0' ? " " : "", verb->arguments);
        return EX_USAGE;
    }
    for (size_t i = 0; i < call->given_count; i++) {
        char letter = call->given[i].letter;
        if (strchr(verb->options, letter) != NULL || strchr(call->tables->for_all, letter) != NULL)
            continue;
        snprintf(error, size, "--%s means nothing with \"%s\"",
                 options_option(call->tables, letter)->name, verb->name);
        return EX_USAGE;
    }
    return 0;
}

/* ---- help ---- */

static void options_help_option(const struct ctl_option *option, FILE *out)
{
    char left[64];
    snprintf(left, sizeof left, "%c%c%c --%s%s%s", option->is_short ? '-' : ' ',
             option->is_short ? option->letter : ' ', option->is_short ? ',' : ' ', option->name,
             option->value != NULL ? " " : "", option->value != NULL ? option->value : "");
    fprintf(out, "  %-*s %s\n", CTL_COLUMN, left, option->help);
}

static void options_help_options(const struct ctl_tables *tables, const char *letters, FILE *out)
{
    for (const struct ctl_option *option = tables->options; option->letter != 0; option++)
        if (strchr(letters, option->letter) != NULL)
            options_help_option(option, out);
}

static void options_help_verb(const struct ctl_tables *tables, const struct ctl_verb *verb,
                              FILE *out)
{
    fprintf(out, "usage: overtimectl [OPTION]... %s%s%s\n\n%s\n", verb->name,
            *verb->arguments != '\0' ? " " : "", verb->arguments, verb->help);
    if (verb->more != NULL)
        fprintf(out, "\n%s", verb->more);
    if (*verb->options != '\0')
        fputs("\noptions:\n", out);
    options_help_options(tables, verb->options, out);
    fputs("\noptions of all commands:\n", out);
    options_help_options(tables, tables->for_all, out);
}

void options_help(const struct ctl_tables *tables, const struct ctl_verb *verb, FILE *out)
{
    if (verb != NULL && verb->help != NULL) {
        options_help_verb(tables, verb, out);
        return;
    }
    fputs("usage: overtimectl [OPTION]... VERB [ARGUMENT]...\n\n"
          "Looks at a running overtime manager and tells it what to do.\n\nverbs:\n",
          out);
    for (verb = tables->commands; verb->name != NULL; verb++) {
        char left[64];
        if (verb->help == NULL)
            continue;
        snprintf(left, sizeof left, "%s %s", verb->name, verb->arguments);
        fprintf(out, "  %-*s %s\n", CTL_COLUMN, left, verb->help);
    }
    fputs("\noptions (\"overtimectl VERB --help\" says which go with a verb):\n", out);
    for (const struct ctl_option *option = tables->options; option->letter != 0; option++)
        options_help_option(option, out);
    fputs("\nexit status: 0 done; 1 refused or failed, with the reason; 64 wrong usage;\n"
          "69 no manager at that socket. The manual is overtimectl(8).\n",
          out);
}
