/* log_format.c: see log_format.h.
 *
 * Lines of a format and lines of JSON are put together from the same values: a code of the format,
 * and a key of the JSON object, each name a kind of value and the member of the input that has it.
 */
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

#define LOG_FORMAT_TIME_TEXT "%d/%b/%Y:%H:%M:%S %z"
#define LOG_FORMAT_TIME_MAX  128

/* The member is a text for LOG_FORMAT_WORD, and an int64_t for COUNT, SPAN, SIZE, TIME and UTC. */
enum log_format_kind {
    LOG_FORMAT_WORD,
    LOG_FORMAT_PERCENT,
    LOG_FORMAT_PATH,
    LOG_FORMAT_QUERY,
    LOG_FORMAT_MARK, /* a question mark if there is a query */
    LOG_FORMAT_OUTCOME,
    LOG_FORMAT_PARAMETER,
    LOG_FORMAT_HEADER,
    LOG_FORMAT_TIME,
    LOG_FORMAT_UTC,
    LOG_FORMAT_COUNT, /* the first of the numbers */
    LOG_FORMAT_SPAN,  /* ns */
    LOG_FORMAT_SIZE,  /* bytes */
    LOG_FORMAT_CPU,
    LOG_FORMAT_STATUS,
    LOG_FORMAT_BITS,
    LOG_FORMAT_FLAG, /* the member is a bit */
    LOG_FORMAT_KINDS
};

struct log_format_value {
    enum log_format_kind kind;
    size_t member; /* offset in struct log_format_input */
};

struct log_format_code {
    const char *code;
    struct log_format_value value;
    unsigned needs;
    const char *help;
};

struct log_format_item {
    const struct log_format_code *code; /* NULL: `text` as it is */
    const char *text;                   /* with a code: what stood in braces */
    size_t length;
    unsigned unit; /* index into the units of the kind */
};

struct log_format {
    bool json;
    unsigned needs;
    size_t count;
    struct log_format_item *items;
    char text[]; /* braces' contents are terminated in place */
};

/* The words that may stand in braces, for kinds that take them: one of the units (without braces
 * the first), a name (required), or a format of strftime(3). Units beyond those that the text lists
 * are other spellings that PHP-FPM takes. */
static const struct {
    const char *in;
    const char *const *units;
} log_format_braces[LOG_FORMAT_KINDS] = {
    [LOG_FORMAT_SPAN] = {"seconds, milliseconds, microseconds",
                         (const char *const[]){"seconds", "milliseconds", "microseconds", "milli",
                                               "micro", "mili", NULL}},
    [LOG_FORMAT_SIZE] = {"bytes, kilobytes, megabytes",
                         (const char *const[]){"bytes", "kilobytes", "megabytes", "kilo", "mega",
                                               NULL}},
    [LOG_FORMAT_CPU] = {"total, user, system",
                        (const char *const[]){"total", "user", "system", NULL}},
    [LOG_FORMAT_PARAMETER] = {"NAME", NULL},
    [LOG_FORMAT_HEADER] = {"NAME", NULL},
    [LOG_FORMAT_TIME] = {"as of strftime", NULL},
};

#define MEMBER(name) offsetof(struct log_format_input, name)

/* clang-format off */
#define ROW(letter, kind, member, needs, help)                                                     \
    {                                                                                              \
        "%" letter, {LOG_FORMAT_##kind, member}, needs, help                                       \
    }

static const struct log_format_code log_format_codes[] = {
    ROW("%", PERCENT, 0, 0, "a percent sign"),
    ROW("A", SPAN, MEMBER(answer), 0,
        "time to answer: from the request's arrival to the end of its response"),
    ROW("B", SIZE, MEMBER(sent), 0, "bytes of the response that were sent, its head included"),
    ROW("C", CPU, 0, LOG_FORMAT_NEEDS_CPU,
        "processor time of the thread, in percent of the request's duration"),
    ROW("d", SPAN, MEMBER(duration), 0, "duration: from the request's arrival to its true end"),
    ROW("D", SIZE, MEMBER(discarded), 0,
        "bytes of output after the end of the response, which are discarded"),
    ROW("e", PARAMETER, 0, 0, "a parameter of the request"),
    ROW("f", WORD, MEMBER(script), 0, "SCRIPT_FILENAME"),
    ROW("l", SIZE, MEMBER(content_length), 0, "CONTENT_LENGTH: the request's body"),
    ROW("L", WORD, MEMBER(label), 0, "the label that ot_set_label gave"),
    ROW("m", WORD, MEMBER(method), 0, "request method"),
    ROW("M", SIZE, MEMBER(memory), LOG_FORMAT_NEEDS_MEMORY,
        "peak resident memory of the worker so far"),
    ROW("n", WORD, MEMBER(pool), 0, "the pool's name"),
    ROW("o", HEADER, 0, LOG_FORMAT_NEEDS_HEAD, "a header field of the response"),
    ROW("O", OUTCOME, 0, 0, "outcome: ok, aborted, timeout, killed, crashed or dropped"),
    ROW("p", COUNT, MEMBER(pid), 0, "process number of the worker"),
    ROW("P", COUNT, MEMBER(parent), 0, "process number of the manager"),
    ROW("q", QUERY, 0, 0, "the query string"),
    ROW("Q", MARK, 0, 0, "a question mark, if there is a query string"),
    ROW("r", PATH, 0, 0, "the request's URI without its query string"),
    ROW("R", WORD, MEMBER(remote), 0, "address of the client"),
    ROW("s", STATUS, 0, 0, "status of the response"),
    ROW("S", SPAN, MEMBER(shutdown), 0, "time in shutdown functions"),
    ROW("t", TIME, MEMBER(began), 0, "when the request arrived"),
    ROW("T", TIME, MEMBER(ended), 0, "when the request ended, post-response work included"),
    ROW("u", WORD, MEMBER(user), 0, "the user as whom the web server knows the client"),
    ROW("W", SPAN, MEMBER(post_response), 0, "time of the post-response work"),
    ROW("X", BITS, 0, 0, "connection status: 1 aborted, 2 timeout, 3 both"),
};
#undef ROW

static const struct log_format_key {
    const char *key;
    struct log_format_value value;
} log_format_keys[] = {
    {"time", {LOG_FORMAT_UTC, MEMBER(began)}},
    {"pool", {LOG_FORMAT_WORD, MEMBER(pool)}},
    {"pid", {LOG_FORMAT_COUNT, MEMBER(pid)}},
    {"remote", {LOG_FORMAT_WORD, MEMBER(remote)}},
    {"user", {LOG_FORMAT_WORD, MEMBER(user)}},
    {"method", {LOG_FORMAT_WORD, MEMBER(method)}},
    {"path", {LOG_FORMAT_PATH, 0}},
    {"query", {LOG_FORMAT_QUERY, 0}},
    {"status", {LOG_FORMAT_STATUS, 0}},
    {"outcome", {LOG_FORMAT_OUTCOME, 0}},
    {"aborted", {LOG_FORMAT_FLAG, OT_BIT_ABORTED}},
    {"timed_out", {LOG_FORMAT_FLAG, OT_BIT_TIMEOUT}},
    {"request_bytes", {LOG_FORMAT_COUNT, MEMBER(content_length)}},
    {"response_bytes", {LOG_FORMAT_COUNT, MEMBER(sent)}},
    {"discarded_bytes", {LOG_FORMAT_COUNT, MEMBER(discarded)}},
    {"duration_ms", {LOG_FORMAT_SPAN, MEMBER(duration)}},
    {"answer_ms", {LOG_FORMAT_SPAN, MEMBER(answer)}},
    {"post_response_ms", {LOG_FORMAT_SPAN, MEMBER(post_response)}},
    {"shutdown_ms", {LOG_FORMAT_SPAN, MEMBER(shutdown)}},
    {"label", {LOG_FORMAT_WORD, MEMBER(label)}},
};
/* clang-format on */

enum {
    LOG_FORMAT_CODES = sizeof log_format_codes / sizeof *log_format_codes,
    LOG_FORMAT_KEYS = sizeof log_format_keys / sizeof *log_format_keys
};

const struct log_format_code_help *log_format_help(void)
{
    static struct log_format_code_help help[LOG_FORMAT_CODES + 1];
    for (size_t i = 0; i < LOG_FORMAT_CODES; i++) {
        const struct log_format_code *code = &log_format_codes[i];
        const char *in = log_format_braces[code->value.kind].in;
        help[i] = (struct log_format_code_help){code->code, in != NULL ? in : "", code->help};
    }
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

/* ---- values ---- */

static const struct ot_zone *log_format_zone;

void log_format_set_zone(const struct ot_zone *zone)
{
    log_format_zone = zone;
}

/* The zone is the manager's: the application may have set another, or see no zone files. Caches the
 * last second, as localtime_r() is slow and many lines have the same second. */
static const struct tm *log_format_local(time_t second)
{
    static _Thread_local time_t last = -1;
    static _Thread_local struct tm local;
    if (second == last && second != -1)
        return &local;
    if (log_format_zone == NULL && localtime_r(&second, &local) == NULL)
        return NULL;
    if (log_format_zone != NULL) {
        const struct ot_zone_change *change = log_format_zone->changes;
        unsigned i = 1;
        while (i < OT_ZONE_CHANGES && change[i].at <= second)
            i++;
        time_t shifted = second + change[i - 1].offset;
        if (gmtime_r(&shifted, &local) == NULL)
            return NULL;
        local.tm_gmtoff = change[i - 1].offset;
        local.tm_zone = change[i - 1].name;
    }
    last = second;
    return &local;
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

static int64_t log_format_number_at(const struct log_format_input *input, size_t member)
{
    int64_t number;
    memcpy(&number, (const char *)input + member, sizeof number);
    return number;
}

/* Writes the time to `date`, in the local zone as `how` says, or without it in UTC as JSON has it.
 * Returns its length, 0 = unknown. */
static size_t log_format_date(int64_t ns, const char *how, char date[LOG_FORMAT_TIME_MAX])
{
    time_t second = (time_t)(ns / CLOCK_NS_PER_S);
    struct tm utc;
    if (ns < 0)
        return 0;
    if (how != NULL) {
        const struct tm *local = log_format_local(second);
        return local == NULL ? 0 : locale_free_date(date, LOG_FORMAT_TIME_MAX, how, local);
    }
    if (gmtime_r(&second, &utc) == NULL)
        return 0;
    size_t length = locale_free_date(date, LOG_FORMAT_TIME_MAX - 8, "%Y-%m-%dT%H:%M:%S", &utc);
    if (length > 0)
        length += (size_t)snprintf(date + length, 8, ".%03dZ", (int)(ns / CLOCK_NS_PER_MS % 1000));
    return length;
}

/* A value that is a text; NULL or empty if it is unknown. */
static const char *log_format_text(const struct log_format_input *input,
                                   const struct log_format_value *value,
                                   const struct log_format_item *item,
                                   char date[LOG_FORMAT_TIME_MAX], size_t *length)
{
    const char *text = NULL;
    switch (value->kind) {
    case LOG_FORMAT_PATH:
        *length = log_format_path_length(input);
        return input->uri;
    case LOG_FORMAT_HEADER:
        *length = 0;
        return input->field == NULL
                   ? NULL
                   : input->field(input->context, item->text, item->length, length);
    case LOG_FORMAT_TIME:
    case LOG_FORMAT_UTC:
        text = value->kind == LOG_FORMAT_UTC ? NULL
               : item->length > 0            ? item->text
                                             : LOG_FORMAT_TIME_TEXT;
        *length = log_format_date(log_format_number_at(input, value->member), text, date);
        return date;
    case LOG_FORMAT_PARAMETER:
        if (input->param != NULL)
            text = input->param(input->context, item->text, item->length);
        break;
    case LOG_FORMAT_PERCENT:
        text = "%";
        break;
    case LOG_FORMAT_QUERY:
        text = log_format_query(input);
        break;
    case LOG_FORMAT_MARK:
        text = *log_format_query(input) != '\0' ? "?" : "";
        break;
    case LOG_FORMAT_OUTCOME:
        text = log_format_outcome_name(input->outcome);
        break;
    default:
        memcpy(&text, (const char *)input + value->member, sizeof text);
    }
    *length = text != NULL ? strlen(text) : 0;
    return text;
}

/* A value that is a number, in 10^-*decimals; negative if it is unknown. */
static int64_t log_format_number(const struct log_format_input *input,
                                 const struct log_format_value *value, unsigned unit,
                                 unsigned *decimals)
{
    static const unsigned shifts[] = {0, 10, 20, 10, 20};
    int64_t user = input->cpu_user, system = input->cpu_system, number;
    *decimals = 0;
    switch (value->kind) {
    case LOG_FORMAT_STATUS:
        return input->status <= OT_HTTP_STATUS_UNKNOWN ? LOG_FORMAT_UNKNOWN
                                                       : (int64_t)input->status;
    case LOG_FORMAT_BITS:
        return input->bits;
    case LOG_FORMAT_CPU:
        *decimals = 2;
        if (user < 0 || system < 0)
            return LOG_FORMAT_UNKNOWN;
        number = unit == 0 ? user + system : unit == 1 ? user : system;
        return input->duration <= 0 ? 0 : number / (input->duration / 10000 + 1);
    case LOG_FORMAT_SPAN:
        number = log_format_number_at(input, value->member);
        *decimals = unit == 2 || unit == 4 ? 0 : 3;
        return number < 0 ? number : number / (unit == 0 ? CLOCK_NS_PER_MS : 1000);
    case LOG_FORMAT_SIZE:
        number = log_format_number_at(input, value->member);
        return number < 0 ? number : number >> shifts[unit];
    default:
        return log_format_number_at(input, value->member);
    }
}

static void log_format_put(struct line_buffer *line, const struct log_format_input *input,
                           const struct log_format_value *value, const struct log_format_item *item,
                           bool json)
{
    char date[LOG_FORMAT_TIME_MAX];
    size_t length = 0;
    unsigned decimals = 0;
    if (value->kind == LOG_FORMAT_FLAG) {
        line_buffer_words(line, (input->bits & value->member) != 0 ? "true" : "false");
    } else if (value->kind >= LOG_FORMAT_COUNT) {
        int64_t number = log_format_number(input, value, item->unit, &decimals);
        if (number < 0)
            line_buffer_words(line, json ? "null" : "-");
        else
            line_buffer_decimal(line, (uint64_t)number, decimals);
    } else {
        const char *text = log_format_text(input, value, item, date, &length);
        if (json)
            line_buffer_string(line, length == 0 ? NULL : text, length);
        /* Without a query nothing, and not a dash: %r%Q%q is the URI. */
        else if (length > 0 || (value->kind != LOG_FORMAT_QUERY && value->kind != LOG_FORMAT_MARK))
            line_buffer_field(line, text, length);
    }
}

/* ---- compiling ---- */

struct log_format_error {
    char *text;
    size_t size;
};

static bool log_format_check_item(struct log_format_item *item, bool braces,
                                  const struct log_format_error *error)
{
    static const struct tm sample = {.tm_mday = 27, .tm_mon = 8, .tm_year = 2000};
    enum log_format_kind kind = item->code->value.kind;
    const char *in = log_format_braces[kind].in;
    const char *const *units = log_format_braces[kind].units;
    char letter = item->code->code[1];
    char text[LOG_FORMAT_TIME_MAX];
    if (in == NULL) {
        if (!braces)
            return true;
        snprintf(error->text, error->size, "has %%{%s}%c, but %%%c takes no braces", item->text,
                 letter, letter);
        return false;
    }
    if (kind == LOG_FORMAT_PARAMETER || kind == LOG_FORMAT_HEADER) {
        if (item->length > 0)
            return true;
        snprintf(error->text, error->size, "has %%%c without its {%s}, as in %%{%s}%c", letter, in,
                 kind == LOG_FORMAT_HEADER ? "Content-Type" : "HTTP_USER_AGENT", letter);
        return false;
    }
    if (!braces)
        return true;
    if (kind == LOG_FORMAT_TIME && locale_free_date(text, sizeof text, item->text, &sample) > 0)
        return true;
    for (item->unit = 0; units != NULL && units[item->unit] != NULL; item->unit++)
        if (strcmp(units[item->unit], item->text) == 0)
            return true;
    snprintf(error->text, error->size, "has %%{%s}%c; in its braces may stand %s", item->text,
             letter, in);
    return false;
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
    for (size_t i = 0; i < LOG_FORMAT_CODES; i++)
        if (log_format_codes[i].code[1] == *letter)
            item->code = &log_format_codes[i];
    if (item->code == NULL) {
        char accepted[4 * LOG_FORMAT_CODES];
        size_t used = 0;
        for (size_t i = 0; i < LOG_FORMAT_CODES; i++)
            used += (size_t)snprintf(accepted + used, sizeof accepted - used, "%s%s",
                                     i > 0 ? " " : "", log_format_codes[i].code);
        snprintf(error->text, error->size, "has %.*s, which is no code; codes are %s",
                 (int)(letter - at) + (*letter != '\0'), at, accepted);
        return NULL;
    }
    bool braces = letter > at + 1;
    if (braces)
        letter[-1] = '\0';
    format->needs |= item->code->needs;
    return log_format_check_item(item, braces, error) ? letter + 1 : NULL;
}

struct log_format *log_format_compile(const char *text, char *text_error, size_t size)
{
    const struct log_format_error error = {text_error, size};
    size_t length = strlen(text);
    if (length == 0 || length > LOG_FORMAT_MAX) {
        snprintf(text_error, size, "has %zu bytes; it must have 1 to %d", length, LOG_FORMAT_MAX);
        return NULL;
    }
    for (const char *c = text; *c != '\0'; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f) {
            snprintf(text_error, size, "has the control character 0x%02x",
                     (unsigned)(unsigned char)*c);
            return NULL;
        }
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
    char *at = format->text;
    while (!format->json && at != NULL && *at != '\0') {
        if (*at == '%') {
            at = log_format_compile_code(format, at, &error);
            continue;
        }
        length = strcspn(at, "%");
        format->items[format->count++] = (struct log_format_item){.text = at, .length = length};
        at += length;
    }
    if (at == NULL)
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

/* ---- a line ---- */

size_t log_format_line(const struct log_format *format, const struct log_format_input *input,
                       char *out) /* NOLINT(readability-non-const-parameter): see line.text */
{
    /* Tries shorter fields until the line fits: nearly always the first, for JSON always the last.
     */
    static const size_t field_max[] = {OT_ACCESS_LINE_MAX, 1024, 256, 64, 16};
    static const struct log_format_item milliseconds = {.text = "", .unit = 1};
    struct line_buffer line = {.full = true};
    for (size_t i = 0; line.full && i < sizeof field_max / sizeof *field_max; i++) {
        line = (struct line_buffer){
            .text = out, .size = OT_ACCESS_LINE_MAX, .field_max = field_max[i]};
        for (size_t k = 0; format->json && k < LOG_FORMAT_KEYS; k++) {
            line_buffer_words(&line, k > 0 ? ",\"" : "{\"");
            line_buffer_words(&line, log_format_keys[k].key);
            line_buffer_words(&line, "\":");
            log_format_put(&line, input, &log_format_keys[k].value, &milliseconds, true);
        }
        if (format->json)
            line_buffer_words(&line, "}");
        for (size_t k = 0; k < format->count; k++) {
            const struct log_format_item *item = &format->items[k];
            if (item->code != NULL)
                log_format_put(&line, input, &item->code->value, item, false);
            else
                line_buffer_bytes(&line, item->text, item->length);
        }
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
