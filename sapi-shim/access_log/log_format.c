/* log_format.c: see log_format.h. */
#include "sapi-shim/access_log/log_format.h"

#include "sapi-shim/access_log/line_buffer.h"
#include "sapi-shim/contract.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/locale_free.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOG_FORMAT_TIME     "%d/%b/%Y:%H:%M:%S %z"
#define LOG_FORMAT_TIME_MAX 128

struct log_format_item {
    const struct log_format_code *code; /* NULL: `text` as it is */
    const char *text;                   /* with a code: what stood in braces */
    size_t length;
    unsigned unit; /* index into the code's units */
};

struct log_format {
    bool json;
    unsigned needs;
    size_t count;
    struct log_format_item *items;
    char text[]; /* braces' contents are terminated in place */
};

typedef void log_format_put(struct line_buffer *line, const struct log_format_input *input,
                            const struct log_format_item *item);

enum log_format_braces {
    LOG_FORMAT_NO_BRACES,
    LOG_FORMAT_UNIT,    /* one of the code's units; without braces the first */
    LOG_FORMAT_NAME,    /* any name; required */
    LOG_FORMAT_STRFTIME /* as of strftime(3) */
};

/* Units with the same meaning further down are other spellings that PHP-FPM takes. */
static const char *const log_format_times[] = {
    "seconds", "milliseconds", "microseconds", "milli", "micro", "mili", NULL};
static const char *const log_format_sizes[] = {"bytes", "kilobytes", "megabytes",
                                               "kilo",  "mega",      NULL};
static const char *const log_format_cpus[] = {"total", "user", "system", NULL};

struct log_format_code {
    struct log_format_code_help help;
    enum log_format_braces braces;
    const char *const *units;
    unsigned needs;
    log_format_put *put;
};

/* ---- values ---- */

static void log_format_word(struct line_buffer *line, const char *text)
{
    line_buffer_field(line, text, text != NULL ? strlen(text) : 0);
}

static void log_format_count(struct line_buffer *line, int64_t number)
{
    if (number < 0)
        line_buffer_words(line, "-");
    else
        line_buffer_number(line, (uint64_t)number);
}

static void log_format_span(struct line_buffer *line, int64_t ns, unsigned unit)
{
    if (ns < 0)
        line_buffer_words(line, "-");
    else if (unit == 0)
        line_buffer_decimal(line, (uint64_t)ns / CLOCK_NS_PER_MS, 3);
    else if (unit == 1 || unit == 3 || unit == 5)
        line_buffer_decimal(line, (uint64_t)ns / 1000, 3);
    else
        line_buffer_number(line, (uint64_t)ns / 1000);
}

static void log_format_size(struct line_buffer *line, int64_t bytes, unsigned unit)
{
    static const unsigned shifts[] = {0, 10, 20, 10, 20};
    log_format_count(line, bytes < 0 ? bytes : bytes >> shifts[unit]);
}

static const struct ot_zone *log_format_zone;

void log_format_set_zone(const struct ot_zone *zone)
{
    log_format_zone = zone;
}

/* The zone is the manager's: the application may have set another, or see no zone files. */
static bool log_format_zoned(time_t second, struct tm *local)
{
    const struct ot_zone_change *change = log_format_zone->changes;
    unsigned i = 1;
    while (i < OT_ZONE_CHANGES && change[i].at <= second)
        i++;
    time_t shifted = second + change[i - 1].offset;
    if (gmtime_r(&shifted, local) == NULL)
        return false;
    local->tm_gmtoff = change[i - 1].offset;
    local->tm_zone = change[i - 1].name;
    return true;
}

/* Caches the last second, as localtime_r() is slow and many lines have the same second. */
static const struct tm *log_format_local(time_t second)
{
    static _Thread_local time_t last = -1;
    static _Thread_local struct tm local;
    if (second == last && second != -1)
        return &local;
    if (log_format_zone != NULL ? !log_format_zoned(second, &local)
                                : localtime_r(&second, &local) == NULL)
        return NULL;
    last = second;
    return &local;
}

static void log_format_time(struct line_buffer *line, int64_t ns, const char *how)
{
    char text[LOG_FORMAT_TIME_MAX];
    const struct tm *local = ns < 0 ? NULL : log_format_local((time_t)(ns / CLOCK_NS_PER_S));
    size_t length = local == NULL ? 0 : locale_free_date(text, sizeof text, how, local);
    line_buffer_field(line, text, length);
}

static size_t log_format_path_length(const struct log_format_input *input)
{
    return input->uri == NULL ? 0 : strcspn(input->uri, "?");
}

static const char *log_format_query(const struct log_format_input *input)
{
    if (input->query != NULL)
        return input->query;
    const char *mark = input->uri == NULL ? NULL : strchr(input->uri, '?');
    return mark == NULL ? "" : mark + 1;
}

#define PUT(name)                                                                                  \
    static void log_format_put_##name(struct line_buffer *line,                                    \
                                      const struct log_format_input *input,                        \
                                      const struct log_format_item *item)
/* Most codes take no braces. */
#define PLAIN(name, statement)                                                                     \
    PUT(name)                                                                                      \
    {                                                                                              \
        (void)item;                                                                                \
        statement;                                                                                 \
    }
#define SPAN(name, value)                                                                          \
    PUT(name)                                                                                      \
    {                                                                                              \
        log_format_span(line, value, item->unit);                                                  \
    }
#define SIZE(name, value)                                                                          \
    PUT(name)                                                                                      \
    {                                                                                              \
        log_format_size(line, value, item->unit);                                                  \
    }

PUT(percent)
{
    (void)input;
    (void)item;
    line_buffer_words(line, "%");
}

PUT(cpu)
{
    int64_t user = input->cpu_user, system = input->cpu_system;
    int64_t used = item->unit == 0 ? user + system : item->unit == 1 ? user : system;
    if (user < 0 || system < 0)
        line_buffer_words(line, "-");
    else
        line_buffer_decimal(
            line,
            input->duration <= 0 ? 0 : (uint64_t)used / ((uint64_t)input->duration / 10000 + 1), 2);
}

PUT(parameter)
{
    log_format_word(
        line, input->param == NULL ? NULL : input->param(input->context, item->text, item->length));
}

PUT(response_field)
{
    size_t length = 0;
    const char *value = input->field == NULL
                            ? NULL
                            : input->field(input->context, item->text, item->length, &length);
    line_buffer_field(line, value, length);
}

PUT(began)
{
    log_format_time(line, input->began, item->length > 0 ? item->text : LOG_FORMAT_TIME);
}

PUT(ended)
{
    log_format_time(line, input->ended, item->length > 0 ? item->text : LOG_FORMAT_TIME);
}

PUT(status)
{
    (void)item;
    log_format_count(line, input->status <= OT_HTTP_STATUS_UNKNOWN ? LOG_FORMAT_UNKNOWN
                                                                   : (int64_t)input->status);
}

PUT(query_mark)
{
    (void)item;
    line_buffer_words(line, *log_format_query(input) != '\0' ? "?" : "");
}

/* Empty and not a dash: %r%Q%q is the URI. */
PUT(query)
{
    (void)item;
    if (*log_format_query(input) != '\0')
        log_format_word(line, log_format_query(input));
}

SPAN(duration, input->duration)
SPAN(answer, input->answer)
SPAN(post_response, input->post_response)
SPAN(shutdown, input->shutdown)
SIZE(content_length, input->content_length)
SIZE(memory, input->memory)
SIZE(sent, input->sent)
SIZE(discarded, input->discarded)
PLAIN(script, log_format_word(line, input->script))
PLAIN(method, log_format_word(line, input->method))
PLAIN(pool, log_format_word(line, input->pool))
PLAIN(pid, log_format_count(line, input->pid))
PLAIN(parent, log_format_count(line, input->parent))
PLAIN(path, line_buffer_field(line, input->uri, log_format_path_length(input)))
PLAIN(remote, log_format_word(line, input->remote))
PLAIN(user, log_format_word(line, input->user))
PLAIN(outcome, line_buffer_words(line, log_format_outcome_name(input->outcome)))
PLAIN(label, log_format_word(line, input->label))
PLAIN(bits, line_buffer_number(line, input->bits))

/* ---- the table ---- */

#define TIMES "seconds, milliseconds, microseconds"
#define SIZES "bytes, kilobytes, megabytes"
#define CODE(letter, inside, kind, names, what, how, text)                                         \
    {                                                                                              \
        .help = {"%" letter, inside, text}, .braces = (kind), .units = (names), .needs = (what),   \
        .put = log_format_put_##how                                                                \
    }
#define PLAIN_CODE(letter, how, text) CODE(letter, "", LOG_FORMAT_NO_BRACES, NULL, 0, how, text)
#define TIME_CODE(letter, how, text)                                                               \
    CODE(letter, TIMES, LOG_FORMAT_UNIT, log_format_times, 0, how, text)
#define SIZE_CODE(letter, needs, how, text)                                                        \
    CODE(letter, SIZES, LOG_FORMAT_UNIT, log_format_sizes, needs, how, text)

static const struct log_format_code log_format_codes[] = {
    PLAIN_CODE("%", percent, "a percent sign"),
    TIME_CODE("A", answer, "time to answer: from the request's arrival to the end of its response"),
    SIZE_CODE("B", 0, sent, "bytes of the response that were sent, its head included"),
    CODE("C", "total, user, system", LOG_FORMAT_UNIT, log_format_cpus, LOG_FORMAT_NEEDS_CPU, cpu,
         "processor time of the thread, in percent of the request's duration"),
    TIME_CODE("d", duration, "duration: from the request's arrival to its true end"),
    SIZE_CODE("D", 0, discarded, "bytes of output that came after the response and went nowhere"),
    CODE("e", "NAME", LOG_FORMAT_NAME, NULL, 0, parameter, "a parameter of the request"),
    PLAIN_CODE("f", script, "SCRIPT_FILENAME"),
    SIZE_CODE("l", 0, content_length, "CONTENT_LENGTH: the request's body"),
    PLAIN_CODE("L", label, "the label that ot_set_label gave"),
    PLAIN_CODE("m", method, "request method"),
    SIZE_CODE("M", LOG_FORMAT_NEEDS_MEMORY, memory, "peak resident memory of the worker so far"),
    PLAIN_CODE("n", pool, "the pool's name"),
    CODE("o", "NAME", LOG_FORMAT_NAME, NULL, LOG_FORMAT_NEEDS_HEAD, response_field,
         "a header field of the response"),
    PLAIN_CODE("O", outcome, "outcome: ok, aborted, timeout, killed, crashed or dropped"),
    PLAIN_CODE("p", pid, "process number of the worker"),
    PLAIN_CODE("P", parent, "process number of the manager"),
    PLAIN_CODE("q", query, "the query string"),
    PLAIN_CODE("Q", query_mark, "a question mark, if there is a query string"),
    PLAIN_CODE("r", path, "the request's URI without its query string"),
    PLAIN_CODE("R", remote, "address of the client"),
    PLAIN_CODE("s", status, "status of the response"),
    TIME_CODE("S", shutdown, "time in shutdown functions"),
    CODE("t", "as of strftime", LOG_FORMAT_STRFTIME, NULL, 0, began, "when the request arrived"),
    CODE("T", "as of strftime", LOG_FORMAT_STRFTIME, NULL, 0, ended,
         "when the request truly ended"),
    PLAIN_CODE("u", user, "the user as whom the web server knows the client"),
    TIME_CODE("W", post_response, "time of the work after the response"),
    PLAIN_CODE("X", bits, "connection status: 1 aborted, 2 timeout, 3 both"),
};

enum {
    LOG_FORMAT_CODES = sizeof log_format_codes / sizeof *log_format_codes
};

const struct log_format_code_help *log_format_help(void)
{
    static struct log_format_code_help help[LOG_FORMAT_CODES + 1];
    for (size_t i = 0; i < LOG_FORMAT_CODES; i++)
        help[i] = log_format_codes[i].help;
    return help;
}

const char *log_format_outcome_name(enum log_format_outcome outcome)
{
    static const char *const names[LOG_FORMAT_OUTCOMES] = {
        [LOG_FORMAT_OK] = "ok",           [LOG_FORMAT_ABORTED] = "aborted",
        [LOG_FORMAT_TIMEOUT] = "timeout", [LOG_FORMAT_KILLED] = "killed",
        [LOG_FORMAT_CRASHED] = "crashed", [LOG_FORMAT_DROPPED] = "dropped",
    };
    return names[outcome];
}

/* ---- compiling ---- */

struct log_format_error {
    char *text;
    size_t size;
};

static const struct log_format_code *log_format_find(char letter)
{
    for (size_t i = 0; i < LOG_FORMAT_CODES; i++)
        if (log_format_codes[i].help.code[1] == letter)
            return &log_format_codes[i];
    return NULL;
}

static void log_format_accepted(char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < LOG_FORMAT_CODES && used + 4 < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? " " : "",
                                 log_format_codes[i].help.code);
}

static bool log_format_refuse_code(const char *code, size_t length,
                                   const struct log_format_error *error)
{
    char accepted[4 * LOG_FORMAT_CODES];
    log_format_accepted(accepted, sizeof accepted);
    snprintf(error->text, error->size, "has %.*s, which is no code; codes are %s", (int)length,
             code, accepted);
    return false;
}

static bool log_format_refuse_braces(const struct log_format_item *item,
                                     const struct log_format_error *error)
{
    char letter = item->code->help.code[1];
    if (item->code->braces == LOG_FORMAT_NO_BRACES)
        snprintf(error->text, error->size, "has %%{%s}%c, but %%%c takes no braces", item->text,
                 letter, letter);
    else if (item->code->braces == LOG_FORMAT_NAME)
        snprintf(error->text, error->size, "has %%%c without its {%s}, as in %%{%s}%c", letter,
                 item->code->help.in, letter == 'o' ? "Content-Type" : "HTTP_USER_AGENT", letter);
    else
        snprintf(error->text, error->size, "has %%{%s}%c; in its braces may stand %s", item->text,
                 letter, item->code->help.in);
    return false;
}

static bool log_format_check_time(const char *how)
{
    char text[LOG_FORMAT_TIME_MAX];
    const struct tm sample = {.tm_mday = 27, .tm_mon = 8, .tm_year = 2000};
    return locale_free_date(text, sizeof text, how, &sample) > 0;
}

static bool log_format_check_item(struct log_format_item *item, bool braces,
                                  const struct log_format_error *error)
{
    const struct log_format_code *code = item->code;
    if (code->braces == LOG_FORMAT_NO_BRACES)
        return !braces || log_format_refuse_braces(item, error);
    if (code->braces == LOG_FORMAT_NAME)
        return item->length > 0 || log_format_refuse_braces(item, error);
    if (!braces)
        return true;
    if (code->braces == LOG_FORMAT_STRFTIME)
        return log_format_check_time(item->text) || log_format_refuse_braces(item, error);
    for (item->unit = 0; code->units[item->unit] != NULL; item->unit++)
        if (strcmp(code->units[item->unit], item->text) == 0)
            return true;
    return log_format_refuse_braces(item, error);
}

/* Reads the code at `at`, a percent sign. Returns the text after it, NULL with an error. */
static char *log_format_compile_code(struct log_format *format, char *at,
                                     const struct log_format_error *error)
{
    struct log_format_item *item = &format->items[format->count++];
    char *letter = at + 1;
    *item = (struct log_format_item){.text = ""};
    if (*letter == '{') {
        char *end = strchr(letter, '}');
        if (end == NULL) {
            snprintf(error->text, error->size, "has a { that is never closed: %s", at);
            return NULL;
        }
        item->text = letter + 1;
        item->length = (size_t)(end - item->text);
        letter = end + 1;
    }
    item->code = *letter == '\0' ? NULL : log_format_find(*letter);
    if (item->code == NULL) {
        (void)log_format_refuse_code(at, (size_t)(letter - at) + (*letter != '\0'), error);
        return NULL;
    }
    bool braces = letter > at + 1;
    if (braces)
        letter[-1] = '\0';
    format->needs |= item->code->needs;
    return log_format_check_item(item, braces, error) ? letter + 1 : NULL;
}

static bool log_format_compile_all(struct log_format *format, const struct log_format_error *error)
{
    for (char *at = format->text; *at != '\0';) {
        if (*at == '%') {
            at = log_format_compile_code(format, at, error);
            if (at == NULL)
                return false;
            continue;
        }
        size_t length = strcspn(at, "%");
        format->items[format->count++] = (struct log_format_item){.text = at, .length = length};
        at += length;
    }
    return true;
}

static bool log_format_acceptable(const char *text, const struct log_format_error *error)
{
    size_t length = strlen(text);
    if (length == 0 || length > LOG_FORMAT_MAX) {
        snprintf(error->text, error->size, "has %zu bytes; it must have 1 to %d", length,
                 LOG_FORMAT_MAX);
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f) {
            snprintf(error->text, error->size, "has the control character 0x%02x",
                     (unsigned)(unsigned char)*c);
            return false;
        }
    }
    return true;
}

struct log_format *log_format_compile(const char *text, char *text_error, size_t size)
{
    const struct log_format_error error = {text_error, size};
    size_t length = strlen(text);
    if (!log_format_acceptable(text, &error))
        return NULL;
    struct log_format *format = calloc(1, sizeof *format + length + 1);
    if (format != NULL)
        format->items = calloc(length, sizeof *format->items);
    if (format == NULL || format->items == NULL) {
        snprintf(text_error, size, "cannot be taken in: out of memory");
        log_format_free(&format);
        return NULL;
    }
    memcpy(format->text, text, length + 1);
    format->json = strcmp(text, LOG_FORMAT_JSON) == 0;
    if (!format->json && !log_format_compile_all(format, &error))
        log_format_free(&format);
    return format;
}

void log_format_free(struct log_format **format)
{
    if (*format != NULL)
        free((*format)->items);
    free(*format);
    *format = NULL;
}

unsigned log_format_needs(const struct log_format *format)
{
    return format->needs;
}

/* ---- JSON ---- */

static void log_format_key(struct line_buffer *line, const char *key)
{
    line_buffer_words(line, line->length > 1 ? ",\"" : "\"");
    line_buffer_words(line, key);
    line_buffer_words(line, "\":");
}

static void log_format_json_text(struct line_buffer *line, const char *key, const char *text,
                                 size_t length)
{
    log_format_key(line, key);
    line_buffer_string(line, length == 0 ? NULL : text, length);
}

static void log_format_json_word(struct line_buffer *line, const char *key, const char *text)
{
    log_format_json_text(line, key, text, text == NULL ? 0 : strlen(text));
}

static void log_format_json_number(struct line_buffer *line, const char *key, int64_t number)
{
    log_format_key(line, key);
    if (number < 0)
        line_buffer_words(line, "null");
    else
        line_buffer_number(line, (uint64_t)number);
}

static void log_format_json_span(struct line_buffer *line, const char *key, int64_t ns)
{
    log_format_key(line, key);
    if (ns < 0)
        line_buffer_words(line, "null");
    else
        line_buffer_decimal(line, (uint64_t)ns / 1000, 3);
}

static void log_format_json_bool(struct line_buffer *line, const char *key, bool value)
{
    log_format_key(line, key);
    line_buffer_words(line, value ? "true" : "false");
}

static void log_format_json_time(struct line_buffer *line, const char *key, int64_t ns)
{
    char text[64];
    time_t second = (time_t)(ns / CLOCK_NS_PER_S);
    struct tm utc;
    size_t length = 0;
    if (ns >= 0 && gmtime_r(&second, &utc) != NULL)
        length = locale_free_date(text, sizeof text - 8, "%Y-%m-%dT%H:%M:%S", &utc);
    if (length > 0)
        length += (size_t)snprintf(text + length, 8, ".%03dZ", (int)(ns / CLOCK_NS_PER_MS % 1000));
    log_format_json_text(line, key, text, length);
}

static void log_format_json(struct line_buffer *line, const struct log_format_input *input)
{
    line_buffer_words(line, "{");
    log_format_json_time(line, "time", input->began);
    log_format_json_word(line, "pool", input->pool);
    log_format_json_number(line, "pid", input->pid);
    log_format_json_word(line, "remote", input->remote);
    log_format_json_word(line, "user", input->user);
    log_format_json_word(line, "method", input->method);
    log_format_json_text(line, "path", input->uri, log_format_path_length(input));
    log_format_json_word(line, "query", log_format_query(input));
    log_format_json_number(line, "status",
                           input->status <= OT_HTTP_STATUS_UNKNOWN ? LOG_FORMAT_UNKNOWN
                                                                   : (int64_t)input->status);
    log_format_json_word(line, "outcome", log_format_outcome_name(input->outcome));
    log_format_json_bool(line, "aborted", (input->bits & OT_BIT_ABORTED) != 0);
    log_format_json_bool(line, "timed_out", (input->bits & OT_BIT_TIMEOUT) != 0);
    log_format_json_number(line, "request_bytes", input->content_length);
    log_format_json_number(line, "response_bytes", input->sent);
    log_format_json_number(line, "discarded_bytes", input->discarded);
    log_format_json_span(line, "duration_ms", input->duration);
    log_format_json_span(line, "answer_ms", input->answer);
    log_format_json_span(line, "post_response_ms", input->post_response);
    log_format_json_span(line, "shutdown_ms", input->shutdown);
    log_format_json_word(line, "label", input->label);
    line_buffer_words(line, "}");
}

/* ---- a line ---- */

static void log_format_text(const struct log_format *format, struct line_buffer *line,
                            const struct log_format_input *input)
{
    for (size_t i = 0; i < format->count; i++) {
        const struct log_format_item *item = &format->items[i];
        if (item->code != NULL)
            item->code->put(line, input, item);
        else
            line_buffer_bytes(line, item->text, item->length);
    }
}

size_t log_format_line(const struct log_format *format, const struct log_format_input *input,
                       char *out) /* NOLINT(readability-non-const-parameter): see line.text */
{
    /* Tries shorter fields until the line fits: nearly always the first, for JSON always the last.
     */
    static const size_t field_max[] = {OT_ACCESS_LINE_MAX, 1024, 256, 64, 16};
    struct line_buffer line = {.full = true};
    for (size_t i = 0; line.full && i < sizeof field_max / sizeof *field_max; i++) {
        line = (struct line_buffer){
            .text = out, .size = OT_ACCESS_LINE_MAX, .field_max = field_max[i]};
        if (format->json)
            log_format_json(&line, input);
        else
            log_format_text(format, &line, input);
    }
    if (line.full) {
        const size_t mark = sizeof OT_CUT - 1;
        if (line.length > line.size - mark)
            line.length = line.size - mark;
        line.full = false;
        line_buffer_bytes(&line, OT_CUT, mark);
    }
    return line.length;
}

bool log_format_suppresses(const char *paths, size_t size, const struct log_format_input *input)
{
    if (size == 0 || input->outcome != LOG_FORMAT_OK || input->status < 200 ||
        input->status > 299 || input->uri == NULL || input->method == NULL ||
        input->content_length > 0 || *log_format_query(input) != '\0')
        return false;
    if (strcmp(input->method, "GET") != 0 && strcmp(input->method, "HEAD") != 0)
        return false;
    size_t length = log_format_path_length(input);
    for (size_t at = 0; at < size; at += strnlen(paths + at, size - at) + 1)
        if (strnlen(paths + at, size - at) == length && memcmp(paths + at, input->uri, length) == 0)
            return true;
    return false;
}
