/* log.c: see sim.h: in place of the manager's log. */
#include "fpm/log/log.h"
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t sim_exit_messages;

void log_write(enum log_level level, const struct log_about *about, enum log_subject subject,
               const char *format, ...)
{
    char text[1024];
    if (!sim_recording)
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (text[0] == '\0' || strstr(text, "(null)") != NULL)
        sim_fail("log", "a message is broken: \"%s\"", text);
    bool named = subject != LOG_NOTHING && about != NULL;
    sim_note("log %d: %s%s%s", (int)level, named ? about->pool : "", named ? ": " : "", text);
}

void log_output(const struct log_record *record)
{
    (void)record;
}

size_t log_output_limit(void)
{
    return 1024;
}

bool log_episode_begin(struct log_episode *episode)
{
    bool was = episode->on;
    episode->on = true;
    return !was;
}

bool log_episode_end(struct log_episode *episode)
{
    bool was = episode->on;
    episode->on = false;
    return was;
}
