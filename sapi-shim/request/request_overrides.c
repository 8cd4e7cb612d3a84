/* request_overrides.c: see request_overrides.h. */
#include "sapi-shim/request/request_overrides.h"

#include "sapi-shim/util/scalar.h"

#include <stdio.h>
#include <string.h>

enum {
    REQUEST_OVERRIDES_LINE_MAX = 128 /* bytes with the NUL */
};

static bool request_overrides_bailout(const char *text, enum ot_bailout *out)
{
    static const char *const names[] = {
        [OT_BAILOUT_AUTO] = "auto",
        [OT_BAILOUT_UNWIND] = "unwind",
        [OT_BAILOUT_EXIT] = "exit",
        [OT_BAILOUT_NONE] = "none",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], text) == 0) {
            *out = (enum ot_bailout)i;
            return true;
        }
    return false;
}

/* Sets one field: returns its bit, 0 for an unknown name, and with a bad value *valid is false. */
static unsigned request_overrides_set(struct request_overrides *overrides, const char *name,
                                      const char *value, bool *valid)
{
    if (strcmp(name, "ignore_user_abort") == 0) {
        *valid = scalar_bool(value, &overrides->ignore_user_abort);
        return REQUEST_OVERRIDES_IGNORE_USER_ABORT;
    }
    if (strcmp(name, "max_execution_time") == 0) {
        *valid = scalar_time(value, &overrides->max_execution_time);
        return REQUEST_OVERRIDES_MAX_EXECUTION_TIME;
    }
    if (strcmp(name, "post_response.time_limit") == 0) {
        *valid = scalar_time(value, &overrides->post_response_time_limit);
        return REQUEST_OVERRIDES_POST_RESPONSE_TIME_LIMIT;
    }
    if (strcmp(name, "bailout") == 0) {
        *valid = request_overrides_bailout(value, &overrides->bailout);
        return REQUEST_OVERRIDES_BAILOUT;
    }
    return 0;
}

static char *request_overrides_trim(char *text)
{
    static const char blanks[] = " \t\r";
    text += strspn(text, blanks);
    size_t length = strlen(text);
    while (length > 0 && strchr(blanks, text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

static bool request_overrides_line(struct request_overrides *overrides, char *line, char *error,
                                   size_t size)
{
    char *name = request_overrides_trim(line);
    char *equals = strchr(name, '=');
    bool valid = true;
    if (*name == '\0')
        return true;
    if (equals == NULL) {
        (void)snprintf(error, size, "\"%s\" is not name=value", name);
        return false;
    }
    *equals = '\0';
    name = request_overrides_trim(name);
    char *value = request_overrides_trim(equals + 1);
    unsigned bit = request_overrides_set(overrides, name, value, &valid);
    if (bit == 0)
        (void)snprintf(error, size,
                       "\"%s\" cannot be set per request; ignore_user_abort, max_execution_time, "
                       "post_response.time_limit and bailout can",
                       name);
    else if (!valid)
        (void)snprintf(error, size, "%s cannot be \"%s\"", name, value);
    overrides->set |= bit;
    return bit != 0 && valid;
}

bool request_overrides_parse(const char *text, struct request_overrides *overrides, char *error,
                             size_t size)
{
    struct request_overrides all = *overrides;
    while (*text != '\0') {
        char line[REQUEST_OVERRIDES_LINE_MAX];
        size_t length = strcspn(text, ";\n");
        if (length >= sizeof line) {
            (void)snprintf(error, size, "a line is longer than %d bytes",
                           REQUEST_OVERRIDES_LINE_MAX - 1);
            return false;
        }
        memcpy(line, text, length);
        line[length] = '\0';
        if (!request_overrides_line(&all, line, error, size))
            return false;
        text += length + (text[length] != '\0');
    }
    *overrides = all;
    return true;
}
