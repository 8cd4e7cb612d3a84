/* options.h: what was typed behind `overtimectl`, by the tables of commands and options.
 *
 * Reads a command line and tells what is wrong with it, prints the help, and knows what a
 * misspelled word was meant to be. Does nothing else. Called by overtimectl; the commands that it
 * does itself read their options here.
 */
#ifndef FPM_OPTIONS_H
#define FPM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    CTL_GIVEN_MAX = 256,
    /* Exit status of a verb that was refused or failed; the others are those of sysexits.h. */
    CTL_FAILED = 1
};

/* One row of the table of options, which ends with letter 0. */
struct ctl_option {
    char letter;       /* by which commands name it */
    bool is_short;     /* and a person as well: -s; else it is only long */
    const char *name;  /* without the dashes */
    const char *value; /* what to write behind it; NULL: nothing */
    const char *help;
};

struct options;

/* One row of the table of commands, which ends with name NULL. */
struct ctl_verb {
    const char *name;
    const char *arguments; /* as in the help, "" = none */
    int arguments_min, arguments_max;
    const char *kinds;   /* what each argument is, for completion: P pool, I process number, F file,
                          * V verb, - something else; "" = none */
    const char *options; /* letters, besides those for all */
    const char *help;    /* in a line; NULL: not for people */
    const char *more;    /* whole lines below it in the verb's own help, NULL = none */
    /* Returns an exit status; NULL: the manager answers it. */
    int (*run)(const struct options *call);
};

struct ctl_given {
    char letter;
    const char *value; /* NULL with one that takes none */
};

struct ctl_tables {
    const struct ctl_verb *commands;
    const struct ctl_option *options;
    const char *for_all; /* letters of the options that go with every verb */
};

struct options {
    const struct ctl_tables *tables;
    const struct ctl_verb *verb; /* NULL: none was given */
    int argc;                    /* arguments behind the verb */
    char **argv;
    struct ctl_given given[CTL_GIVEN_MAX];
    size_t given_count;
};

/* Reads a command line, which it may put into another order. Returns 0, or EX_USAGE with a sentence
 * in `error`. Without a verb call->verb is NULL. */
int options_parse(struct options *call, const struct ctl_tables *tables, int argc, char **argv,
                  char *error, size_t size);

/* Do the verb's arguments and options go together with it? Returns as options_parse. */
int options_check(const struct options *call, char *error, size_t size);

/* Was this option given? */
bool options_has(const struct options *call, char letter);

/* Its value, the last one given; NULL = not given. */
const char *options_value(const struct options *call, char letter);

const struct ctl_verb *options_verb(const struct ctl_tables *tables, const char *name);
const struct ctl_option *options_option(const struct ctl_tables *tables, char letter);

/* The verb that somebody who wrote `name` may have meant, NULL = none is near. */
const struct ctl_verb *options_near(const struct ctl_tables *tables, const char *name);

/* All commands and options, or one verb's. */
void options_help(const struct ctl_tables *tables, const struct ctl_verb *verb, FILE *out);

#endif
