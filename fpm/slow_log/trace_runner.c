/* trace_runner.c: see trace_runner.h. */
#include "fpm/slow_log/trace_runner.h"

#include "fpm/log/log.h"
#include "fpm/util/child.h"
#include "fpm/util/fd.h"
#include "fpm/worker/process_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TRACE_RUNNER_WORDS = 12,      /* of our own program's command line */
    TRACE_RUNNER_OUTPUT = 4096,   /* bytes, at first */
    TRACE_RUNNER_FINISH = 1000000 /* us that a killed helper has to be gone */
};

enum trace_runner_state {
    TRACE_RUNNER_WAITING,
    TRACE_RUNNER_RUNNING,
    TRACE_RUNNER_DYING /* told of already; its process is not reaped yet */
};

struct trace_runner_job {
    struct trace_runner_job *next;
    enum trace_runner_state state;
    struct trace_runner_order order;
    char **argv; /* a copy, NULL = our own program */
    struct child child;
    int output;
    ev_io io;
    ev_timer limit;
    char *text;
    size_t length, room;
    bool cut; /* there was more */
};

static struct {
    struct ev_loop *loop;
    struct trace_runner_job *jobs; /* in the order in which they came */
    ev_timer turn;                 /* `done` is not called from within trace_runner_start */
} trace_runner_all;

/* ---- jobs ---- */

static void trace_runner_free_words(char **argv)
{
    for (size_t i = 0; argv != NULL && argv[i] != NULL; i++)
        free(argv[i]);
    free(argv);
}

static char **trace_runner_copy_words(const char *const *argv)
{
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = strdup(argv[i]);
        if (copy[i] == NULL) {
            trace_runner_free_words(copy);
            return NULL;
        }
    }
    return copy;
}

static void trace_runner_forget(struct trace_runner_job *job)
{
    struct trace_runner_job **link = &trace_runner_all.jobs;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    trace_runner_free_words(job->argv);
    free(job->text);
    free(job);
}

static unsigned trace_runner_count(const struct trace_runner_job *of, enum trace_runner_state from,
                                   enum trace_runner_state to)
{
    unsigned count = 0;
    for (const struct trace_runner_job *job = trace_runner_all.jobs; job != NULL; job = job->next)
        count += job->state >= from && job->state <= to &&
                 (of == NULL || job->order.lane == of->order.lane);
    return count;
}

/* ---- what it writes ---- */

/* False when there is no more for now, or no room for more. */
static bool trace_runner_read(struct trace_runner_job *job)
{
    char waste[TRACE_RUNNER_OUTPUT];
    if (job->length + 1 == job->room && job->room < job->order.room) {
        size_t twice = job->room * 2;
        size_t room = twice < job->order.room ? twice : job->order.room;
        char *grown = realloc(job->text, room);
        if (grown != NULL) {
            job->text = grown;
            job->room = room;
        }
    }
    size_t room = job->room - job->length - 1;
    char *at = room > 0 ? job->text + job->length : waste;
    ssize_t got = read(job->output, at, room > 0 ? room : sizeof waste);
    if (got < 0 && errno == EINTR)
        return true;
    if (got == 0)
        ev_io_stop(trace_runner_all.loop, &job->io);
    if (got <= 0)
        return false;
    job->cut |= room == 0;
    job->length += room > 0 ? (size_t)got : 0;
    return true;
}

static void trace_runner_on_output(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    (void)trace_runner_read(io->data);
}

/* What is in the pipe when it is over; what a process that it left behind still writes is not
 * waited for. */
static void trace_runner_read_rest(struct trace_runner_job *job)
{
    for (int i = 0; i < 64 && trace_runner_read(job); i++)
        continue;
}

/* ---- the end of one ---- */

static void trace_runner_tell(struct trace_runner_job *job, const char *failure)
{
    const struct trace_runner_result result = {
        .text = job->text != NULL ? job->text : "", .length = job->length, .failure = failure};
    if (job->text != NULL)
        job->text[job->length] = '\0';
    job->order.done(job->order.context, &result);
}

static void trace_runner_let_go(struct trace_runner_job *job)
{
    ev_io_stop(trace_runner_all.loop, &job->io);
    ev_timer_stop(trace_runner_all.loop, &job->limit);
    fd_close(&job->output);
}

static const char *trace_runner_name(const struct trace_runner_job *job)
{
    return job->argv != NULL ? job->argv[0] : "overtime-trace";
}

/* Our own program gives its reason in its only line; another's words stay what it wrote. */
static const char *trace_runner_judge(struct trace_runner_job *job, int status, char *why,
                                      size_t size)
{
    if (job->cut) {
        snprintf(why, size, "%s wrote more than %zu bytes", trace_runner_name(job),
                 job->order.room - 1);
        return why;
    }
    if (status == -1 || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return NULL;
    if (job->argv == NULL && WIFEXITED(status) && job->length > 0) {
        snprintf(why, size, "%.*s", (int)strcspn(job->text, "\n"), job->text);
        job->length = 0;
    } else if (WIFEXITED(status)) {
        snprintf(why, size, "%s exited with status %d", trace_runner_name(job),
                 WEXITSTATUS(status));
    } else {
        snprintf(why, size, "%s died of signal %d", trace_runner_name(job), WTERMSIG(status));
    }
    return why;
}

static void trace_runner_next(void);

static void trace_runner_ended(struct child *child, int status)
{
    struct trace_runner_job *job = child->owner;
    char why[1024];
    if (job->state == TRACE_RUNNER_RUNNING) {
        trace_runner_read_rest(job);
        trace_runner_let_go(job);
        job->text[job->length] = '\0';
        trace_runner_tell(job, trace_runner_judge(job, status, why, sizeof why));
    }
    trace_runner_forget(job);
    trace_runner_next();
}

/* Whoever waits is told now, even if the process takes its time to die. */
static void trace_runner_kill(struct trace_runner_job *job, const char *why)
{
    (void)kill(-job->child.pid, SIGKILL);
    (void)kill(job->child.pid, SIGKILL);
    trace_runner_read_rest(job);
    trace_runner_let_go(job);
    job->state = TRACE_RUNNER_DYING;
    trace_runner_tell(job, why);
}

static void trace_runner_on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct trace_runner_job *job = timer->data;
    char why[512];
    snprintf(why, sizeof why, "%s took more than %d s and was killed", trace_runner_name(job),
             TRACE_RUNNER_LIMIT / 1000);
    trace_runner_kill(job, why);
}

/* ---- the start of one ---- */

/* Beside the manager's program, where it was built, or where it is installed. */
static int trace_runner_program(char *out, size_t size)
{
    static const char *const places[] = {"", "../libexec/overtime/"};
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(own, '/');
    if (slash != NULL)
        slash[1] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int used = snprintf(out, size, "%s%sovertime-trace", own, places[i]);
        if (used > 0 && (size_t)used < size && access(out, X_OK) == 0)
            return 0;
    }
    return -1;
}

static _Noreturn void trace_runner_run_own(const struct trace_runner_job *job)
{
    char path[PATH_MAX + 64], pid[16], first[16], depth[16];
    const struct trace_runner_order *order = &job->order;
    const char *argv[TRACE_RUNNER_WORDS] = {"overtime-trace", "-d", depth, "-f", first, pid};
    snprintf(pid, sizeof pid, "%d", (int)order->pid);
    snprintf(first, sizeof first, "%d", (int)(order->first > 0 ? order->first : order->pid));
    snprintf(depth, sizeof depth, "%u", order->depth);
    if (order->json) {
        argv[5] = "-j";
        argv[6] = pid;
    }
    (void)unsetenv("DEBUGINFOD_URLS"); /* it would ask the network */
    if (trace_runner_program(path, sizeof path) == 0)
        (void)execv(path, (char *const *)argv);
    printf("cannot run %s: %s; it belongs beside the manager's program, or into "
           "../libexec/overtime",
           path, strerror(errno));
    fflush(stdout);
    _exit(127);
}

static _Noreturn void trace_runner_child(const struct trace_runner_job *job, int output)
{
    struct sigaction fresh = {.sa_handler = SIG_DFL};
    struct rlimit files = process_limits_worker_files();
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &fresh, NULL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)fd_null_standard();
    if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        _exit(126);
    fd_cloexec_from(STDERR_FILENO + 1);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (job->argv == NULL)
        trace_runner_run_own(job);
    (void)execv(job->argv[0], job->argv);
    dprintf(STDOUT_FILENO, "cannot run %s: %s\n", job->argv[0], strerror(errno));
    _exit(127);
}

/* Returns the process with the pipe's read end in job->output, or -1 with errno. */
static pid_t trace_runner_fork(struct trace_runner_job *job)
{
    int ends[2];
    sigset_t all, before;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        trace_runner_child(job, ends[1]);
    int saved = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    fd_close(&ends[1]);
    job->output = ends[0];
    if (pid > 0)
        (void)setpgid(pid, pid); /* whoever is first, a signal to the group finds it */
    else
        fd_close(&job->output);
    errno = saved;
    return pid;
}

/* Returns 0, or -1 with a sentence. */
static int trace_runner_begin(struct trace_runner_job *job, char *error, size_t size)
{
    job->room = TRACE_RUNNER_OUTPUT;
    job->text = malloc(job->room);
    pid_t pid = job->text == NULL ? -1 : trace_runner_fork(job);
    if (pid < 0) {
        snprintf(error, size, "cannot start %s: %s", trace_runner_name(job), strerror(errno));
        return -1;
    }
    child_init(&job->child, trace_runner_all.loop, trace_runner_ended, job);
    if (child_watch(&job->child, pid) != 0) {
        snprintf(error, size, "cannot watch %s: %s", trace_runner_name(job), strerror(errno));
        (void)kill(-pid, SIGKILL);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        fd_close(&job->output);
        return -1;
    }
    job->state = TRACE_RUNNER_RUNNING;
    ev_io_init(&job->io, trace_runner_on_output, job->output, EV_READ);
    ev_timer_init(&job->limit, trace_runner_on_limit, TRACE_RUNNER_LIMIT / 1000., 0.);
    job->io.data = job->limit.data = job;
    ev_io_start(trace_runner_all.loop, &job->io);
    ev_now_update(trace_runner_all.loop);
    ev_timer_start(trace_runner_all.loop, &job->limit);
    return 0;
}

/* The first that may begin; NULL if all have to wait. */
static struct trace_runner_job *trace_runner_find_next(void)
{
    if (trace_runner_count(NULL, TRACE_RUNNER_RUNNING, TRACE_RUNNER_DYING) >= TRACE_RUNNER_MOST)
        return NULL;
    for (struct trace_runner_job *job = trace_runner_all.jobs; job != NULL; job = job->next)
        if (job->state == TRACE_RUNNER_WAITING &&
            trace_runner_count(job, TRACE_RUNNER_RUNNING, TRACE_RUNNER_DYING) <
                TRACE_RUNNER_LANE_MOST)
            return job;
    return NULL;
}

static void trace_runner_next(void)
{
    struct trace_runner_job *job;
    char error[512];
    while ((job = trace_runner_find_next()) != NULL) {
        const struct trace_runner_order *order = &job->order;
        if (order->wanted != NULL && !order->wanted(order->context)) {
            trace_runner_tell(job, "what it was wanted for was over before its turn came");
            trace_runner_forget(job);
        } else if (trace_runner_begin(job, error, sizeof error) != 0) {
            trace_runner_tell(job, error);
            trace_runner_forget(job);
        }
    }
}

/* ---- all of them ---- */

static void trace_runner_on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    trace_runner_next();
}

void trace_runner_open(struct ev_loop *loop)
{
    trace_runner_all.loop = loop;
    ev_timer_init(&trace_runner_all.turn, trace_runner_on_turn, 0., 0.);
}

int trace_runner_start(const struct trace_runner_order *order, char *error, size_t size)
{
    struct trace_runner_job *job = calloc(1, sizeof *job), **link = &trace_runner_all.jobs;
    if (job != NULL) {
        *job = (struct trace_runner_job){.order = *order, .output = -1};
        job->argv = order->argv != NULL ? trace_runner_copy_words(order->argv) : NULL;
        child_init(&job->child, trace_runner_all.loop, trace_runner_ended, job);
    }
    if (job == NULL || (order->argv != NULL && job->argv == NULL)) {
        free(job);
        snprintf(error, size, "out of memory");
        return -1;
    }
    unsigned waiting = trace_runner_count(job, TRACE_RUNNER_WAITING, TRACE_RUNNER_WAITING);
    if (waiting >= TRACE_RUNNER_LANE_QUEUE) {
        snprintf(error, size, "%u others wait to be looked at already", waiting);
        trace_runner_free_words(job->argv);
        free(job);
        return -1;
    }
    while (*link != NULL)
        link = &(*link)->next;
    *link = job;
    if (!ev_is_active(&trace_runner_all.turn)) {
        ev_timer_set(&trace_runner_all.turn, 0., 0.);
        ev_timer_start(trace_runner_all.loop, &trace_runner_all.turn);
    }
    return 0;
}

/* Reaps a killed one, but not for long. */
static void trace_runner_reap(struct trace_runner_job *job)
{
    for (int us = 0; us < TRACE_RUNNER_FINISH && waitpid(job->child.pid, NULL, WNOHANG) == 0;
         us += 1000)
        (void)usleep(1000);
    child_forget(&job->child);
}

void trace_runner_finish(void)
{
    static const char why[] = "the manager ends, or another program takes its place";
    if (trace_runner_all.loop == NULL)
        return;
    ev_timer_stop(trace_runner_all.loop, &trace_runner_all.turn);
    while (trace_runner_all.jobs != NULL) {
        struct trace_runner_job *job = trace_runner_all.jobs;
        if (job->state == TRACE_RUNNER_WAITING)
            trace_runner_tell(job, why);
        if (job->state == TRACE_RUNNER_RUNNING)
            trace_runner_kill(job, why);
        if (job->state == TRACE_RUNNER_DYING)
            trace_runner_reap(job);
        trace_runner_forget(job);
    }
}
