/* trial.c: see trial.h. */
#include "fpm/trial.h"

#include "fpm/fd.h"
#include "fpm/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TRIAL_SENTENCE = 4608,
    TRIAL_NOT_RUN = 127
};

bool trial_is_on(const struct trial *trial)
{
    return trial->child.pid != 0;
}

/* ---- the child ---- */

static _Noreturn void trial_child(const char *program, char *const *argv, int paper_fd, int out)
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
    _exit(TRIAL_NOT_RUN);
}

/* ---- what it says ---- */

/* False when nothing more will come. */
static bool trial_read(struct trial *trial)
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

static void trial_on_output(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    if (!trial_read(io->data))
        ev_io_stop(loop, io);
}

static void trial_on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct trial *trial = timer->data;
    trial->late = true;
    (void)kill(-trial->child.pid, SIGKILL);
    (void)kill(trial->child.pid, SIGKILL);
}

/* The version of a program that said yes in its last line, in place; else NULL. */
static const char *trial_version(char *said)
{
    const size_t before = strlen(TRIAL_YES_BEFORE), behind = strlen(TRIAL_YES_BEHIND);
    size_t length = strlen(said);
    if (length > 0 && said[length - 1] == '\n')
        said[--length] = '\0';
    char *line = strrchr(said, '\n') != NULL ? strrchr(said, '\n') + 1 : said;
    length = strlen(line);
    if (length <= before + behind || strncmp(line, TRIAL_YES_BEFORE, before) != 0 ||
        strcmp(line + length - behind, TRIAL_YES_BEHIND) != 0)
        return NULL;
    line[length - behind] = '\0';
    return line + before;
}

/* What it complained of, in one sentence; `said` may have several lines. */
static void trial_complain(const struct trial *trial, int status, char *why, size_t size)
{
    char shown[TRIAL_SENTENCE - 512], how[64] = "";
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
                 TRIAL_LIMIT / 1000);
    else if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        snprintf(why, size, "%s does not say that it can take over: is it overtime?%s%s",
                 trial->program, length > 0 ? " It says: " : "", shown);
    else if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == TRIAL_NOT_RUN)
        snprintf(why, size, "%s cannot be run: %s", trial->program, shown);
    else
        snprintf(why, size, "%s cannot take over: it %s%s%s", trial->program, how,
                 length > 0 ? ": " : "", shown);
}

static void trial_let_go(struct trial *trial)
{
    ev_timer_stop(trial->loop, &trial->limit);
    if (trial->fd >= 0)
        ev_io_stop(trial->loop, &trial->io);
    fd_close(&trial->fd);
}

static void trial_on_end(struct child *child, int status)
{
    struct trial *trial = child->owner;
    char why[TRIAL_SENTENCE];
    while (trial_read(trial))
        continue;
    trial_let_go(trial);
    trial_complain(trial, status, why, sizeof why);
    const char *version = NULL;
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        version = trial_version(trial->said);
    trial->ended(trial, version, version != NULL ? NULL : why);
}

/* ---- birth and end ---- */

void trial_init(struct trial *trial, struct ev_loop *loop,
                void (*ended)(struct trial *trial, const char *version, const char *why),
                void *owner)
{
    *trial = (struct trial){.loop = loop, .fd = -1, .ended = ended, .owner = owner};
    child_init(&trial->child, loop, trial_on_end, trial);
    ev_timer_init(&trial->limit, trial_on_limit, 0., 0.);
    trial->limit.data = trial;
}

/* Returns its pid, -1 with errno. */
static pid_t trial_fork(const char *program, char *const *argv, int paper_fd, int out)
{
    sigset_t all, before;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        trial_child(program, argv, paper_fd, out);
    int saved = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid > 0)
        (void)setpgid(pid, pid);
    errno = saved;
    return pid;
}

int trial_start(struct trial *trial, const char *program, char *const *argv, int paper_fd,
                char *error, size_t size)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        snprintf(error, size, "cannot try %s: pipe: %s", program, strerror(errno));
        return -1;
    }
    pid_t pid = trial_fork(program, argv, paper_fd, ends[1]);
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
    ev_io_init(&trial->io, trial_on_output, trial->fd, EV_READ);
    trial->io.data = trial;
    ev_io_start(trial->loop, &trial->io);
    ev_now_update(trial->loop);
    ev_timer_set(&trial->limit, TRIAL_LIMIT / 1000., 0.);
    ev_timer_start(trial->loop, &trial->limit);
    return 0;
}

void trial_stop(struct trial *trial)
{
    pid_t pid = trial->child.pid;
    if (pid == 0)
        return;
    trial_let_go(trial);
    child_forget(&trial->child);
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}
