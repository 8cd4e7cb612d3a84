/* options.c: see options.h. */
#include "fpm/ctl/options.h"

#include "fpm/control/control_proto.h"
#include "fpm/util/spelling.h"
#include "sapi-shim/util/escape.h"

#include <getopt.h>
#include <string.h>
#include <sysexits.h>

enum {
    OPTIONS_MAX = 48,   /* rows of the table of options */
    OPTIONS_COLUMN = 31 /* where the second column of the help begins */
};

/* ---- looking up ---- */

/* The last of these options that was given; NULL = none. */
static const struct options_given *options_find(const struct options *call, char letter)
{
    const struct options_given *found = NULL;
    for (size_t i = 0; i < call->given_count; i++)
        if (call->given[i].letter == letter)
            found = &call->given[i];
    return found;
}

bool options_has(const struct options *call, char letter)
{
    return options_find(call, letter) != NULL;
}

const char *options_value(const struct options *call, char letter)
{
    const struct options_given *given = options_find(call, letter);
    return given != NULL ? given->value : NULL;
}

const char *options_socket(const struct options *call)
{
    const char *socket = options_value(call, 's');
    return socket != NULL ? socket : CONTROL_DEFAULT;
}

const struct options_verb *options_find_verb(const struct options_tables *tables, const char *name,
                                             char *error, size_t size)
{
    const struct options_verb *similar = NULL;
    char shown[64];
    size_t length = strlen(name), best = length < 4 ? 2 : 3;
    for (const struct options_verb *verb = tables->verbs; verb->name != NULL; verb++) {
        if (strcmp(verb->name, name) == 0)
            return verb;
        /* The beginning of a verb is as similar as can be. */
        bool begins = length > 1 && strncmp(verb->name, name, length) == 0;
        size_t distance = begins ? 0 : spelling_distance(name, verb->name);
        if (distance < best) {
            best = distance;
            similar = verb;
        }
    }
    snprintf(error, size, "unknown verb \"%s\"%s%s%s", escape_show(shown, sizeof shown, name),
             similar != NULL ? "; is it \"" : "", similar != NULL ? similar->name : "",
             similar != NULL ? "\"?" : "");
    return NULL;
}

/* ---- reading ---- */

int options_parse(struct options *call, const struct options_tables *tables, int argc, char **argv,
                  char *error, size_t size)
{
    char letters[2 * OPTIONS_MAX + 2] = ":";
    struct option names[OPTIONS_MAX + 1] = {{0}};
    size_t used = 1, count = 0;
    int letter;
    *call = (struct options){.tables = tables};

    /* The table as getopt_long takes it. */
    for (const struct options_option *row = tables->options;
         row->letter != 0 && count < OPTIONS_MAX; row++) {
        bool valued = row->value != NULL;
        if (row->is_short)
            letters[used++] = row->letter;
        if (row->is_short && valued)
            letters[used++] = ':';
        names[count++] =
            (struct option){row->name, valued ? required_argument : no_argument, NULL, row->letter};
    }

    opterr = 0;
    optind = 0;
    while ((letter = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        if (letter == ':' || letter == '?') {
            snprintf(error, size, "%s \"%.64s\"",
                     letter == ':' ? "a value is missing after" : "unknown option",
                     argv[optind - 1]);
            return EX_USAGE;
        }
        if (call->given_count == OPTIONS_GIVEN_MAX) {
            snprintf(error, size, "too many options: at most %d", OPTIONS_GIVEN_MAX);
            return EX_USAGE;
        }
        call->given[call->given_count++] = (struct options_given){(char)letter, optarg};
    }
    if (optind >= argc)
        return 0;
    call->argc = argc - optind - 1;
    call->argv = argv + optind + 1;
    call->verb = options_find_verb(tables, argv[optind], error, size);
    return call->verb != NULL ? 0 : EX_USAGE;
}

int options_check(const struct options *call, char *error, size_t size)
{
    const struct options_verb *verb = call->verb;
    if (call->argc < verb->arguments_min || call->argc > verb->arguments_max) {
        snprintf(error, size, "too %s arguments: expected \"%s%s%s\"",
                 call->argc < verb->arguments_min ? "few" : "many", verb->name,
                 *verb->arguments != '\0' ? " " : "", verb->arguments);
        return EX_USAGE;
    }
    for (size_t i = 0; i < call->given_count; i++) {
        char letter = call->given[i].letter;
        const struct options_option *option = call->tables->options;
        if (strchr(verb->options, letter) != NULL || strchr(call->tables->for_all, letter) != NULL)
            continue;
        while (option->letter != letter)
            option++;
        snprintf(error, size, "\"%s\" takes no --%s", verb->name, option->name);
        return EX_USAGE;
    }
    return 0;
}

/* ---- help ---- */

/* Prints the options with these letters, all if NULL. */
static void options_help_options(const struct options_tables *tables, const char *letters,
                                 FILE *out)
{
    for (const struct options_option *row = tables->options; row->letter != 0; row++) {
        char left[64];
        if (letters != NULL && strchr(letters, row->letter) == NULL)
            continue;
        snprintf(left, sizeof left, "%c%c%c --%s%s%s", row->is_short ? '-' : ' ',
                 row->is_short ? row->letter : ' ', row->is_short ? ',' : ' ', row->name,
                 row->value != NULL ? " " : "", row->value != NULL ? row->value : "");
        fprintf(out, "  %-*s %s\n", OPTIONS_COLUMN, left, row->help);
    }
}

void options_help(const struct options_tables *tables, const struct options_verb *verb, FILE *out)
{
    if (verb != NULL) {
        fprintf(out, "usage: overtimectl [OPTION]... %s%s%s\n\n%s\n", verb->name,
                *verb->arguments != '\0' ? " " : "", verb->arguments, verb->help);
        if (verb->more != NULL)
            fprintf(out, "\n%s", verb->more);
        if (*verb->options != '\0')
            fputs("\noptions:\n", out);
        options_help_options(tables, verb->options, out);
        fputs("\noptions of all verbs:\n", out);
        options_help_options(tables, tables->for_all, out);
        return;
    }
    fputs("usage: overtimectl [OPTION]... VERB [ARGUMENT]...\n\n"
          "Shows what a running overtime manager does, and tells it what to do.\n\nverbs:\n",
          out);
    for (verb = tables->verbs; verb->name != NULL; verb++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", verb->name, verb->arguments);
        fprintf(out, "  %-*s %s\n", OPTIONS_COLUMN, left, verb->help);
    }
    fputs("\noptions (\"overtimectl VERB --help\" shows which go with a verb):\n", out);
    options_help_options(tables, NULL, out);
    fputs("\nexit status: 0 done; 1 refused or failed, with the reason; 64 wrong usage;\n"
          "69 no manager at that socket. The manual is overtimectl(8).\n",
          out);
}
