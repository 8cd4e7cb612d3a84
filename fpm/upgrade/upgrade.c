/* upgrade.c: see upgrade.h. */
#include "fpm/upgrade/upgrade.h"

#include "fpm/access_log/access_log.h"
#include "fpm/config/config.h"
#include "fpm/log/log.h"
#include "fpm/pool/socket_activation.h"
#include "fpm/slow_log/trace_runner.h"
#include "fpm/util/error.h"
#include "fpm/util/systemd_notify.h"
#include "fpm/util/version.h"
#include "fpm/worker/exit_message.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    UPGRADE_LIMIT_MS = 5000, /* how long the new program may take to answer */
    UPGRADE_OUTPUT_MAX = 4095
};

/* ---- the state ---- */

/* A limit is kept whatever its value: it may be of an unsigned type. */
static void upgrade_limit(struct saved_state *state, const char *name, rlim_t *value)
{
    *value = (rlim_t)saved_state_number(state, name, (int64_t)*value, INT64_MIN, INT64_MAX);
}

static void upgrade_manager(struct saved_state *state, struct upgrade_manager *manager)
{
    /* A child that inherits the variable by accident has another process number. */
    bool restore = state->mode == SAVED_STATE_RESTORE;
    (void)saved_state_number(state, "process", getpid(), restore ? getpid() : 1,
                             restore ? getpid() : INT32_MAX);
    saved_state_text(state, "version", &manager->version);
    manager->background = saved_state_flag(state, "background", manager->background);
    saved_state_text(state, "pid_path", &manager->pid_path);
    manager->pid_fd = saved_state_fd(state, "pid_file", manager->pid_fd);
    upgrade_limit(state, "files_soft", &manager->files.rlim_cur);
    upgrade_limit(state, "files_hard", &manager->files.rlim_max);
    manager->state = (unsigned)saved_state_number(state, "state", manager->state, 0, INT32_MAX);
    saved_state_int64(state, "started", &manager->started);
    saved_state_unsigned(state, "reloads", &manager->reloads);
    manager->listening = saved_state_flag(state, "listening", manager->listening);
    saved_state_unsigned(state, "asking", &manager->ticket);
    manager->wait = saved_state_flag(state, "wait", manager->wait);
    manager->waiting_count = (unsigned)saved_state_number(state, "waiting", manager->waiting_count,
                                                          0, CONTROL_SERVER_CLIENTS_MAX);
    for (unsigned i = 0; i < manager->waiting_count; i++)
        saved_state_unsigned(state, "ticket", &manager->waiting[i]);
}

/* Returns 0, or -1 with a sentence and nothing to close. */
static int upgrade_save(struct upgrade *upgrade, struct saved_state *state, char *error,
                        size_t size)
{
    static char version[] = OVERTIME_VERSION;
    struct upgrade_manager manager = {.version = version, .pid_fd = -1};
    struct upgrade_state_configs configs;
    if (upgrade->events->save(upgrade->owner, &manager, error, size) != 0)
        return -1;
    if (upgrade_state_collect(&configs, upgrade->pools) != 0) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    (void)saved_state_begin(state);
    upgrade_manager(state, &manager);
    upgrade_state_texts(&configs, state, 0);
    access_log_saved_state(state, NULL);
    socket_activation_saved_state(state);
    upgrade_state_pools(&configs, state, upgrade->pools);
    if (manager.listening)
        control_server_hand_over(upgrade->control, state);
    int result = saved_state_end(state);
    upgrade_state_free(&configs);
    if (result == 0)
        return 0;
    snprintf(error, size, "%s", state->error);
    saved_state_close(state);
    return -1;
}

/* ---- the old program ---- */

/* Returns only if it failed, with errno. */
static void upgrade_exec(const struct upgrade *upgrade, const struct saved_state *state)
{
    char number[16];
    snprintf(number, sizeof number, "%d", state->fd);
    if (setenv(UPGRADE_ENV, number, 1) != 0)
        return;
    (void)fflush(NULL);
    saved_state_keep(state, true);
    (void)execv(upgrade->program.path, upgrade->program.argv);
    int saved = errno;
    saved_state_keep(state, false);
    (void)unsetenv(UPGRADE_ENV);
    errno = saved;
}

/* Runs last in an iteration of the loop: signals that arrived before they were blocked have had
 * their effect. */
static void upgrade_on_exec(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct upgrade *upgrade = timer->data;
    struct saved_state state;
    char why[ERROR_SIZE];
    sigset_t none;
    trace_runner_finish(); /* the new program would not know its helpers */
    if (upgrade_save(upgrade, &state, why, sizeof why) == 0) {
        (void)systemd_notify_reloading();
        pool_set_hand_over(upgrade->pools);
        upgrade_exec(upgrade, &state);
        snprintf(why, sizeof why, "cannot execute %s: %s", upgrade->program.path, strerror(errno));
        pool_set_start(upgrade->pools);
        (void)systemd_notify_ready();
        saved_state_close(&state);
    }
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    upgrade->events->failed(upgrade->owner, why);
}

/* The new program was asked: `version` of one that can continue, or NULL and `why` not. */
static void upgrade_asked(struct upgrade *upgrade, const char *version, const char *why)
{
    sigset_t all;
    saved_state_close(&upgrade->state);
    if (version == NULL) {
        upgrade->events->failed(upgrade->owner, why);
        return;
    }
    log_notice("upgrade: version %s takes the place of %s, %u workers stay", version,
               OVERTIME_VERSION, pool_set_live(upgrade->pools));
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    ev_timer_set(&upgrade->exec, 0., 0.);
    ev_timer_start(upgrade->loop, &upgrade->exec);
}

/* The version, if the last line says that the program can continue; else NULL. Cuts the text. */
static const char *upgrade_version_in(char *text)
{
    const size_t before = strlen(UPGRADE_YES_BEFORE), after = strlen(UPGRADE_YES_AFTER);
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    char *line = strrchr(text, '\n') != NULL ? strrchr(text, '\n') + 1 : text;
    length = strlen(line);
    if (length <= before + after || strncmp(line, UPGRADE_YES_BEFORE, before) != 0 ||
        strcmp(line + length - after, UPGRADE_YES_AFTER) != 0)
        return NULL;
    line[length - after] = '\0';
    return line + before;
}

static void upgrade_on_answer(struct helper_process *probe, int status)
{
    struct upgrade *upgrade = probe->owner;
    char why[ERROR_SIZE], output[ERROR_SIZE - 512], cause[EXIT_MESSAGE_STATUS_MAX];
    size_t length = probe->length;
    if (probe->timed_out)
        return; /* upgrade_on_reaped reports it, when nothing is left of the program */
    while (length > 0 && probe->output[length - 1] == '\n')
        length--;
    escape_text(output, sizeof output, ESCAPE_LOG_AGAIN, probe->output, length);
    exit_message_status(status, cause, sizeof cause);
    if (status == 0)
        snprintf(why, sizeof why, "%s does not say that it can take over: is it overtime?%s%s",
                 upgrade->program.path, length > 0 ? " It says: " : "", output);
    else
        snprintf(why, sizeof why, "%s cannot take over: it %s%s%s", upgrade->program.path, cause,
                 length > 0 ? ": " : "", output);
    upgrade_asked(upgrade, status == 0 ? upgrade_version_in(probe->output) : NULL, why);
}

static void upgrade_on_reaped(struct helper_process *probe)
{
    struct upgrade *upgrade = probe->owner;
    char why[ERROR_SIZE];
    if (!probe->timed_out)
        return;
    snprintf(why, sizeof why, "%s did not say within %d s whether it can take over",
             upgrade->program.path, UPGRADE_LIMIT_MS / 1000);
    upgrade_asked(upgrade, NULL, why);
}

void upgrade_init(struct upgrade *upgrade, struct ev_loop *loop,
                  const struct upgrade_program *program, struct pool_set *pools,
                  struct control_server *control, const struct upgrade_events *events, void *owner)
{
    *upgrade = (struct upgrade){
        .loop = loop,
        .program = *program,
        .pools = pools,
        .control = control,
        .events = events,
        .owner = owner,
        .state = {.fd = -1},
    };
    helper_process_init(&upgrade->probe, loop, upgrade_on_answer, upgrade_on_reaped, upgrade);
    ev_timer_init(&upgrade->exec, upgrade_on_exec, 0., 0.);
    ev_set_priority(&upgrade->exec, EV_MINPRI);
    upgrade->exec.data = upgrade;
}

int upgrade_begin(struct upgrade *upgrade, unsigned flags, char *error, size_t size)
{
    char number[16], option[] = "--" UPGRADE_OPTION, name[] = "overtime", file[] = "-c",
                     root[] = "-R";
    if (upgrade->probe.child.pid != 0 || ev_is_active(&upgrade->exec)) {
        snprintf(error, size, "an upgrade is on its way already");
        return -1;
    }
    if (access(upgrade->program.path, X_OK) != 0) {
        snprintf(error, size, "%s cannot be run: %s", upgrade->program.path, strerror(errno));
        return -1;
    }
    if (upgrade_save(upgrade, &upgrade->state, error, size) != 0)
        return -1;
    snprintf(number, sizeof number, "%d", upgrade->state.fd);
    char *argv[] = {name,
                    option,
                    number,
                    file,
                    upgrade->pools->config->file,
                    (flags & CONFIG_ALLOW_ROOT) != 0 ? root : NULL,
                    NULL};
    const struct helper_process_arguments arguments = {
        .program = upgrade->program.path,
        .argv = argv,
        .successor = true,
        .keep_fd = upgrade->state.fd,
        .output_max = UPGRADE_OUTPUT_MAX,
        .limit_ms = UPGRADE_LIMIT_MS,
    };
    if (helper_process_start(&upgrade->probe, &arguments) == 0)
        return 0;
    snprintf(error, size, "cannot try %s: %s", upgrade->program.path, strerror(errno));
    saved_state_close(&upgrade->state);
    return -1;
}

void upgrade_stop(struct upgrade *upgrade)
{
    if (upgrade->loop == NULL)
        return;
    helper_process_stop(&upgrade->probe);
    ev_timer_stop(upgrade->loop, &upgrade->exec);
    saved_state_close(&upgrade->state);
}

/* ---- the new program ---- */

int upgrade_given(void)
{
    const char *text = getenv(UPGRADE_ENV);
    char *end = NULL;
    long number = text != NULL ? strtol(text, &end, 10) : -1;
    bool good = text != NULL && *text != '\0' && *end == '\0' && number > STDERR_FILENO &&
                number <= INT32_MAX;
    (void)unsetenv(UPGRADE_ENV);
    return good ? (int)number : -1;
}

static int upgrade_result(const struct saved_state *state, char *error, size_t size)
{
    if (saved_state_good(state))
        return 0;
    snprintf(error, size, "%s", state->error);
    return -1;
}

int upgrade_read(struct upgrade_saved *saved, int fd, enum saved_state_mode mode, unsigned flags,
                 char *error, size_t size)
{
    *saved = (struct upgrade_saved){.manager = {.pid_fd = -1}};
    (void)saved_state_open(&saved->state, fd, mode);
    upgrade_manager(&saved->state, &saved->manager);
    upgrade_state_texts(&saved->configs, &saved->state, flags);
    return upgrade_result(&saved->state, error, size);
}

int upgrade_restore(struct upgrade_saved *saved, struct ev_loop *loop, struct pool_set *pools,
                    struct control_server *control, const struct socket_spec *spec,
                    const struct control_server_command *commands, void *context, char *error,
                    size_t size)
{
    struct saved_state *state = &saved->state;
    access_log_saved_state(state, loop);
    socket_activation_saved_state(state);
    upgrade_state_pools(&saved->configs, state, pools);
    if (saved->manager.listening && saved_state_good(state))
        control_server_adopt(control, loop, spec, state, commands, context);
    (void)saved_state_end(state);
    int result = upgrade_result(state, error, size);
    saved_state_close(state);
    return result;
}

void upgrade_free(struct upgrade_saved *saved)
{
    saved_state_close(&saved->state);
    upgrade_state_free(&saved->configs);
    free(saved->manager.version);
    free(saved->manager.pid_path);
    saved->manager.version = saved->manager.pid_path = NULL;
}

int upgrade_try(int fd, unsigned flags, char *error, size_t size)
{
    static const struct socket_spec nowhere = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    struct upgrade_saved saved;
    int result = upgrade_read(&saved, fd, SAVED_STATE_CHECK, flags, error, size);
    if (result == 0)
        result = upgrade_restore(&saved, NULL, NULL, NULL, &nowhere, NULL, NULL, error, size);
    upgrade_free(&saved);
    return result;
}
