/* format.c: see format.h. */
#include "sapi-shim/format.h"
#include "sapi-shim/line.h"
#include "sapi-shim/plain.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FORMAT_TIME     "%d/%b/%Y:%H:%M:%S %z"
#define FORMAT_TIME_MAX 128

struct format_item {
    const struct format_code *code; /* NULL: `text` as it is */
    const char *text;               /* with a code: what stood in braces */
    size_t length;
    unsigned unit; /* index into the code's units */
};

struct format {
    bool json;
    unsigned needs;
    size_t count;
    struct format_item *items;
    char text[]; /* braces' contents are terminated in place */
};

typedef void format_put(struct line *line, const struct format_facts *facts,
                        const struct format_item *item);

enum format_braces {
    FORMAT_NO_BRACES,
    FORMAT_UNIT,    /* one of the code's units, the first without braces */
    FORMAT_NAME,    /* any name, and there has to be one */
    FORMAT_STRFTIME /* as of strftime(3) */
};

/* Of units with the same meaning the later ones are what PHP-FPM also takes. */
static const char *const format_times[] = {
    "seconds", "milliseconds", "microseconds", "milli", "micro", "mili", NULL};
static const char *const format_sizes[] = {"bytes", "kilobytes", "megabytes", "kilo", "mega", NULL};
static const char *const format_cpus[] = {"total", "user", "system", NULL};

struct format_code {
    struct format_code_help help;
    enum format_braces braces;
    const char *const *units;
    unsigned needs;
    format_put *put;
};

/* ---- values ---- */

static void format_word(struct line *line, const char *text)
{
    line_field(line, text, text != NULL ? strlen(text) : 0);
}

static void format_count(struct line *line, int64_t number)
{
    if (number < 0)
        line_words(line, "-");
    else
        line_number(line, (uint64_t)number);
}

static void format_span(struct line *line, int64_t ns, unsigned unit)
{
    if (ns < 0)
        line_words(line, "-");
    else if (unit == 0)
        line_decimal(line, (uint64_t)ns / 1000000, 3);
    else if (unit == 1 || unit == 3 || unit == 5)
        line_decimal(line, (uint64_t)ns / 1000, 3);
    else
        line_number(line, (uint64_t)ns / 1000);
}

static void format_size(struct line *line, int64_t bytes, unsigned unit)
{
    static const unsigned shifts[] = {0, 10, 20, 10, 20};
    format_count(line, bytes < 0 ? bytes : bytes >> shifts[unit]);
}

/* A day's worth of lines has few seconds in a row that differ, and local time is not cheap. */
static const struct tm *format_local(time_t second)
{
    static _Thread_local time_t last = -1;
    static _Thread_local struct tm local;
    if (second == last && second != -1)
        return &local;
    if (localtime_r(&second, &local) == NULL)
        return NULL;
    last = second;
    return &local;
}

static void format_time(struct line *line, int64_t ns, const char *how)
{
    char text[FORMAT_TIME_MAX];
    const struct tm *local = ns < 0 ? NULL : format_local((time_t)(ns / 1000000000));
    size_t length = local == NULL ? 0 : plain_date(text, sizeof text, how, local);
    line_field(line, text, length);
}

static size_t format_path_length(const struct format_facts *facts)
{
    return facts->uri == NULL ? 0 : strcspn(facts->uri, "?");
}

static const char *format_query(const struct format_facts *facts)
{
    if (facts->query != NULL)
        return facts->query;
    const char *mark = facts->uri == NULL ? NULL : strchr(facts->uri, '?');
    return mark == NULL ? "" : mark + 1;
}

#define PUT(name)                                                                                  \
    static void format_put_##name(struct line *line, const struct format_facts *facts,             \
                                  const struct format_item *item)
/* Most codes have no use for what stood in braces. */
#define PLAIN(name, statement)                                                                     \
    PUT(name)                                                                                      \
    {                                                                                              \
        (void)item;                                                                                \
        statement;                                                                                 \
    }
#define SPAN(name, value)                                                                          \
    PUT(name)                                                                                      \
    {                                                                                              \
        format_span(line, value, item->unit);                                                      \
    }
#define SIZE(name, value)                                                                          \
    PUT(name)                                                                                      \
    {                                                                                              \
        format_size(line, value, item->unit);                                                      \
    }

PUT(percent)
{
    (void)facts;
    (void)item;
    line_words(line, "%");
}

PUT(cpu)
{
    int64_t user = facts->cpu_user, system = facts->cpu_system;
    int64_t used = item->unit == 0 ? user + system : item->unit == 1 ? user : system;
    if (user < 0 || system < 0)
        line_words(line, "-");
    else
        line_decimal(
            line,
            facts->duration <= 0 ? 0 : (uint64_t)used / ((uint64_t)facts->duration / 10000 + 1), 2);
}

PUT(parameter)
{
    format_word(
        line, facts->param == NULL ? NULL : facts->param(facts->context, item->text, item->length));
}

PUT(response_field)
{
    size_t length = 0;
    const char *value = facts->field == NULL
                            ? NULL
                            : facts->field(facts->context, item->text, item->length, &length);
    line_field(line, value, length);
}

PUT(began)
{
    format_time(line, facts->began, item->length > 0 ? item->text : FORMAT_TIME);
}

PUT(ended)
{
    format_time(line, facts->ended, item->length > 0 ? item->text : FORMAT_TIME);
}

PUT(status)
{
    (void)item;
    format_count(line, facts->status == 0 ? FORMAT_UNKNOWN : (int64_t)facts->status);
}

PUT(query_mark)
{
    (void)item;
    line_words(line, *format_query(facts) != '\0' ? "?" : "");
}

/* Empty and not a dash: %r%Q%q is the URI. */
PUT(query)
{
    (void)item;
    if (*format_query(facts) != '\0')
        format_word(line, format_query(facts));
}

SPAN(duration, facts->duration)
SPAN(answer, facts->answer)
SPAN(post_response, facts->post_response)
SPAN(shutdown, facts->shutdown)
SIZE(content_length, facts->content_length)
SIZE(memory, facts->memory)
SIZE(sent, facts->sent)
SIZE(discarded, facts->discarded)
PLAIN(script, format_word(line, facts->script))
PLAIN(method, format_word(line, facts->method))
PLAIN(pool, format_word(line, facts->pool))
PLAIN(pid, format_count(line, facts->pid))
PLAIN(parent, format_count(line, facts->parent))
PLAIN(path, line_field(line, facts->uri, format_path_length(facts)))
PLAIN(remote, format_word(line, facts->remote))
PLAIN(user, format_word(line, facts->user))
PLAIN(outcome, line_words(line, format_outcome_name(facts->outcome)))
PLAIN(label, format_word(line, facts->label))
PLAIN(bits, line_number(line, facts->bits))

/* ---- the table ---- */

#define TIMES "seconds, milliseconds, microseconds"
#define SIZES "bytes, kilobytes, megabytes"
#define CODE(letter, inside, kind, names, what, how, text)                                         \
    {                                                                                              \
        .help = {"%" letter, inside, text}, .braces = (kind), .units = (names), .needs = (what),   \
        .put = format_put_##how                                                                    \
    }
#define PLAIN_CODE(letter, how, text) CODE(letter, "", FORMAT_NO_BRACES, NULL, 0, how, text)
#define TIME_CODE(letter, how, text)  CODE(letter, TIMES, FORMAT_UNIT, format_times, 0, how, text)
#define SIZE_CODE(letter, needs, how, text)                                                        \
    CODE(letter, SIZES, FORMAT_UNIT, format_sizes, needs, how, text)

static const struct format_code format_codes[] = {
    PLAIN_CODE("%", percent, "a percent sign"),
    TIME_CODE("A", answer, "time to answer: from the request's arrival to the end of its response"),
    SIZE_CODE("B", 0, sent, "bytes of the response that were sent, its head included"),
    CODE("C", "total, user, system", FORMAT_UNIT, format_cpus, FORMAT_NEEDS_CPU, cpu,
         "processor time of the thread, in percent of the request's duration"),
    TIME_CODE("d", duration, "duration: from the request's arrival to its true end"),
    SIZE_CODE("D", 0, discarded, "bytes of output that came after the response and went nowhere"),
    CODE("e", "NAME", FORMAT_NAME, NULL, 0, parameter, "a parameter of the request"),
    PLAIN_CODE("f", script, "SCRIPT_FILENAME"),
    SIZE_CODE("l", 0, content_length, "CONTENT_LENGTH: the request's body"),
    PLAIN_CODE("L", label, "the label that ot_set_label gave"),
    PLAIN_CODE("m", method, "request method"),
    SIZE_CODE("M", FORMAT_NEEDS_MEMORY, memory, "peak resident memory of the worker so far"),
    PLAIN_CODE("n", pool, "the pool's name"),
    CODE("o", "NAME", FORMAT_NAME, NULL, FORMAT_NEEDS_HEAD, response_field,
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
    CODE("t", "as of strftime", FORMAT_STRFTIME, NULL, 0, began, "when the request arrived"),
    CODE("T", "as of strftime", FORMAT_STRFTIME, NULL, 0, ended, "when the request truly ended"),
    PLAIN_CODE("u", user, "the user as whom the web server knows the client"),
    TIME_CODE("W", post_response, "time of the work after the response"),
    PLAIN_CODE("X", bits, "connection status: 1 aborted, 2 timeout, 3 both"),
};

enum {
    FORMAT_CODES = sizeof format_codes / sizeof *format_codes
};

const struct format_code_help *format_help(void)
{
    static struct format_code_help help[FORMAT_CODES + 1];
    for (size_t i = 0; i < FORMAT_CODES; i++)
        help[i] = format_codes[i].help;
    return help;
}

const char *format_outcome_name(enum format_outcome outcome)
{
    static const char *const names[FORMAT_OUTCOMES] = {
        [FORMAT_OK] = "ok",         [FORMAT_ABORTED] = "aborted", [FORMAT_TIMEOUT] = "timeout",
        [FORMAT_KILLED] = "killed", [FORMAT_CRASHED] = "crashed", [FORMAT_DROPPED] = "dropped",
    };
    return names[outcome];
}

/* ---- compiling ---- */

struct format_error {
    char *text;
    size_t size;
};

static const struct format_code *format_find(char letter)
{
    for (size_t i = 0; i < FORMAT_CODES; i++)
        if (format_codes[i].help.code[1] == letter)
            return &format_codes[i];
    return NULL;
}

static void format_accepted(char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < FORMAT_CODES && used + 4 < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? " " : "",
                                 format_codes[i].help.code);
}

static bool format_refuse_code(const char *code, size_t length, const struct format_error *error)
{
    char accepted[4 * FORMAT_CODES];
    format_accepted(accepted, sizeof accepted);
    snprintf(error->text, error->size, "has %.*s, which is no code; codes are %s", (int)length,
             code, accepted);
    return false;
}

static bool format_refuse_braces(const struct format_item *item, const struct format_error *error)
{
    char letter = item->code->help.code[1];
    if (item->code->braces == FORMAT_NO_BRACES)
        snprintf(error->text, error->size, "has %%{%s}%c, but %%%c takes no braces", item->text,
                 letter, letter);
    else if (item->code->braces == FORMAT_NAME)
        snprintf(error->text, error->size, "has %%%c without its {%s}, as in %%{%s}%c", letter,
                 item->code->help.in, letter == 'o' ? "Content-Type" : "HTTP_USER_AGENT", letter);
    else
        snprintf(error->text, error->size, "has %%{%s}%c; in its braces may stand %s", item->text,
                 letter, item->code->help.in);
    return false;
}

static bool format_check_time(const char *how)
{
    char text[FORMAT_TIME_MAX];
    const struct tm sample = {.tm_mday = 27, .tm_mon = 8, .tm_year = 2000};
    return plain_date(text, sizeof text, how, &sample) > 0;
}

static bool format_check_item(struct format_item *item, bool braces,
                              const struct format_error *error)
{
    const struct format_code *code = item->code;
    if (code->braces == FORMAT_NO_BRACES)
        return !braces || format_refuse_braces(item, error);
    if (code->braces == FORMAT_NAME)
        return item->length > 0 || format_refuse_braces(item, error);
    if (!braces)
        return true;
    if (code->braces == FORMAT_STRFTIME)
        return format_check_time(item->text) || format_refuse_braces(item, error);
    for (item->unit = 0; code->units[item->unit] != NULL; item->unit++)
        if (strcmp(code->units[item->unit], item->text) == 0)
            return true;
    return format_refuse_braces(item, error);
}

/* Reads the code at `at`, which is a percent sign; returns what is behind it, NULL with an error.
 */
static char *format_compile_code(struct format *format, char *at, const struct format_error *error)
{
    struct format_item *item = &format->items[format->count++];
    char *letter = at + 1;
    *item = (struct format_item){.text = ""};
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
    item->code = *letter == '\0' ? NULL : format_find(*letter);
    if (item->code == NULL) {
        (void)format_refuse_code(at, (size_t)(letter - at) + (*letter != '\0'), error);
        return NULL;
    }
    bool braces = letter > at + 1;
    if (braces)
        letter[-1] = '\0';
    format->needs |= item->code->needs;
    return format_check_item(item, braces, error) ? letter + 1 : NULL;
}

static bool format_compile_all(struct format *format, const struct format_error *error)
{
    for (char *at = format->text; *at != '\0';) {
        if (*at == '%') {
            at = format_compile_code(format, at, error);
            if (at == NULL)
                return false;
            continue;
        }
        size_t length = strcspn(at, "%");
        format->items[format->count++] = (struct format_item){.text = at, .length = length};
        at += length;
    }
    return true;
}

static bool format_acceptable(const char *text, const struct format_error *error)
{
    size_t length = strlen(text);
    if (length == 0 || length > FORMAT_MAX) {
        snprintf(error->text, error->size, "has %zu bytes; it must have 1 to %d", length,
                 FORMAT_MAX);
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

struct format *format_compile(const char *text, char *text_error, size_t size)
{
    const struct format_error error = {text_error, size};
    size_t length = strlen(text);
    if (!format_acceptable(text, &error))
        return NULL;
    struct format *format = calloc(1, sizeof *format + length + 1);
    if (format != NULL)
        format->items = calloc(length, sizeof *format->items);
    if (format == NULL || format->items == NULL) {
        snprintf(text_error, size, "cannot be taken in: out of memory");
        format_free(&format);
        return NULL;
    }
    memcpy(format->text, text, length + 1);
    format->json = strcmp(text, FORMAT_JSON) == 0;
    if (!format->json && !format_compile_all(format, &error))
        format_free(&format);
    return format;
}

void format_free(struct format **format)
{
    if (*format != NULL)
        free((*format)->items);
    free(*format);
    *format = NULL;
}

unsigned format_needs(const struct format *format)
{
    return format->needs;
}

/* ---- JSON ---- */

static void format_key(struct line *line, const char *key)
{
    line_words(line, line->length > 1 ? ",\"" : "\"");
    line_words(line, key);
    line_words(line, "\":");
}

static void format_json_text(struct line *line, const char *key, const char *text, size_t length)
{
    format_key(line, key);
    line_string(line, length == 0 ? NULL : text, length);
}

static void format_json_word(struct line *line, const char *key, const char *text)
{
    format_json_text(line, key, text, text == NULL ? 0 : strlen(text));
}

static void format_json_number(struct line *line, const char *key, int64_t number)
{
    format_key(line, key);
    if (number < 0)
        line_words(line, "null");
    else
        line_number(line, (uint64_t)number);
}

static void format_json_span(struct line *line, const char *key, int64_t ns)
{
    format_key(line, key);
    if (ns < 0)
        line_words(line, "null");
    else
        line_decimal(line, (uint64_t)ns / 1000, 3);
}

static void format_json_bool(struct line *line, const char *key, bool value)
{
    format_key(line, key);
    line_words(line, value ? "true" : "false");
}

static void format_json_time(struct line *line, const char *key, int64_t ns)
{
    char text[64];
    time_t second = (time_t)(ns / 1000000000);
    struct tm utc;
    size_t length = 0;
    if (ns >= 0 && gmtime_r(&second, &utc) != NULL)
        length = plain_date(text, sizeof text - 8, "%Y-%m-%dT%H:%M:%S", &utc);
    if (length > 0)
        length += (size_t)snprintf(text + length, 8, ".%03dZ", (int)(ns / 1000000 % 1000));
    format_json_text(line, key, text, length);
}

static void format_json(struct line *line, const struct format_facts *facts)
{
    line_words(line, "{");
    format_json_time(line, "time", facts->began);
    format_json_word(line, "pool", facts->pool);
    format_json_number(line, "pid", facts->pid);
    format_json_word(line, "remote", facts->remote);
    format_json_word(line, "user", facts->user);
    format_json_word(line, "method", facts->method);
    format_json_text(line, "path", facts->uri, format_path_length(facts));
    format_json_word(line, "query", format_query(facts));
    format_json_number(line, "status",
                       facts->status == 0 ? FORMAT_UNKNOWN : (int64_t)facts->status);
    format_json_word(line, "outcome", format_outcome_name(facts->outcome));
    format_json_bool(line, "aborted", (facts->bits & OT_BIT_ABORTED) != 0);
    format_json_bool(line, "timed_out", (facts->bits & OT_BIT_TIMEOUT) != 0);
    format_json_number(line, "request_bytes", facts->content_length);
    format_json_number(line, "response_bytes", facts->sent);
    format_json_number(line, "discarded_bytes", facts->discarded);
    format_json_span(line, "duration_ms", facts->duration);
    format_json_span(line, "answer_ms", facts->answer);
    format_json_span(line, "post_response_ms", facts->post_response);
    format_json_span(line, "shutdown_ms", facts->shutdown);
    format_json_word(line, "label", facts->label);
    line_words(line, "}");
}

/* ---- a line ---- */

static void format_text(const struct format *format, struct line *line,
                        const struct format_facts *facts)
{
    for (size_t i = 0; i < format->count; i++) {
        const struct format_item *item = &format->items[i];
        if (item->code != NULL)
            item->code->put(line, facts, item);
        else
            line_bytes(line, item->text, item->length);
    }
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written through line.text */
size_t format_line(const struct format *format, const struct format_facts *facts, char *out)
{
    /* Nearly always the first fits; JSON always fits the last. */
    static const size_t field_max[] = {OT_ACCESS_LINE_MAX, 1024, 256, 64, 16};
    struct line line = {.full = true};
    for (size_t i = 0; line.full && i < sizeof field_max / sizeof *field_max; i++) {
        line = (struct line){.text = out, .size = OT_ACCESS_LINE_MAX, .field_max = field_max[i]};
        if (format->json)
            format_json(&line, facts);
        else
            format_text(format, &line, facts);
    }
    if (line.full) {
        const size_t mark = sizeof LINE_CUT - 1;
        if (line.length > line.size - mark)
            line.length = line.size - mark;
        line.full = false;
        line_bytes(&line, LINE_CUT, mark);
    }
    return line.length;
}

bool format_suppresses(const char *paths, size_t size, const struct format_facts *facts)
{
    if (size == 0 || facts->outcome != FORMAT_OK || facts->status < 200 || facts->status > 299 ||
        facts->uri == NULL || facts->method == NULL || facts->content_length > 0 ||
        *format_query(facts) != '\0')
        return false;
    if (strcmp(facts->method, "GET") != 0 && strcmp(facts->method, "HEAD") != 0)
        return false;
    size_t length = format_path_length(facts);
    for (size_t at = 0; at < size; at += strnlen(paths + at, size - at) + 1)
        if (strnlen(paths + at, size - at) == length && memcmp(paths + at, facts->uri, length) == 0)
            return true;
    return false;
}
