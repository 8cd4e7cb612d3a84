/* directive.h: the table of every directive of overtime.ini, one row each (directives.def).
 *
 * A row gives the field of struct config_global or struct config_pool, the parser's choice, the
 * range check, the default, the dump, the commented samples and the manual. This file only
 * describes directives; config.h reads a configuration.
 */
#ifndef FPM_DIRECTIVE_H
#define FPM_DIRECTIVE_H

#include "fpm/config/value_parse.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The value of a number that was not given and has no default. */
#define DIRECTIVE_UNSET INT64_MIN

/* Most entries of listen.allowed_clients: as many of the longest fit one environment variable
 * (128 KiB), which passes them to the workers. */
#define DIRECTIVE_NETWORKS_MAX 2048

/* Most entries of a directive NAME[KEY]. */
#define DIRECTIVE_PAIRS_MAX 1000

/* The numbers of choices in the struct. Choices that are part of the contract have theirs in
 * sapi-shim/contract.h; log_level is an enum log_level; syslog.facility and pm.stop_signal are the
 * system's (0 = auto). */
enum directive_pm {
    DIRECTIVE_PM_STATIC,
    DIRECTIVE_PM_DYNAMIC,
    DIRECTIVE_PM_ONDEMAND
};
enum directive_log_format {
    DIRECTIVE_LOG_TEXT,
    DIRECTIVE_LOG_JSON
};

/* The position of a value in the files. */
struct directive_origin {
    const char *file; /* NULL: the default */
    unsigned line;    /* from 1 */
};

/* The user and group that a pool's workers run as. */
struct config_identity {
    bool change; /* false: the workers run as the manager does; the rest is unset */
    uid_t uid;
    gid_t gid;
    char *name; /* for initgroups(3); NULL: no supplementary groups */
};

struct directive_pair {
    char *name, *value;
    struct directive_origin origin;
};
struct directive_map {
    size_t count;
    struct directive_pair *items;
};

/* The C type of each type of value. */
typedef char *directive_text;
typedef bool directive_bool;
typedef int64_t directive_number; /* DIRECTIVE_UNSET when not given and without a default */
typedef int64_t directive_size;   /* bytes */
typedef int64_t directive_time;   /* milliseconds; -1 when not given and without a default */
typedef int directive_choice;
typedef int directive_mode;      /* permission bits; -1 unset */
typedef int64_t directive_limit; /* -1 unset, INT64_MAX unlimited */
typedef struct value_parse_list directive_list;
typedef struct directive_map directive_map;
typedef struct value_parse_words directive_words;
typedef struct value_parse_address directive_address;

/* The syntax of a value and how it is checked. Texts come first. */
enum directive_type {
    DIRECTIVE_TEXT,        /* any text */
    DIRECTIVE_PATH,        /* absolute path, or the row's `word` */
    DIRECTIVE_FOLDER,      /* absolute path of a folder that exists; config_check looks */
    DIRECTIVE_URI,         /* begins with a slash */
    DIRECTIVE_USER,        /* a known user: name or number */
    DIRECTIVE_GROUP,       /* a known group: name or number */
    DIRECTIVE_BOOL,        /* yes, no and their synonyms */
    DIRECTIVE_NUMBER,      /* whole number, min..max */
    DIRECTIVE_SIZE,        /* bytes; K M G */
    DIRECTIVE_TIME,        /* seconds; ms s m h d */
    DIRECTIVE_CHOICE,      /* one word of `choices` */
    DIRECTIVE_MODE,        /* octal */
    DIRECTIVE_LIMIT_COUNT, /* whole number or `unlimited` */
    DIRECTIVE_LIMIT_SIZE,  /* bytes or `unlimited` */
    DIRECTIVE_LIST,        /* one item a line, the name ends in [] and repeats */
    DIRECTIVE_NETWORKS,    /* addresses and CIDR networks, separated by commas */
    DIRECTIVE_INCLUDE,     /* a file or a pattern; repeats */
    DIRECTIVE_MAP,         /* name[KEY] = value; repeats */
    DIRECTIVE_WORDS,       /* a command line */
    DIRECTIVE_ADDRESS,     /* unix path, port, ip:port, [ip6]:port */
    DIRECTIVE_SOCKET_PATH  /* unix path alone */
};

/* When a changed value takes effect. */
enum directive_reload {
    DIRECTIVE_LIVE,       /* with the reload, for living workers too */
    DIRECTIVE_GENERATION, /* with the reload, in workers started from then on */
    DIRECTIVE_RESTART     /* with the next start of the manager */
};

struct directive_choice {
    const char *word; /* NULL ends the list */
    int value;
};

struct directive {
    const char *name; /* as in the file; also env[NAME], access.suppress_path[] */
    size_t offset;    /* of the field in its struct */
    size_t size;      /* of the field */
    enum directive_type type;
    enum directive_reload reload;
    bool required;          /* a pool without it is refused */
    const char *by_default; /* as written in a file; NULL = unset */
    const char *unset;      /* what an unset value means, for the manual */
    const char *word;       /* DIRECTIVE_PATH: a word accepted in place of a path */
    const char *other_word; /* DIRECTIVE_PATH: a second one */
    const char *third_word; /* and a third */
    const char *unit;       /* of a number: a plural noun in lower case */
    int64_t min, max;       /* numbers, sizes and times, in the units of the field */
    const struct directive_choice *choices;
    const char *example; /* for rows without a default: a value for the sample's comment */
    const char *heading; /* of the group of rows that begins here */
    const char *sample;  /* value that the sample of a pool sets, not as a comment */
    const char *help;    /* one to three sentences */
};

/* Indexes into directive_global and directive_pool: DIRECTIVE_GLOBAL_pid, DIRECTIVE_POOL_pm, ... */
enum directive_global_index {
#define GLOBAL(name, field, ctype, type, ...) DIRECTIVE_GLOBAL_##field,
#include "fpm/config/directives.def"
    DIRECTIVE_GLOBAL_COUNT
};
enum directive_pool_index {
#define POOL(name, field, ctype, type, ...) DIRECTIVE_POOL_##field,
#include "fpm/config/directives.def"
    DIRECTIVE_POOL_COUNT
};

struct config_global {
#define GLOBAL(name, field, ctype, type, ...) directive_##ctype field;
#include "fpm/config/directives.def"
    struct directive_origin origins[DIRECTIVE_GLOBAL_COUNT];
};

/* In the order of the manual, at the cost of some padding.
 * NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct config_pool {
    char *name;                     /* the section's name, fits OT_POOL_NAME_MAX */
    struct directive_origin origin; /* of the section */
    struct config_identity identity;
    char *program; /* path of command's argv[0], found in PATH where it has no slash */
#define POOL(name, field, ctype, type, ...) directive_##ctype field;
#include "fpm/config/directives.def"
    struct directive_origin origins[DIRECTIVE_POOL_COUNT];
};

extern const struct directive directive_global[DIRECTIVE_GLOBAL_COUNT];
extern const struct directive directive_pool[DIRECTIVE_POOL_COUNT];

/* The row that `name` (as in the file, env[HOME] included) belongs to, or NULL. */
const struct directive *directive_find(const struct directive *table, size_t count,
                                       const char *name);

/* The row's name nearest to an unknown name, or NULL where none is near. */
const char *directive_nearest(const struct directive *table, size_t count, const char *name);

/* Can the directive stand in a section more than once? */
bool directive_repeats(const struct directive *row);

/* The accepted values, as a phrase that follows "must be": "a number from 1 to 65536". Always ends
 * in NUL; cut at `size`. */
void directive_accepts(const struct directive *row, char *out, size_t size);

#endif
