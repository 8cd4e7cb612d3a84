/* directive.c: the table of directives and questions about a row. See directive.h. */
#include "fpm/config/directive.h"

#include "fpm/log/log_line.h"
#include "fpm/util/spelling.h"
#include "sapi-shim/contract.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define DAYS(n) ((n)*INT64_C(86400000))

/* The defaults of the directives that workers obey, as texts for the rows below. */
static const struct {
#define SETTING(field, number, unit) char field[sizeof #number #unit];
#include "sapi-shim/settings.def"
} directive_settings = {
#define SETTING(field, number, unit) .field = #number #unit,
#include "sapi-shim/settings.def"
};

static const struct directive_choice directive_log_levels[] = {
    {"debug", LOG_LEVEL_DEBUG}, {"notice", LOG_LEVEL_NOTICE}, {"warning", LOG_LEVEL_WARNING},
    {"error", LOG_LEVEL_ERROR}, {"alert", LOG_LEVEL_ALERT},   {0}};

static const struct directive_choice directive_log_formats[] = {
    {"text", DIRECTIVE_LOG_TEXT}, {"json", DIRECTIVE_LOG_JSON}, {0}};

static const struct directive_choice directive_syslog_facilities[] = {
    {"daemon", LOG_DAEMON},     {"user", LOG_USER},     {"auth", LOG_AUTH},
    {"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON},     {"ftp", LOG_FTP},
    {"kern", LOG_KERN},         {"lpr", LOG_LPR},       {"mail", LOG_MAIL},
    {"news", LOG_NEWS},         {"syslog", LOG_SYSLOG}, {"uucp", LOG_UUCP},
    {"local0", LOG_LOCAL0},     {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2},
    {"local3", LOG_LOCAL3},     {"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5},
    {"local6", LOG_LOCAL6},     {"local7", LOG_LOCAL7}, {0}};

static const struct directive_choice directive_pm_kinds[] = {{"static", DIRECTIVE_PM_STATIC},
                                                             {"dynamic", DIRECTIVE_PM_DYNAMIC},
                                                             {"ondemand", DIRECTIVE_PM_ONDEMAND},
                                                             {0}};

static const struct directive_choice directive_stop_signals[] = {
    {"auto", 0},       {"TERM", SIGTERM},   {"QUIT", SIGQUIT},
    {"INT", SIGINT},   {"HUP", SIGHUP},     {"USR1", SIGUSR1},
    {"USR2", SIGUSR2}, {"WINCH", SIGWINCH}, {0}};

static const struct directive_choice directive_abort_detections[] = {
    {"checkpoint", OT_ABORT_CHECKPOINT},
    {"instant", OT_ABORT_INSTANT},
    {"write", OT_ABORT_WRITE},
    {0}};

static const struct directive_choice directive_bailouts[] = {{"auto", OT_BAILOUT_AUTO},
                                                             {"unwind", OT_BAILOUT_UNWIND},
                                                             {"exit", OT_BAILOUT_EXIT},
                                                             {"none", OT_BAILOUT_NONE},
                                                             {0}};

const struct directive directive_global[DIRECTIVE_GLOBAL_COUNT] = {
#define GLOBAL(text, field, ctype, kind, ...)                                                      \
    [DIRECTIVE_GLOBAL_##field] = {.name = (text),                                                  \
                                  .offset = offsetof(struct config_global, field),                 \
                                  .size = sizeof(directive_##ctype),                               \
                                  .type = DIRECTIVE_##kind,                                        \
                                  __VA_ARGS__},
#include "fpm/config/directives.def"
};

const struct directive directive_pool[DIRECTIVE_POOL_COUNT] = {
#define POOL(text, field, ctype, kind, ...)                                                        \
    [DIRECTIVE_POOL_##field] = {.name = (text),                                                    \
                                .offset = offsetof(struct config_pool, field),                     \
                                .size = sizeof(directive_##ctype),                                 \
                                .type = DIRECTIVE_##kind,                                          \
                                __VA_ARGS__},
#include "fpm/config/directives.def"
};

const struct directive *directive_find(const struct directive *table, size_t count,
                                       const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < count; i++) {
        if (table[i].type != DIRECTIVE_MAP) {
            if (*table[i].name == *name && strcmp(table[i].name, name) == 0)
                return &table[i];
            continue;
        }
        /* env[NAME] is one row for every env[...]. */
        size_t stem = strcspn(table[i].name, "[") + 1;
        if (length > stem + 1 && strncmp(table[i].name, name, stem) == 0 && name[length - 1] == ']')
            return &table[i];
    }
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
    char min[VALUE_PARSE_TEXT_SIZE], max[VALUE_PARSE_TEXT_SIZE];
    const char *unlimited = row->type == DIRECTIVE_LIMIT_SIZE ? ", or unlimited" : "";
    size_t used = 0;
    switch (row->type) {
    case DIRECTIVE_NUMBER:
        /* A maximum that is beyond any use is not worth a mention. */
        if (row->max > 1000000000000)
            (void)snprintf(out, size, "a whole number, %" PRId64 " or more", row->min);
        else
            (void)snprintf(out, size, "a whole number from %" PRId64 " to %" PRId64, row->min,
                           row->max);
        break;
    case DIRECTIVE_LIMIT_COUNT:
        (void)snprintf(out, size, "a whole number from %" PRId64 " to %" PRId64 ", or unlimited",
                       row->min, row->max);
        break;
    case DIRECTIVE_SIZE:
    case DIRECTIVE_LIMIT_SIZE:
        value_parse_size_text(row->min, min);
        value_parse_size_text(row->max, max);
        if (row->max > INT64_MAX / 4)
            (void)snprintf(out, size, "a number of bytes, or one with K, M or G, %s or more%s", min,
                           unlimited);
        else
            (void)snprintf(out, size, "a number of bytes, or one with K, M or G, from %s to %s%s",
                           min, max, unlimited);
        break;
    case DIRECTIVE_TIME:
        value_parse_time_text(row->min, min);
        value_parse_time_text(row->max, max);
        (void)snprintf(out, size,
                       "a number of seconds, or one with ms, s, m, h or d, from %s to %s", min,
                       max);
        break;
    case DIRECTIVE_CHOICE:
        for (const struct directive_choice *choice = row->choices;
             choice->word != NULL && used < size; choice++)
            used += (size_t)snprintf(out + used, size - used, "%s%s",
                                     choice == row->choices ? "" : ", ", choice->word);
        break;
    case DIRECTIVE_PATH:
        (void)snprintf(out, size, "an absolute path%s%s%s%s%s%s", row->word != NULL ? ", or " : "",
                       row->word != NULL ? row->word : "", row->other_word != NULL ? ", or " : "",
                       row->other_word != NULL ? row->other_word : "",
                       row->third_word != NULL ? ", or " : "",
                       row->third_word != NULL ? row->third_word : "");
        break;
    default:
        (void)snprintf(out, size, "%s", phrases[row->type]);
    }
}
