/* upgrade.c: see upgrade.h. */
#include "fpm/upgrade.h"

#include "fpm/access.h"
#include "fpm/conf.h"
#include "fpm/inherited.h"
#include "fpm/log.h"
#include "fpm/notify.h"
#include "fpm/trace.h"
#include "fpm/version.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    UPGRADE_SENTENCE = 512
};

/* ---- the paper ---- */

/* No number is lost on the way, whatever the type of a limit. */
static void upgrade_limit(struct handover *paper, const char *name, rlim_t *value)
{
    *value = (rlim_t)handover_number(paper, name, (int64_t)*value, INT64_MIN, INT64_MAX);
}

static void upgrade_facts(struct handover *paper, struct upgrade_facts *facts)
{
    bool take = paper->mode == HANDOVER_TAKE; /* left over for a child, it is not for us */
    (void)handover_number(paper, "process", getpid(), take ? getpid() : 1,
                          take ? getpid() : INT32_MAX);
    handover_text(paper, "version", &facts->version);
    facts->background = handover_flag(paper, "background", facts->background);
    handover_text(paper, "pid_path", &facts->pid_path);
    facts->pid_fd = handover_fd(paper, "pid_file", facts->pid_fd);
    upgrade_limit(paper, "files_soft", &facts->files.rlim_cur);
    upgrade_limit(paper, "files_hard", &facts->files.rlim_max);
    facts->state = (unsigned)handover_number(paper, "state", facts->state, 0, INT32_MAX);
    facts->started = handover_number(paper, "started", facts->started, 0, INT64_MAX);
    facts->reloads = (unsigned)handover_number(paper, "reloads", facts->reloads, 0, UINT32_MAX);
    facts->listening = handover_flag(paper, "listening", facts->listening);
    facts->asking = (unsigned)handover_number(paper, "asking", facts->asking, 0, UINT32_MAX);
    facts->wait = handover_flag(paper, "wait", facts->wait);
    facts->waiting_count =
        (unsigned)handover_number(paper, "waiting", facts->waiting_count, 0, CONTROL_CLIENTS_MAX);
    for (unsigned i = 0; i < facts->waiting_count; i++)
        facts->waiting[i] =
            (unsigned)handover_number(paper, "ticket", facts->waiting[i], 0, UINT32_MAX);
}

/* Returns 0, or -1 with a sentence and nothing to close. */
static int upgrade_write(struct upgrade *upgrade, struct handover *paper, char *error, size_t size)
{
    static char version[] = OVERTIME_VERSION;
    struct upgrade_facts facts = {.version = version, .pid_fd = -1};
    struct succession succession;
    if (upgrade->events->leave(upgrade->owner, &facts, error, size) != 0)
        return -1;
    if (succession_gather(&succession, upgrade->pools) != 0) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    (void)handover_begin(paper);
    upgrade_facts(paper, &facts);
    succession_confs(&succession, paper, 0);
    access_hand_over(paper, NULL);
    inherited_hand_over(paper);
    succession_pools(&succession, paper, upgrade->pools);
    if (facts.listening)
        control_hand_over(upgrade->control, paper);
    int result = handover_end(paper);
    succession_free(&succession);
    if (result == 0)
        return 0;
    snprintf(error, size, "%s", paper->error);
    handover_close(paper);
    return -1;
}

/* ---- the program that goes ---- */

static void upgrade_fail(struct upgrade *upgrade, const char *why)
{
    handover_close(&upgrade->paper);
    upgrade->events->failed(upgrade->owner, why);
}

/* Returns only if it failed, with errno. */
static void upgrade_exec(const struct upgrade *upgrade, const struct handover *paper)
{
    char number[16];
    snprintf(number, sizeof number, "%d", paper->fd);
    if (setenv(UPGRADE_ENV, number, 1) != 0)
        return;
    (void)fflush(NULL);
    handover_keep(paper, true);
    (void)execv(upgrade->program.path, upgrade->program.argv);
    int saved = errno;
    handover_keep(paper, false);
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
    struct handover paper;
    char why[UPGRADE_SENTENCE];
    trace_finish(); /* nobody would know its helpers */
    if (upgrade_write(upgrade, &paper, why, sizeof why) == 0) {
        (void)notify_reloading();
        pools_hush(upgrade->pools);
        upgrade_exec(upgrade, &paper);
        snprintf(why, sizeof why, "cannot execute %s: %s", upgrade->program.path, strerror(errno));
        pools_start(upgrade->pools);
        (void)notify_ready();
        handover_close(&paper);
    }
    upgrade_unblock();
    upgrade_fail(upgrade, why);
}

static void upgrade_on_trial(struct trial *trial, const char *version, const char *why)
{
    struct upgrade *upgrade = trial->owner;
    sigset_t all;
    if (version == NULL) {
        upgrade_fail(upgrade, why);
        return;
    }
    handover_close(&upgrade->paper);
    log_notice("upgrade: version %s takes the place of %s, %u workers stay", version,
               OVERTIME_VERSION, pools_live(upgrade->pools));
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    ev_timer_set(&upgrade->go, 0., 0.);
    ev_timer_start(upgrade->loop, &upgrade->go);
}

void upgrade_init(struct upgrade *upgrade, struct ev_loop *loop,
                  const struct upgrade_program *program, struct pools *pools,
                  struct control *control, const struct upgrade_events *events, void *owner)
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
    trial_init(&upgrade->trial, loop, upgrade_on_trial, upgrade);
    ev_timer_init(&upgrade->go, upgrade_on_go, 0., 0.);
    ev_set_priority(&upgrade->go, EV_MINPRI);
    upgrade->go.data = upgrade;
}

int upgrade_begin(struct upgrade *upgrade, unsigned flags, char *error, size_t size)
{
    char number[16], option[] = "--" UPGRADE_OPTION, name[] = "overtime", file[] = "-c",
                     root[] = "-R";
    if (trial_is_on(&upgrade->trial) || ev_is_active(&upgrade->go)) {
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
                    upgrade->pools->conf->file,
                    (flags & CONF_ALLOW_ROOT) != 0 ? root : NULL,
                    NULL};
    if (trial_start(&upgrade->trial, upgrade->program.path, argv, upgrade->paper.fd, error, size) ==
        0)
        return 0;
    handover_close(&upgrade->paper);
    return -1;
}

void upgrade_stop(struct upgrade *upgrade)
{
    if (upgrade->loop == NULL)
        return;
    trial_stop(&upgrade->trial);
    ev_timer_stop(upgrade->loop, &upgrade->go);
    handover_close(&upgrade->paper);
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

static int upgrade_said(const struct handover *paper, char *error, size_t size)
{
    if (handover_good(paper))
        return 0;
    snprintf(error, size, "%s", paper->error);
    return -1;
}

int upgrade_read(struct upgrade_heritage *heritage, int fd, enum handover_mode mode, unsigned flags,
                 char *error, size_t size)
{
    struct handover *paper = &heritage->paper;
    *heritage = (struct upgrade_heritage){.facts = {.pid_fd = -1}};
    (void)handover_open(paper, fd, mode);
    upgrade_facts(paper, &heritage->facts);
    succession_confs(&heritage->succession, paper, flags);
    return upgrade_said(paper, error, size);
}

int upgrade_adopt(struct upgrade_heritage *heritage, struct ev_loop *loop, struct pools *pools,
                  struct control *control, const struct socket_spec *spec,
                  const struct control_command *commands, void *context, char *error, size_t size)
{
    struct handover *paper = &heritage->paper;
    access_hand_over(paper, loop);
    inherited_hand_over(paper);
    succession_pools(&heritage->succession, paper, pools);
    if (heritage->facts.listening && handover_good(paper))
        control_adopt(control, loop, spec, paper, commands, context);
    (void)handover_end(paper);
    int result = upgrade_said(paper, error, size);
    handover_close(paper);
    return result;
}

void upgrade_free(struct upgrade_heritage *heritage)
{
    handover_close(&heritage->paper);
    succession_free(&heritage->succession);
    free(heritage->facts.version);
    free(heritage->facts.pid_path);
    heritage->facts.version = heritage->facts.pid_path = NULL;
}

int upgrade_try(int fd, unsigned flags, char *error, size_t size)
{
    static const struct socket_spec nowhere = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    struct upgrade_heritage heritage;
    int result = upgrade_read(&heritage, fd, HANDOVER_CHECK, flags, error, size);
    if (result == 0)
        result = upgrade_adopt(&heritage, NULL, NULL, NULL, &nowhere, NULL, NULL, error, size);
    upgrade_free(&heritage);
    return result;
}
