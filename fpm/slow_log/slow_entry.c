/* slow_entry.c: see slow_entry.h. */
#include "fpm/slow_log/slow_entry.h"

#include "sapi-shim/scoreboard/slot_view.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/scalar.h"

#include <inttypes.h>
#include <string.h>

/* The time since a stamp: "1.5 s". A faulty worker may write a stamp from the future: its age is 0.
 */
static const char *slow_entry_age(char *out, size_t size, uint64_t stamp, int64_t now)
{
    int64_t age = stamp > (uint64_t)now ? 0 : now - (int64_t)stamp;
    scalar_duration(age / CLOCK_NS_PER_MS, out, size);
    return out;
}

/* Writes the head of the entry: the time, the worker, the limit, and the request. */
static void slow_entry_head(FILE *out, const struct slow_entry *entry)
{
    const struct ot_record *record = &entry->record;
    bool post = entry->why == DEADLINE_POST_RESPONSE;
    char method[OT_METHOD_MAX * 4], uri[OT_URI_MAX * 4], label[OT_LABEL_MAX * 4];
    struct tm local = {.tm_mday = 1};
    char day[32] = "", age[32], limit[32];
    (void)localtime_r(&entry->wall.tv_sec, &local);
    (void)strftime(day, sizeof day, "%d-%b-%Y %H:%M:%S", &local);
    scalar_duration(entry->limit, limit, sizeof limit);
    fprintf(out, "[%s.%03ld] [pool %s] worker %d (slot %u)", day,
            (long)(entry->wall.tv_nsec / CLOCK_NS_PER_MS), entry->pool, (int)entry->pid,
            entry->slot);
    if (record->tid != 0 && record->tid != (uint32_t)entry->pid)
        fprintf(out, ", thread %" PRIu32, record->tid);
    fprintf(out, ": %s for %s, %s = %s\n", slot_view_state_name(record->state),
            slow_entry_age(age, sizeof age, post ? record->finished_at : record->running_at,
                           entry->now),
            post ? "post_response.slowlog_timeout" : "request_slowlog_timeout", limit);

    escape_show(method, sizeof method, record->method);
    escape_show(uri, sizeof uri, record->uri);
    escape_show(label, sizeof label, record->label);
    fprintf(out, "  request  %s %s\n", *method != '\0' ? method : "?", *uri != '\0' ? uri : "?");
    if (*label != '\0')
        fprintf(out, "  label    %s\n", label);
    fprintf(out, "  age      %s since it was accepted",
            slow_entry_age(age, sizeof age, record->accepted_at, entry->now));
    if (record->finished_at != 0)
        fprintf(out, ", %s since its response",
                slow_entry_age(age, sizeof age, record->finished_at, entry->now));
    if (record->shutdown_at != 0)
        fprintf(out, ", %s in shutdown functions",
                slow_entry_age(age, sizeof age, record->shutdown_at, entry->now));
    fprintf(out, ", the thread's request number %" PRIu64 "\n", record->requests);
}

void slow_entry_write(FILE *out, const struct slow_entry *entry,
                      const struct slow_entry_stack *stack)
{
    char line[4096];
    const char *text = stack->text;
    slow_entry_head(out, entry);
    if (stack->note != NULL)
        fprintf(out, "  note     %s\n", stack->note);
    fputs("  stack    ", out);
    if (stack->missing != NULL) {
        (void)escape_text(line, sizeof line, ESCAPE_LOG_AGAIN, stack->missing,
                          strlen(stack->missing));
        fprintf(out, "none: %s\n", line);
    }

    /* The first line follows the word "stack". Empty lines are left out, because an empty line
     * ends the entry. */
    for (size_t left = stack->length; left > 0;) {
        const char *newline = memchr(text, '\n', left);
        size_t size = newline != NULL ? (size_t)(newline - text) : left;
        (void)escape_text(line, sizeof line, ESCAPE_LOG_AGAIN, text, size);
        if (*line != '\0')
            fprintf(out, "%s\n", line);
        size += newline != NULL;
        text += size;
        left -= size;
    }
    if (stack->missing == NULL && stack->length == 0)
        fputs("the program wrote nothing\n", out);
    fputc('\n', out);
}
