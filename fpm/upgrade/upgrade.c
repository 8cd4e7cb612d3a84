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

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the paper ---- */

/* No number is lost on the way, whatever the type of a limit. */
static void upgrade_limit(struct saved_state *paper, const char *name, rlim_t *value)
{
    *value = (rlim_t)saved_state_number(paper, name, (int64_t)*value, INT64_MIN, INT64_MAX);
}

static void upgrade_facts(struct saved_state *paper, struct upgrade_facts *facts)
{
    bool take = paper->mode == SAVED_STATE_TAKE; /* left over for a child, it is not for us */
    (void)saved_state_number(paper, "process", getpid(), take ? getpid() : 1,
                             take ? getpid() : INT32_MAX);
    saved_state_text(paper, "version", &facts->version);
    facts->background = saved_state_flag(paper, "background", facts->background);
    saved_state_text(paper, "pid_path", &facts->pid_path);
    facts->pid_fd = saved_state_fd(paper, "pid_file", facts->pid_fd);
    upgrade_limit(paper, "files_soft", &facts->files.rlim_cur);
    upgrade_limit(paper, "files_hard", &facts->files.rlim_max);
    facts->state = (unsigned)saved_state_number(paper, "state", facts->state, 0, INT32_MAX);
    facts->started = saved_state_number(paper, "started", facts->started, 0, INT64_MAX);
    facts->reloads = (unsigned)saved_state_number(paper, "reloads", facts->reloads, 0, UINT32_MAX);
    facts->listening = saved_state_flag(paper, "listening", facts->listening);
    facts->asking = (unsigned)saved_state_number(paper, "asking", facts->asking, 0, UINT32_MAX);
    facts->wait = saved_state_flag(paper, "wait", facts->wait);
    facts->waiting_count = (unsigned)saved_state_number(paper, "waiting", facts->waiting_count, 0,
                                                        CONTROL_SERVER_CLIENTS_MAX);
    for (unsigned i = 0; i < facts->waiting_count; i++)
        facts->waiting[i] =
            (unsigned)saved_state_number(paper, "ticket", facts->waiting[i], 0, UINT32_MAX);
}

/* Returns 0, or -1 with a sentence and nothing to close. */
static int upgrade_write(struct upgrade *upgrade, struct saved_state *paper, char *error,
                         size_t size)
{
    static char version[] = OVERTIME_VERSION;
    struct upgrade_facts facts = {.version = version, .pid_fd = -1};
    struct upgrade_state upgrade_state;
    if (upgrade->events->leave(upgrade->owner, &facts, error, size) != 0)
        return -1;
    if (upgrade_state_gather(&upgrade_state, upgrade->pools) != 0) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    (void)saved_state_begin(paper);
    upgrade_facts(paper, &facts);
    upgrade_state_confs(&upgrade_state, paper, 0);
    access_log_hand_over(paper, NULL);
    socket_activation_hand_over(paper);
    upgrade_state_pools(&upgrade_state, paper, upgrade->pools);
    if (facts.listening)
        control_server_hand_over(upgrade->control, paper);
    int result = saved_state_end(paper);
    upgrade_state_free(&upgrade_state);
    if (result == 0)
        return 0;
    snprintf(error, size, "%s", paper->error);
    saved_state_close(paper);
    return -1;
}

/* ---- the program that goes ---- */

static void upgrade_fail(struct upgrade *upgrade, const char *why)
{
    saved_state_close(&upgrade->paper);
    upgrade->events->failed(upgrade->owner, why);
}

/* Returns only if it failed, with errno. */
static void upgrade_exec(const struct upgrade *upgrade, const struct saved_state *paper)
{
    char number[16];
    snprintf(number, sizeof number, "%d", paper->fd);
    if (setenv(UPGRADE_ENV, number, 1) != 0)
        return;
    (void)fflush(NULL);
    saved_state_keep(paper, true);
    (void)execv(upgrade->program.path, upgrade->program.argv);
    int saved = errno;
    saved_state_keep(paper, false);
    (void)unsetenv(UPGRADE_ENV);
    errno = saved;
}

static void upgrade_unblock(void)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The last of its turn: signals that had arrived before they were blocked have had their effect. */
static void upgrade_on_go(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct upgrade *upgrade = timer->data;
    struct saved_state paper;
    char why[ERROR_SIZE];
    trace_runner_finish(); /* nobody would know its helpers */
    if (upgrade_write(upgrade, &paper, why, sizeof why) == 0) {
        (void)systemd_notify_reloading();
        pool_set_stop_status_workers(upgrade->pools);
        upgrade_exec(upgrade, &paper);
        snprintf(why, sizeof why, "cannot execute %s: %s", upgrade->program.path, strerror(errno));
        pool_set_start(upgrade->pools);
        (void)systemd_notify_ready();
        saved_state_close(&paper);
    }
    upgrade_unblock();
    upgrade_fail(upgrade, why);
}

static void upgrade_on_probe(struct upgrade_probe *probe, const char *version, const char *why)
{
    struct upgrade *upgrade = probe->owner;
    sigset_t all;
    if (version == NULL) {
        upgrade_fail(upgrade, why);
        return;
    }
    saved_state_close(&upgrade->paper);
    log_notice("upgrade: version %s takes the place of %s, %u workers stay", version,
               OVERTIME_VERSION, pool_set_live(upgrade->pools));
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    ev_timer_set(&upgrade->go, 0., 0.);
    ev_timer_start(upgrade->loop, &upgrade->go);
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
        .paper = {.fd = -1},
    };
    upgrade_probe_init(&upgrade->probe, loop, upgrade_on_probe, upgrade);
    ev_timer_init(&upgrade->go, upgrade_on_go, 0., 0.);
    ev_set_priority(&upgrade->go, EV_MINPRI);
    upgrade->go.data = upgrade;
}

int upgrade_begin(struct upgrade *upgrade, unsigned flags, char *error, size_t size)
{
    char number[16], option[] = "--" UPGRADE_OPTION, name[] = "overtime", file[] = "-c",
                     root[] = "-R";
    if (upgrade_probe_runs(&upgrade->probe) || ev_is_active(&upgrade->go)) {
        snprintf(error, size, "an upgrade is on its way already");
        return -1;
    }
    if (access(upgrade->program.path, X_OK) != 0) {
        snprintf(error, size, "%s cannot be run: %s", upgrade->program.path, strerror(errno));
        return -1;
    }
    if (upgrade_write(upgrade, &upgrade->paper, error, size) != 0)
        return -1;
    snprintf(number, sizeof number, "%d", upgrade->paper.fd);
    char *argv[] = {name,
                    option,
                    number,
                    file,
                    upgrade->pools->config->file,
                    (flags & CONFIG_ALLOW_ROOT) != 0 ? root : NULL,
                    NULL};
    if (upgrade_probe_start(&upgrade->probe, upgrade->program.path, argv, upgrade->paper.fd, error,
                            size) == 0)
        return 0;
    saved_state_close(&upgrade->paper);
    return -1;
}

void upgrade_stop(struct upgrade *upgrade)
{
    if (upgrade->loop == NULL)
        return;
    upgrade_probe_stop(&upgrade->probe);
    ev_timer_stop(upgrade->loop, &upgrade->go);
    saved_state_close(&upgrade->paper);
}

/* ---- the program that comes ---- */

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

static int upgrade_said(const struct saved_state *paper, char *error, size_t size)
{
    if (saved_state_good(paper))
        return 0;
    snprintf(error, size, "%s", paper->error);
    return -1;
}

int upgrade_read(struct upgrade_heritage *heritage, int fd, enum saved_state_mode mode,
                 unsigned flags, char *error, size_t size)
{
    struct saved_state *paper = &heritage->paper;
    *heritage = (struct upgrade_heritage){.facts = {.pid_fd = -1}};
    (void)saved_state_open(paper, fd, mode);
    upgrade_facts(paper, &heritage->facts);
    upgrade_state_confs(&heritage->upgrade_state, paper, flags);
    return upgrade_said(paper, error, size);
}

int upgrade_adopt(struct upgrade_heritage *heritage, struct ev_loop *loop, struct pool_set *pools,
                  struct control_server *control, const struct socket_spec *spec,
                  const struct control_server_command *commands, void *context, char *error,
                  size_t size)
{
    struct saved_state *paper = &heritage->paper;
    access_log_hand_over(paper, loop);
    socket_activation_hand_over(paper);
    upgrade_state_pools(&heritage->upgrade_state, paper, pools);
    if (heritage->facts.listening && saved_state_good(paper))
        control_server_adopt(control, loop, spec, paper, commands, context);
    (void)saved_state_end(paper);
    int result = upgrade_said(paper, error, size);
    saved_state_close(paper);
    return result;
}

void upgrade_free(struct upgrade_heritage *heritage)
{
    saved_state_close(&heritage->paper);
    upgrade_state_free(&heritage->upgrade_state);
    free(heritage->facts.version);
    free(heritage->facts.pid_path);
    heritage->facts.version = heritage->facts.pid_path = NULL;
}

int upgrade_try(int fd, unsigned flags, char *error, size_t size)
{
    static const struct socket_spec nowhere = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    struct upgrade_heritage heritage;
    int result = upgrade_read(&heritage, fd, SAVED_STATE_CHECK, flags, error, size);
    if (result == 0)
        result = upgrade_adopt(&heritage, NULL, NULL, NULL, &nowhere, NULL, NULL, error, size);
    upgrade_free(&heritage);
    return result;
}
