/* options.h: the command line of overtimectl, read by the tables of verbs and options.
 *
 * Says what is wrong with a command line, which verb a misspelled word may have been, and prints
 * the help. Does nothing else.
 */
#ifndef FPM_OPTIONS_H
#define FPM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    OPTIONS_GIVEN_MAX = 256,
    /* Exit status of a verb that was refused or failed; the others are those of sysexits.h. */
    OPTIONS_FAILED = 1
};

/* One row of the table of options, which ends with letter 0. */
struct options_option {
    char letter;       /* by which the verbs name it */
    bool is_short;     /* the user may write the letter, too: -s */
    const char *name;  /* without the dashes */
    const char *value; /* name of its value in the help; NULL: it takes none */
    const char *help;
};

struct options;

/* One row of the table of verbs, which ends with name NULL. */
struct options_verb {
    const char *name;
    const char *arguments; /* as in the help, "" = none */
    int arguments_min, arguments_max;
    const char *options; /* letters, besides those for all */
    const char *help;    /* in one line */
    const char *more;    /* whole lines below it in the verb's own help, NULL = none */
    /* Returns an exit status; NULL: the manager answers the verb. */
    int (*run)(const struct options *call);
};

struct options_tables {
    const struct options_verb *verbs;
    const struct options_option *options;
    const char *for_all; /* letters of the options that go with every verb */
};

struct options {
    const struct options_tables *tables;
    const struct options_verb *verb; /* NULL: none was given */
    int argc;                        /* arguments after the verb */
    char **argv;
    struct options_given {
        char letter;
        const char *value; /* NULL for an option that takes none */
    } given[OPTIONS_GIVEN_MAX];
    size_t given_count;
};

/* Reads a command line, which it may put into another order. Returns 0, or EX_USAGE with a sentence
 * in `error`. Without a verb call->verb is NULL. */
int options_parse(struct options *call, const struct options_tables *tables, int argc, char **argv,
                  char *error, size_t size);

/* Checks that the verb takes these arguments and options. Returns as options_parse. */
int options_check(const struct options *call, char *error, size_t size);

bool options_has(const struct options *call, char letter);

/* The last value given for the option; NULL = not given. */
const char *options_value(const struct options *call, char letter);

/* The control socket that was given, or the default. */
const char *options_socket(const struct options *call);

/* NULL with a sentence, which names a similar verb if there is one. */
const struct options_verb *options_find_verb(const struct options_tables *tables, const char *name,
                                             char *error, size_t size);

/* All verbs and options, or those of one verb. */
void options_help(const struct options_tables *tables, const struct options_verb *verb, FILE *out);

#endif
