/* ctl_call.h: what was typed behind `overtimectl`, by the tables of verbs and options.
 *
 * Reads a command line and tells what is wrong with it, prints the help, and knows what a
 * misspelled word was meant to be. Does nothing else. Called by overtimectl; the verbs that it does
 * itself read their options here.
 */
#ifndef FPM_CTL_CALL_H
#define FPM_CTL_CALL_H

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
    char letter;       /* by which verbs name it */
    bool is_short;     /* and a person as well: -s; else it is only long */
    const char *name;  /* without the dashes */
    const char *value; /* what to write behind it; NULL: nothing */
    const char *help;
};

struct ctl_call;

/* One row of the table of verbs, which ends with name NULL. */
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
    int (*run)(const struct ctl_call *call);
};

struct ctl_given {
    char letter;
    const char *value; /* NULL with one that takes none */
};

struct ctl_tables {
    const struct ctl_verb *verbs;
    const struct ctl_option *options;
    const char *for_all; /* letters of the options that go with every verb */
};

struct ctl_call {
    const struct ctl_tables *tables;
    const struct ctl_verb *verb; /* NULL: none was given */
    int argc;                    /* arguments behind the verb */
    char **argv;
    struct ctl_given given[CTL_GIVEN_MAX];
    size_t given_count;
};

/* Reads a command line, which it may put into another order. Returns 0, or EX_USAGE with a sentence
 * in `error`. Without a verb call->verb is NULL. */
int ctl_call_parse(struct ctl_call *call, const struct ctl_tables *tables, int argc, char **argv,
                   char *error, size_t size);

/* Do the verb's arguments and options go together with it? Returns as ctl_call_parse. */
int ctl_call_check(const struct ctl_call *call, char *error, size_t size);

/* Was this option given? */
bool ctl_call_has(const struct ctl_call *call, char letter);

/* Its value, the last one given; NULL = not given. */
const char *ctl_call_value(const struct ctl_call *call, char letter);

const struct ctl_verb *ctl_call_verb(const struct ctl_tables *tables, const char *name);
const struct ctl_option *ctl_call_option(const struct ctl_tables *tables, char letter);

/* The verb that somebody who wrote `name` may have meant, NULL = none is near. */
const struct ctl_verb *ctl_call_near(const struct ctl_tables *tables, const char *name);

/* All verbs and options, or one verb's. */
void ctl_call_help(const struct ctl_tables *tables, const struct ctl_verb *verb, FILE *out);

#endif
