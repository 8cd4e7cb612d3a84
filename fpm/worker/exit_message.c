/* exit_message.c: see exit_message.h. */
#include "fpm/worker/exit_message.h"

#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/scalar.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void exit_message_doing(const struct slot_view *view, int64_t now, char *text, size_t size)
{
    const struct ot_record *lead = &view->lead;
    if (!view->attached) {
        snprintf(text, size, "in unknown state (no library attached)");
        return;
    }
    if (!slot_view_state_busy(lead->state)) {
        snprintf(text, size, "while %s", slot_view_state_name(lead->state));
        return;
    }
    char method[OT_METHOD_MAX * 4], uri[OT_URI_MAX * 4], label[OT_LABEL_MAX * 4], age[32];
    escape_show(method, sizeof method, lead->method);
    escape_show(uri, sizeof uri, lead->uri);
    escape_show(label, sizeof label, lead->label);
    scalar_duration(clock_ms_since(lead->accepted_at, now), age, sizeof age);
    const char *what = lead->state == OT_STATE_POST       ? "in post-response work of"
                       : lead->state == OT_STATE_SHUTDOWN ? "in shutdown functions of"
                                                          : slot_view_state_name(lead->state);
    int used = snprintf(text, size, "while %s %s %s, %s old", what, *method ? method : "?",
                        *uri ? uri : "?", age);
    if (*label != '\0' && used > 0 && (size_t)used < size)
        used += snprintf(text + used, size - (size_t)used, ", \"%s\"", label);
    if (view->busy > 1 && used > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, " (and %u more)", view->busy - 1);
}

void exit_message_status(int status, char *text, size_t size)
{
    if (status == -1) {
        snprintf(text, size, "ended with unknown status");
    } else if (!WIFSIGNALED(status)) {
        snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
    } else {
        const char *name = sigabbrev_np(WTERMSIG(status));
        char number[16];
        snprintf(number, sizeof number, "%d", WTERMSIG(status));
        snprintf(text, size, "died of %s%s%s", name != NULL ? "SIG" : "signal ",
                 name != NULL ? name : number, WCOREDUMP(status) ? " (core dumped)" : "");
    }
}

/* Where to look when a program, or a shell or the loader in its place, could not run at all. */
static const char *exit_message_advice(const struct exit_message *message)
{
    int status = message->status;
    if (message->view->attached || message->stop_requested || status == -1 || !WIFEXITED(status))
        return "";
    return WEXITSTATUS(status) == 127
               ? ": mostly means that a program or a shared library was not found; look at "
                 "`command`, and at PATH and LD_LIBRARY_PATH among its `env`"
           : WEXITSTATUS(status) == 126
               ? ": mostly means that a program was found but may not be executed; look at its "
                 "mode, its #! line, and its file system (noexec)"
               : "";
}

/* Adds what a worker said last, if that was early in its life. */
static void exit_message_add_last_error(const struct exit_message *message, char *text, size_t size)
{
    const struct slot_view *view = message->view;
    const char *last = message->last_error;
    char shown[EXIT_MESSAGE_LAST_ERROR];
    size_t used = strlen(text);
    if (last == NULL || *last == '\0' || message->stop_requested ||
        (view->attached && view->counts.requests > 1))
        return;
    escape_show(shown, sizeof shown, last);
    snprintf(text + used, size - used, "; last line on its standard error: \"%s\"", shown);
}

enum log_level exit_message_compose(const struct exit_message *message, int64_t now, char *text,
                                    size_t size)
{
    const struct slot_view *view = message->view;
    char status[EXIT_MESSAGE_STATUS_MAX], uptime[32], doing[EXIT_MESSAGE_MAX];
    char served[48] = "an unknown number of requests";
    exit_message_status(message->status, status, sizeof status);
    scalar_duration(message->uptime, uptime, sizeof uptime);
    exit_message_doing(view, now, doing, sizeof doing);
    if (view->attached)
        snprintf(served, sizeof served, "%" PRIu64 " request%s", view->counts.requests,
                 view->counts.requests == 1 ? "" : "s");
    snprintf(text, size, "pool %s: worker %d (slot %u) %s %s, after %s and %s%s%s%s", message->pool,
             (int)message->pid, message->slot, status, doing, uptime, served,
             message->reason != NULL ? ": " : "", message->reason != NULL ? message->reason : "",
             exit_message_advice(message));
    exit_message_add_last_error(message, text, size);

    bool clean = message->status == 0;
    if (view->busy > 0)
        return LOG_LEVEL_WARNING;
    if (message->stop_requested || (message->expected && clean))
        return LOG_LEVEL_DEBUG;
    return clean ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING;
}
