/* directive.c: the table of directives and what can be said about a row. See directive.h. */
#include "fpm/config/directive.h"

#include "fpm/util/spelling.h"
#include "sapi-shim/contract.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define DAYS(n) ((n)*INT64_C(86400000))

/* The defaults of what workers obey: texts, for the rows below. */
static const struct {
#define SETTING(field, number, unit) char field[sizeof #number #unit];
#include "sapi-shim/settings.def"
#undef SETTING
} directive_settings = {
#define SETTING(field, number, unit) .field = #number #unit,
#include "sapi-shim/settings.def"
#undef SETTING
};

static const struct directive_choice directive_log_levels[] = {
    {.word = "debug", .value = DIRECTIVE_LOG_DEBUG},
    {.word = "notice", .value = DIRECTIVE_LOG_NOTICE},
    {.word = "warning", .value = DIRECTIVE_LOG_WARNING},
    {.word = "error", .value = DIRECTIVE_LOG_ERROR},
    {.word = "alert", .value = DIRECTIVE_LOG_ALERT},
    {0}};

static const struct directive_choice directive_log_formats[] = {
    {.word = "text", .value = DIRECTIVE_LOG_TEXT},
    {.word = "json", .value = DIRECTIVE_LOG_JSON},
    {0}};

static const struct directive_choice directive_syslog_facilities[] = {
    {.word = "daemon", .value = LOG_DAEMON},
    {.word = "user", .value = LOG_USER},
    {.word = "auth", .value = LOG_AUTH},
    {.word = "authpriv", .value = LOG_AUTHPRIV},
    {.word = "cron", .value = LOG_CRON},
    {.word = "ftp", .value = LOG_FTP},
    {.word = "kern", .value = LOG_KERN},
    {.word = "lpr", .value = LOG_LPR},
    {.word = "mail", .value = LOG_MAIL},
    {.word = "news", .value = LOG_NEWS},
    {.word = "syslog", .value = LOG_SYSLOG},
    {.word = "uucp", .value = LOG_UUCP},
    {.word = "local0", .value = LOG_LOCAL0},
    {.word = "local1", .value = LOG_LOCAL1},
    {.word = "local2", .value = LOG_LOCAL2},
    {.word = "local3", .value = LOG_LOCAL3},
    {.word = "local4", .value = LOG_LOCAL4},
    {.word = "local5", .value = LOG_LOCAL5},
    {.word = "local6", .value = LOG_LOCAL6},
    {.word = "local7", .value = LOG_LOCAL7},
    {0}};

static const struct directive_choice directive_pm_kinds[] = {
    {.word = "static", .value = DIRECTIVE_PM_STATIC},
    {.word = "dynamic", .value = DIRECTIVE_PM_DYNAMIC},
    {.word = "ondemand", .value = DIRECTIVE_PM_ONDEMAND},
    {0}};

static const struct directive_choice directive_stop_signals[] = {
    {.word = "auto", .value = 0},
    {.word = "TERM", .value = SIGTERM},
    {.word = "QUIT", .value = SIGQUIT},
    {.word = "INT", .value = SIGINT},
    {.word = "HUP", .value = SIGHUP},
    {.word = "USR1", .value = SIGUSR1},
    {.word = "USR2", .value = SIGUSR2},
    {.word = "WINCH", .value = SIGWINCH},
    {0}};

static const struct directive_choice directive_abort_detections[] = {
    {.word = "checkpoint", .value = OT_ABORT_CHECKPOINT},
    {.word = "instant", .value = OT_ABORT_INSTANT},
    {.word = "write", .value = OT_ABORT_WRITE},
    {0}};

static const struct directive_choice directive_bailouts[] = {
    {.word = "auto", .value = OT_BAILOUT_AUTO},
    {.word = "unwind", .value = OT_BAILOUT_UNWIND},
    {.word = "exit", .value = OT_BAILOUT_EXIT},
    {.word = "none", .value = OT_BAILOUT_NONE},
    {0}};

const struct directive directive_global[DIRECTIVE_GLOBAL_COUNT] = {
#define GLOBAL(text, field, ctype, kind, ...)                                                      \
    [DIRECTIVE_GLOBAL_##field] = {.name = (text),                                                  \
                                  .offset = offsetof(struct config_global, field),                 \
                                  .type = DIRECTIVE_##kind,                                        \
                                  __VA_ARGS__},
#define POOL(text, field, ctype, kind, ...)
#include "fpm/config/directives.def"
#undef GLOBAL
#undef POOL
};

const struct directive directive_pool[DIRECTIVE_POOL_COUNT] = {
#define GLOBAL(text, field, ctype, kind, ...)
#define POOL(text, field, ctype, kind, ...)                                                        \
    [DIRECTIVE_POOL_##field] = {.name = (text),                                                    \
                                .offset = offsetof(struct config_pool, field),                     \
                                .type = DIRECTIVE_##kind,                                          \
                                __VA_ARGS__},
#include "fpm/config/directives.def"
#undef GLOBAL
#undef POOL
};

/* env[NAME] is one row for every env[...]. */
static bool directive_names(const struct directive *row, const char *name)
{
    const char *bracket = strchr(row->name, '[');
    if (row->type != DIRECTIVE_MAP || bracket == NULL)
        return strcmp(row->name, name) == 0;
    size_t stem = (size_t)(bracket - row->name) + 1;
    size_t length = strlen(name);
    return length > stem + 1 && strncmp(row->name, name, stem) == 0 && name[length - 1] == ']';
}

const struct directive *directive_find(const struct directive *table, size_t count,
                                       const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (directive_names(&table[i], name))
            return &table[i];
    return NULL;
}

const char *directive_nearest(const struct directive *table, size_t count, const char *name)
{
    size_t length = strlen(name);
    const char *nearest = NULL;
    size_t least = length / 3 + 1;
    if (length > SPELLING_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t far = spelling_distance(table[i].name, name);
        if (far < least) {
            least = far;
            nearest = table[i].name;
        }
    }
    return nearest;
}

bool directive_repeats(const struct directive *row)
{
    return row->type == DIRECTIVE_LIST || row->type == DIRECTIVE_MAP ||
           row->type == DIRECTIVE_INCLUDE;
}

static void directive_accepts_number(const struct directive *row, char *out, size_t size)
{
    if (row->max > 1000000000000) {
        (void)snprintf(out, size, "a whole number, %" PRId64 " or more", row->min);
    } else {
        (void)snprintf(out, size, "a whole number from %" PRId64 " to %" PRId64, row->min,
                       row->max);
    }
}

static void directive_accepts_size(const struct directive *row, char *out, size_t size)
{
    char min[VALUE_PARSE_TEXT_SIZE], max[VALUE_PARSE_TEXT_SIZE];
    const char *unlimited = row->type == DIRECTIVE_LIMIT_SIZE ? ", or unlimited" : "";
    value_parse_size_text(row->min, min);
    value_parse_size_text(row->max, max);
    if (row->max > INT64_MAX / 4) {
        (void)snprintf(out, size, "a number of bytes, or one with K, M or G, %s or more%s", min,
                       unlimited);
    } else {
        (void)snprintf(out, size, "a number of bytes, or one with K, M or G, from %s to %s%s", min,
                       max, unlimited);
    }
}

static void directive_accepts_time(const struct directive *row, char *out, size_t size)
{
    char min[VALUE_PARSE_TEXT_SIZE], max[VALUE_PARSE_TEXT_SIZE];
    value_parse_time_text(row->min, min);
    value_parse_time_text(row->max, max);
    (void)snprintf(out, size, "a number of seconds, or one with ms, s, m, h or d, from %s to %s",
                   min, max);
}

static void directive_accepts_choice(const struct directive *row, char *out, size_t size)
{
    size_t used = 0;
    const char *before = "";
    for (const struct directive_choice *choice = row->choices; choice->word != NULL; choice++) {
        const char *joint = before[0] == '\0' ? "" : ", ";
        int length = snprintf(out + used, size - used, "%s%s", joint, choice->word);
        if (length < 0 || (size_t)length >= size - used)
            return;
        used += (size_t)length;
        before = choice->word;
    }
}

void directive_accepts(const struct directive *row, char *out, size_t size)
{
    static const char *const phrases[] = {
        [DIRECTIVE_TEXT] = "a text",
        [DIRECTIVE_FOLDER] = "the absolute path of a folder that exists",
        [DIRECTIVE_URI] = "a path that begins with /",
        [DIRECTIVE_USER] = "the name or number of a user",
        [DIRECTIVE_GROUP] = "the name or number of a group",
        [DIRECTIVE_BOOL] = "yes or no",
        [DIRECTIVE_MODE] = "octal permissions from 0000 to 0777",
        [DIRECTIVE_LIST] = "a text, one line for each",
        [DIRECTIVE_NETWORKS] = "IP addresses or networks (ADDRESS/BITS), separated by commas",
        [DIRECTIVE_INCLUDE] = "a path, or a pattern with *, ? or [...]",
        [DIRECTIVE_MAP] = "a text, one line for each NAME",
        [DIRECTIVE_WORDS] = "a program and its arguments",
        [DIRECTIVE_ADDRESS] = "/path, port, ip:port or [ip6]:port",
        [DIRECTIVE_SOCKET_PATH] = "the absolute path of a unix socket",
    };
    switch (row->type) {
    case DIRECTIVE_NUMBER:
        directive_accepts_number(row, out, size);
        break;
    case DIRECTIVE_LIMIT_COUNT:
        (void)snprintf(out, size, "a whole number from %" PRId64 " to %" PRId64 ", or unlimited",
                       row->min, row->max);
        break;
    case DIRECTIVE_SIZE:
    case DIRECTIVE_LIMIT_SIZE:
        directive_accepts_size(row, out, size);
        break;
    case DIRECTIVE_TIME:
        directive_accepts_time(row, out, size);
        break;
    case DIRECTIVE_CHOICE:
        directive_accepts_choice(row, out, size);
        break;
    case DIRECTIVE_PATH:
        (void)snprintf(out, size, "an absolute path%s%s%s%s", row->word != NULL ? ", or " : "",
                       row->word != NULL ? row->word : "", row->other_word != NULL ? ", or " : "",
                       row->other_word != NULL ? row->other_word : "");
        break;
    default:
        (void)snprintf(out, size, "%s", phrases[row->type]);
    }
}
