/* log_line.c: see log_line.h. */
#include "fpm/log/log_line.h"

#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum {
    LOG_LINE_NAME = 64,      /* a pool's name, and more than it may have */
    LOG_LINE_JSON_TAIL = 20, /* longest end of an object: ","part":"middle"} */
    LOG_LINE_TEXT_TAIL = 6,  /* " ... */
};

/* Names of the levels: in text, in JSON as in `log_level`, and for syslog. */
static const struct {
    const char *text, *json;
    int priority;
} log_line_levels[] = {
    [LOG_LEVEL_DEBUG] = {"DEBUG", "debug", LOG_DEBUG},
    [LOG_LEVEL_NOTICE] = {"NOTICE", "notice", LOG_NOTICE},
    [LOG_LEVEL_WARNING] = {"WARNING", "warning", LOG_WARNING},
    [LOG_LEVEL_ERROR] = {"ERROR", "error", LOG_ERR},
    [LOG_LEVEL_ALERT] = {"ALERT", "alert", LOG_ALERT},
};

/* The line so far; used <= size. */
struct log_line_out {
    char *line;
    size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void log_line_add(struct log_line_out *out,
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

/* Adds as much of the text as leaves `reserve` bytes (>= 1); returns how much was taken. */
static size_t log_line_fill(struct log_line_out *out, enum escape_target target,
                            const struct log_record *record, size_t reserve)
{
    size_t space = out->size - out->used - reserve;
    char *start = out->line + out->used;
    size_t taken = escape_text(start, space + 1, target, record->text, record->length);
    out->used += strlen(start);
    return taken;
}

/* ---- prefix ---- */

/* Writes what stands before the text or the object. */
static void log_line_frame(struct log_line_out *out, const struct log_line_style *style,
                           const struct timespec *now, const struct tm *local,
                           const struct log_record *record)
{
    int priority = log_line_levels[record->level].priority;
    char day[32] = "";
    if (style->frame == LOG_LINE_JOURNAL) {
        log_line_add(out, "<%d>", priority);
    } else if (style->frame == LOG_LINE_SYSLOG) {
        (void)strftime(day, sizeof day, "%b %e %H:%M:%S", local);
        log_line_add(out, "<%d>%s %.*s[%d]: ", style->facility | priority, day, LOG_LINE_IDENT_MAX,
                     style->ident, (int)style->self);
    } else if (!style->json && (record->stream == NULL || record->decorate)) {
        (void)strftime(day, sizeof day, "%d-%b-%Y %H:%M:%S", local);
        log_line_add(out, "[%s.%03ld] %s: ", day, (long)(now->tv_nsec / CLOCK_NS_PER_MS),
                     log_line_levels[record->level].text);
    }
}

/* A message of the manager; only a faulty one is too long for a line. */
static size_t log_line_words(struct log_line_out *out, enum escape_target target,
                             const struct log_record *record, size_t reserve)
{
    size_t taken = log_line_fill(out, target, record, reserve + 3);
    if (taken < record->length)
        log_line_add(out, "...");
    return record->length;
}

/* ---- text ---- */

static size_t log_line_text(struct log_line_out *out, const struct log_record *record)
{
    if (record->stream == NULL)
        return log_line_words(out, ESCAPE_LOG_AGAIN, record, 1);
    if (!record->decorate)
        return log_line_fill(out, ESCAPE_LOG_AGAIN, record, 1); /* with backslashes as they are */
    log_line_add(out, "[pool %.*s] child %d said into %s: ", LOG_LINE_NAME, record->about.pool,
                 (int)record->about.pid, record->stream);
    if (record->empty_lines > 0) {
        log_line_add(out, "%zu empty lines", record->empty_lines);
        return record->length;
    }
    log_line_add(out, "%s\"", record->begins ? "" : "... ");
    size_t taken = log_line_fill(out, ESCAPE_LOG, record, LOG_LINE_TEXT_TAIL);
    log_line_add(out, "\"%s", record->ends && taken == record->length ? "" : " ...");
    return taken;
}

/* ---- JSON ---- */

static size_t log_line_json(struct log_line_out *out, const struct timespec *now,
                            const struct tm *local, const struct log_record *record)
{
    const struct log_about *about = &record->about;
    char name[LOG_LINE_NAME * 3], day[32] = "";
    long minutes = local->tm_gmtoff / 60;
    size_t taken;
    /* The time as in RFC 3339. */
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", local);
    log_line_add(out, "{\"time\":\"%s.%03ld%c%02ld:%02ld\",\"level\":\"%s\"", day,
                 (long)(now->tv_nsec / CLOCK_NS_PER_MS), minutes < 0 ? '-' : '+',
                 labs(minutes) / 60, labs(minutes) % 60, log_line_levels[record->level].json);
    if (about->pool != NULL) {
        escape_text(name, sizeof name, ESCAPE_JSON, about->pool, strlen(about->pool));
        log_line_add(out, ",\"pool\":\"%s\"", name);
    }
    if (about->pid != 0)
        log_line_add(out, ",\"pid\":%d,\"slot\":%u", (int)about->pid, about->slot);
    if (record->stream == NULL) {
        log_line_add(out, ",\"message\":\"");
        taken = log_line_words(out, ESCAPE_JSON, record, LOG_LINE_JSON_TAIL);
        log_line_add(out, "\"}");
        return taken;
    }

    log_line_add(out, ",\"stream\":\"%s\",\"message\":\"worker output\"", record->stream);
    if (record->empty_lines > 0) {
        log_line_add(out, ",\"text\":\"\",\"empty_lines\":%zu}", record->empty_lines);
        return record->length;
    }
    log_line_add(out, ",\"text\":\"");
    taken = log_line_fill(out, ESCAPE_JSON, record, LOG_LINE_JSON_TAIL);
    bool ends = record->ends && taken == record->length;
    log_line_add(out, "\"");
    if (!record->begins || !ends)
        log_line_add(out, ",\"part\":\"%s\"", record->begins ? "first" : ends ? "last" : "middle");
    log_line_add(out, "}");
    return taken;
}

bool log_line_ident_fits(const char *ident)
{
    size_t length = strlen(ident);
    for (size_t i = 0; i < length; i++)
        if (ident[i] <= ' ' || ident[i] > '~')
            return false;
    return length > 0 && length <= LOG_LINE_IDENT_MAX;
}

size_t log_line_compose(const struct log_line_style *style, const struct timespec *now,
                        const struct log_record *record, char *out, size_t size, size_t *taken)
{
    struct log_line_out line = {.line = out, .size = size - 1};
    struct tm local = {.tm_mday = 1};
    (void)localtime_r(&now->tv_sec, &local);
    log_line_frame(&line, style, now, &local, record);
    *taken = style->json ? log_line_json(&line, now, &local, record) : log_line_text(&line, record);
    if (style->frame != LOG_LINE_SYSLOG)
        out[line.used++] = '\n';
    return line.used;
}
