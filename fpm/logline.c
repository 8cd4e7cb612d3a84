/* logline.c: see logline.h. */
#include "fpm/logline.h"

#include "fpm/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum {
    LOGLINE_NAME = 64,      /* a pool's name, and more than it may have */
    LOGLINE_JSON_TAIL = 20, /* what ends an object, at most: ","part":"middle"} */
    LOGLINE_TEXT_TAIL = 6,  /* " ... */
};

/* What the levels are called: in text, in JSON as in `log_level`, and for the system. */
static const struct {
    const char *text, *json;
    int priority;
} logline_levels[] = {
    [LOG_LEVEL_DEBUG] = {"DEBUG", "debug", LOG_DEBUG},
    [LOG_LEVEL_NOTICE] = {"NOTICE", "notice", LOG_NOTICE},
    [LOG_LEVEL_WARNING] = {"WARNING", "warning", LOG_WARNING},
    [LOG_LEVEL_ERROR] = {"ERROR", "error", LOG_ERR},
    [LOG_LEVEL_ALERT] = {"ALERT", "alert", LOG_ALERT},
};

/* The line so far; used <= size. */
struct logline_out {
    char *line;
    size_t size, used;
};

typedef size_t logline_escape_fn(char *out, size_t size, const char *text, size_t length);

__attribute__((format(printf, 2, 3))) static void logline_add(struct logline_out *out,
                                                              const char *format, ...)
{
    char piece[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t taken = (size_t)length < sizeof piece ? (size_t)length : sizeof piece - 1;
    if (taken > out->size - out->used)
        taken = out->size - out->used;
    memcpy(out->line + out->used, piece, taken);
    out->used += taken;
}

/* As much of the text as leaves `reserve` bytes (>= 1); returns how much was taken. */
static size_t logline_fill(struct logline_out *out, logline_escape_fn *escape,
                           const struct log_record *record, size_t reserve)
{
    size_t room = out->size - out->used - reserve;
    char *start = out->line + out->used;
    size_t taken = escape(start, room + 1, record->text, record->length);
    out->used += strlen(start);
    return taken;
}

/* ---- the time ---- */

static struct tm logline_local(const struct timespec *now)
{
    struct tm local = {.tm_mday = 1};
    (void)localtime_r(&now->tv_sec, &local);
    return local;
}

/* RFC 3339. */
static void logline_json_time(struct logline_out *out, const struct timespec *now)
{
    char day[32] = "";
    struct tm local = logline_local(now);
    long minutes = local.tm_gmtoff / 60;
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &local);
    logline_add(out, "%s.%03ld%c%02ld:%02ld", day, now->tv_nsec / 1000000, minutes < 0 ? '-' : '+',
                labs(minutes) / 60, labs(minutes) % 60);
}

/* ---- what is around the words ---- */

static void logline_frame(struct logline_out *out, const struct logline_style *style,
                          const struct timespec *now, const struct log_record *record)
{
    int priority = logline_levels[record->level].priority;
    struct tm local = logline_local(now);
    char day[32] = "";
    if (style->frame == LOGLINE_JOURNAL) {
        logline_add(out, "<%d>", priority);
    } else if (style->frame == LOGLINE_SYSLOG) {
        (void)strftime(day, sizeof day, "%b %e %H:%M:%S", &local);
        logline_add(out, "<%d>%s %.*s[%d]: ", style->facility | priority, day, LOGLINE_IDENT_MAX,
                    style->ident, (int)style->self);
    } else if (!style->json && (record->stream == NULL || record->decorate)) {
        (void)strftime(day, sizeof day, "%d-%b-%Y %H:%M:%S", &local);
        logline_add(out, "[%s.%03ld] %s: ", day, now->tv_nsec / 1000000,
                    logline_levels[record->level].text);
    }
}

/* The manager's own words; they were made for one line, so that this is for what went wrong. */
static size_t logline_words(struct logline_out *out, logline_escape_fn *escape,
                            const struct log_record *record, size_t reserve)
{
    size_t taken = logline_fill(out, escape, record, reserve + 3);
    if (taken < record->length)
        logline_add(out, "...");
    return record->length;
}

/* ---- text ---- */

static size_t logline_text(struct logline_out *out, const struct log_record *record)
{
    if (record->stream == NULL)
        return logline_words(out, text_one_line, record, 1);
    if (!record->decorate)
        return logline_fill(out, text_printable, record, 1);
    logline_add(out, "[pool %.*s] child %d said into %s: ", LOGLINE_NAME, record->about.pool,
                (int)record->about.pid, record->stream);
    if (record->empty_lines > 0) {
        logline_add(out, "%zu empty lines", record->empty_lines);
        return record->length;
    }
    logline_add(out, "%s\"", record->begins ? "" : "... ");
    size_t taken = logline_fill(out, text_printable, record, LOGLINE_TEXT_TAIL);
    logline_add(out, "\"%s", record->ends && taken == record->length ? "" : " ...");
    return taken;
}

/* ---- JSON ---- */

static void logline_json_about(struct logline_out *out, const struct log_about *about)
{
    char name[LOGLINE_NAME * 3];
    if (about->pool != NULL) {
        text_json_part(name, sizeof name, about->pool, strlen(about->pool));
        logline_add(out, ",\"pool\":\"%s\"", name);
    }
    if (about->pid != 0)
        logline_add(out, ",\"pid\":%d,\"slot\":%u", (int)about->pid, about->slot);
}

static size_t logline_json_output(struct logline_out *out, const struct log_record *record)
{
    logline_add(out, ",\"stream\":\"%s\",\"message\":\"worker output\"", record->stream);
    if (record->empty_lines > 0) {
        logline_add(out, ",\"text\":\"\",\"empty_lines\":%zu}", record->empty_lines);
        return record->length;
    }
    logline_add(out, ",\"text\":\"");
    size_t taken = logline_fill(out, text_json_part, record, LOGLINE_JSON_TAIL);
    bool ends = record->ends && taken == record->length;
    logline_add(out, "\"");
    if (!record->begins || !ends)
        logline_add(out, ",\"part\":\"%s\"", record->begins ? "first" : ends ? "last" : "middle");
    logline_add(out, "}");
    return taken;
}

static size_t logline_json(struct logline_out *out, const struct timespec *now,
                           const struct log_record *record)
{
    logline_add(out, "{\"time\":\"");
    logline_json_time(out, now);
    logline_add(out, "\",\"level\":\"%s\"", logline_levels[record->level].json);
    logline_json_about(out, &record->about);
    if (record->stream != NULL)
        return logline_json_output(out, record);
    logline_add(out, ",\"message\":\"");
    size_t taken = logline_words(out, text_json_part, record, LOGLINE_JSON_TAIL);
    logline_add(out, "\"}");
    return taken;
}

bool logline_ident_fits(const char *ident)
{
    size_t length = strlen(ident);
    for (size_t i = 0; i < length; i++)
        if (ident[i] <= ' ' || ident[i] > '~')
            return false;
    return length > 0 && length <= LOGLINE_IDENT_MAX;
}

size_t logline_compose(const struct logline_style *style, const struct timespec *now,
                       const struct log_record *record, char *out, size_t size, size_t *taken)
{
    struct logline_out line = {.line = out, .size = size - 1};
    logline_frame(&line, style, now, record);
    *taken = style->json ? logline_json(&line, now, record) : logline_text(&line, record);
    if (style->frame != LOGLINE_SYSLOG)
        out[line.used++] = '\n';
    return line.used;
}
