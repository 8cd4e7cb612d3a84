/* upgrade_probe.c: see upgrade_probe.h. */
#include "fpm/upgrade/upgrade_probe.h"

#include "fpm/util/error.h"
#include "fpm/worker/exit_message.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum {
    UPGRADE_PROBE_OUTPUT_MAX = 4095
};

bool upgrade_probe_runs(const struct upgrade_probe *probe)
{
    return probe->helper.child.pid != 0;
}

/* The version, if the last line says that the program can continue; else NULL. Cuts the text. */
static const char *upgrade_probe_version(char *text)
{
    const size_t before = strlen(UPGRADE_PROBE_YES_BEFORE), after = strlen(UPGRADE_PROBE_YES_AFTER);
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    char *line = strrchr(text, '\n') != NULL ? strrchr(text, '\n') + 1 : text;
    length = strlen(line);
    if (length <= before + after || strncmp(line, UPGRADE_PROBE_YES_BEFORE, before) != 0 ||
        strcmp(line + length - after, UPGRADE_PROBE_YES_AFTER) != 0)
        return NULL;
    line[length - after] = '\0';
    return line + before;
}

static void upgrade_probe_done(struct helper_process *helper, int status)
{
    struct upgrade_probe *probe = helper->owner;
    if (helper->timed_out)
        return; /* upgrade_probe_reaped reports it, when nothing is left of the program */
    char why[ERROR_SIZE], output[ERROR_SIZE - 512];
    char cause[EXIT_MESSAGE_STATUS_MAX];
    size_t length = helper->length;
    while (length > 0 && helper->output[length - 1] == '\n')
        length--;
    escape_text(output, sizeof output, ESCAPE_LOG_AGAIN, helper->output, length);
    exit_message_status(status, cause, sizeof cause);
    if (status == 0)
        snprintf(why, sizeof why, "%s does not say that it can take over: is it overtime?%s%s",
                 probe->program, length > 0 ? " It says: " : "", output);
    else
        snprintf(why, sizeof why, "%s cannot take over: it %s%s%s", probe->program, cause,
                 length > 0 ? ": " : "", output);
    const char *version = status == 0 ? upgrade_probe_version(helper->output) : NULL;
    probe->ended(probe, version, version != NULL ? NULL : why);
}

static void upgrade_probe_reaped(struct helper_process *helper)
{
    struct upgrade_probe *probe = helper->owner;
    char why[ERROR_SIZE];
    if (!helper->timed_out)
        return;
    snprintf(why, sizeof why, "%s did not say within %d s whether it can take over", probe->program,
             UPGRADE_PROBE_LIMIT_MS / 1000);
    probe->ended(probe, NULL, why);
}

void upgrade_probe_init(struct upgrade_probe *probe, struct ev_loop *loop,
                        void (*ended)(struct upgrade_probe *probe, const char *version,
                                      const char *why),
                        void *owner)
{
    *probe = (struct upgrade_probe){.ended = ended, .owner = owner};
    helper_process_init(&probe->helper, loop, upgrade_probe_done, upgrade_probe_reaped, probe);
}

int upgrade_probe_start(struct upgrade_probe *probe, const char *program, char *const *argv,
                        int state_fd, char *error, size_t size)
{
    const struct helper_process_arguments arguments = {
        .program = program,
        .argv = argv,
        .successor = true,
        .keep_fd = state_fd,
        .output_max = UPGRADE_PROBE_OUTPUT_MAX,
        .limit_ms = UPGRADE_PROBE_LIMIT_MS,
    };
    probe->program = program;
    if (helper_process_start(&probe->helper, &arguments) == 0)
        return 0;
    snprintf(error, size, "cannot try %s: %s", program, strerror(errno));
    return -1;
}

void upgrade_probe_stop(struct upgrade_probe *probe)
{
    helper_process_stop(&probe->helper);
}
