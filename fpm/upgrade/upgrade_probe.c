/* upgrade_probe.c: see upgrade_probe.h. */
#include "fpm/upgrade/upgrade_probe.h"

#include "fpm/util/fd.h"
#include "fpm/util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    UPGRADE_PROBE_SENTENCE = 4608,
    UPGRADE_PROBE_NOT_RUN = 127
};

bool upgrade_probe_is_on(const struct upgrade_probe *trial)
{
    return trial->child.pid != 0;
}

/* ---- the child ---- */

static _Noreturn void upgrade_probe_child(const char *program, char *const *argv, int paper_fd,
                                          int out)
{
    struct sigaction fresh = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&fresh.sa_mask);
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &fresh, NULL);
    (void)setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(out, STDERR_FILENO) >= 0 && fcntl(paper_fd, F_SETFD, 0) == 0) {
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)execv(program, argv);
    }
    const char *why = strerrordesc_np(errno);
    (void)!write(out, why, strlen(why));
    _exit(UPGRADE_PROBE_NOT_RUN);
}

/* ---- what it says ---- */

/* False when nothing more will come. */
static bool upgrade_probe_read(struct upgrade_probe *trial)
{
    char waste[512];
    size_t room = sizeof trial->said - 1 - trial->used;
    char *into = room > 0 ? trial->said + trial->used : waste;
    ssize_t got = read(trial->fd, into, room > 0 ? room : sizeof waste);
    if (got > 0 && room > 0)
        trial->used += (size_t)got;
    trial->said[trial->used] = '\0';
    return got > 0 || (got < 0 && errno == EINTR);
}

static void upgrade_probe_on_output(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    if (!upgrade_probe_read(io->data))
        ev_io_stop(loop, io);
}

static void upgrade_probe_on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct upgrade_probe *trial = timer->data;
    trial->late = true;
    (void)kill(-trial->child.pid, SIGKILL);
    (void)kill(trial->child.pid, SIGKILL);
}

/* The version of a program that said yes in its last line, in place; else NULL. */
static const char *upgrade_probe_version(char *said)
{
    const size_t before = strlen(UPGRADE_PROBE_YES_BEFORE),
                 behind = strlen(UPGRADE_PROBE_YES_BEHIND);
    size_t length = strlen(said);
    if (length > 0 && said[length - 1] == '\n')
        said[--length] = '\0';
    char *line = strrchr(said, '\n') != NULL ? strrchr(said, '\n') + 1 : said;
    length = strlen(line);
    if (length <= before + behind || strncmp(line, UPGRADE_PROBE_YES_BEFORE, before) != 0 ||
        strcmp(line + length - behind, UPGRADE_PROBE_YES_BEHIND) != 0)
        return NULL;
    line[length - behind] = '\0';
    return line + before;
}

/* What it complained of, in one sentence; `said` may have several lines. */
static void upgrade_probe_complain(const struct upgrade_probe *trial, int status, char *why,
                                   size_t size)
{
    char shown[UPGRADE_PROBE_SENTENCE - 512], how[64] = "";
    size_t length = trial->used;
    while (length > 0 && trial->said[length - 1] == '\n')
        length--;
    text_one_line(shown, sizeof shown, trial->said, length);
    if (status != -1 && WIFSIGNALED(status))
        snprintf(how, sizeof how, "died of SIG%s", sigabbrev_np(WTERMSIG(status)));
    else if (status != -1 && WIFEXITED(status))
        snprintf(how, sizeof how, "exited with status %d", WEXITSTATUS(status));
    if (trial->late)
        snprintf(why, size, "%s did not say within %d s whether it can take over", trial->program,
                 UPGRADE_PROBE_LIMIT / 1000);
    else if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        snprintf(why, size, "%s does not say that it can take over: is it overtime?%s%s",
                 trial->program, length > 0 ? " It says: " : "", shown);
    else if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == UPGRADE_PROBE_NOT_RUN)
        snprintf(why, size, "%s cannot be run: %s", trial->program, shown);
    else
        snprintf(why, size, "%s cannot take over: it %s%s%s", trial->program, how,
                 length > 0 ? ": " : "", shown);
}

static void upgrade_probe_let_go(struct upgrade_probe *trial)
{
    ev_timer_stop(trial->loop, &trial->limit);
    if (trial->fd >= 0)
        ev_io_stop(trial->loop, &trial->io);
    fd_close(&trial->fd);
}

static void upgrade_probe_on_end(struct child *child, int status)
{
    struct upgrade_probe *trial = child->owner;
    char why[UPGRADE_PROBE_SENTENCE];
    while (upgrade_probe_read(trial))
        continue;
    upgrade_probe_let_go(trial);
    upgrade_probe_complain(trial, status, why, sizeof why);
    const char *version = NULL;
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        version = upgrade_probe_version(trial->said);
    trial->ended(trial, version, version != NULL ? NULL : why);
}

/* ---- birth and end ---- */

void upgrade_probe_init(struct upgrade_probe *trial, struct ev_loop *loop,
                        void (*ended)(struct upgrade_probe *trial, const char *version,
                                      const char *why),
                        void *owner)
{
    *trial = (struct upgrade_probe){.loop = loop, .fd = -1, .ended = ended, .owner = owner};
    child_init(&trial->child, loop, upgrade_probe_on_end, trial);
    ev_timer_init(&trial->limit, upgrade_probe_on_limit, 0., 0.);
    trial->limit.data = trial;
}

/* Returns its pid, -1 with errno. */
static pid_t upgrade_probe_fork(const char *program, char *const *argv, int paper_fd, int out)
{
    sigset_t all, before;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        upgrade_probe_child(program, argv, paper_fd, out);
    int saved = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid > 0)
        (void)setpgid(pid, pid);
    errno = saved;
    return pid;
}

int upgrade_probe_start(struct upgrade_probe *trial, const char *program, char *const *argv,
                        int paper_fd, char *error, size_t size)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        snprintf(error, size, "cannot try %s: pipe: %s", program, strerror(errno));
        return -1;
    }
    pid_t pid = upgrade_probe_fork(program, argv, paper_fd, ends[1]);
    fd_close(&ends[1]);
    if (pid < 0 || child_watch(&trial->child, pid) != 0) {
        snprintf(error, size, "cannot try %s: %s", program, strerror(errno));
        if (pid > 0) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
        }
        fd_close(&ends[0]);
        return -1;
    }
    trial->program = program;
    trial->fd = ends[0];
    trial->late = false;
    trial->used = 0;
    trial->said[0] = '\0';
    ev_io_init(&trial->io, upgrade_probe_on_output, trial->fd, EV_READ);
    trial->io.data = trial;
    ev_io_start(trial->loop, &trial->io);
    ev_now_update(trial->loop);
    ev_timer_set(&trial->limit, UPGRADE_PROBE_LIMIT / 1000., 0.);
    ev_timer_start(trial->loop, &trial->limit);
    return 0;
}

void upgrade_probe_stop(struct upgrade_probe *trial)
{
    pid_t pid = trial->child.pid;
    if (pid == 0)
        return;
    upgrade_probe_let_go(trial);
    child_forget(&trial->child);
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}
