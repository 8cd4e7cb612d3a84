/* trace_runner.c: see trace_runner.h. */
#include "fpm/slow_log/trace_runner.h"

#include "fpm/worker/exit_message.h"
#include "fpm/worker/helper_process.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    TRACE_RUNNER_WORDS = 8 /* of overtime-trace's command line, with the NULL */
};

struct trace_runner_trace {
    struct trace_runner_trace *next;
    struct trace_runner_job job;
    char **argv; /* a copy; NULL = overtime-trace */
    bool started;
    struct helper_process helper;
};

static struct {
    struct ev_loop *loop;
    struct trace_runner_trace *traces; /* in order of arrival */
    ev_timer next;                     /* so that trace_runner_start never calls `done` */
} trace_runner;

/* ---- the list ---- */

static void trace_runner_free_words(char **argv)
{
    for (size_t i = 0; argv != NULL && argv[i] != NULL; i++)
        free(argv[i]);
    free(argv);
}

/* Copies the words, each %p as the process number, which is the last word if none has a %p. NULL
 * without memory. */
static char **trace_runner_copy_words(char *const *argv, pid_t pid)
{
    size_t count = 0;
    bool named = false, good;
    while (argv[count] != NULL)
        count++;
    char **copy = calloc(count + 2, sizeof *copy);
    good = copy != NULL;
    for (size_t i = 0; good && i < count + !named; i++) {
        const char *word = i < count ? argv[i] : "%p";
        size_t size;
        FILE *out = open_memstream(&copy[i], &size);
        for (; out != NULL && *word != '\0'; word++) {
            bool place = word[0] == '%' && word[1] == 'p';
            named = named || place;
            if (place)
                word += fprintf(out, "%d", (int)pid) > 0;
            else
                fputc(*word, out);
        }
        good = out != NULL && fclose(out) == 0;
    }
    if (!good) {
        trace_runner_free_words(copy);
        return NULL;
    }
    return copy;
}

static void trace_runner_remove(struct trace_runner_trace *trace)
{
    struct trace_runner_trace **link = &trace_runner.traces;
    while (*link != trace)
        link = &(*link)->next;
    *link = trace->next;
    trace_runner_free_words(trace->argv);
    free(trace);
}

/* Counts the traces that run, or those that wait: in the group of a trace, or in all (NULL). */
static unsigned trace_runner_count(const struct trace_runner_trace *of, bool started)
{
    unsigned count = 0;
    for (const struct trace_runner_trace *trace = trace_runner.traces; trace != NULL;
         trace = trace->next)
        count += trace->started == started && (of == NULL || trace->job.group == of->job.group);
    return count;
}

/* ---- the result ---- */

static const char *trace_runner_name(const struct trace_runner_trace *trace)
{
    return trace->argv != NULL ? trace->argv[0] : "overtime-trace";
}

static void trace_runner_fail(const struct trace_runner_trace *trace, const char *why)
{
    const struct trace_runner_result result = {.text = "", .failure = why};
    trace->job.done(trace->job.context, &result);
}

static void trace_runner_done(struct helper_process *helper, int status)
{
    const struct trace_runner_trace *trace = helper->owner;
    struct trace_runner_result result = {.text = helper->output, .length = helper->length};
    char why[1024], cause[EXIT_MESSAGE_STATUS_MAX];
    if (helper->timed_out) {
        snprintf(why, sizeof why, "%s took more than %d s and was killed", trace_runner_name(trace),
                 TRACE_RUNNER_LIMIT_MS / 1000);
        result.failure = why;
    } else if (helper->truncated) {
        snprintf(why, sizeof why, "%s wrote more than %zu bytes", trace_runner_name(trace),
                 trace->job.output_max);
        result.failure = why;
    } else if (status != -1 && status != 0) {
        /* overtime-trace gives its reason in its only line; other output is kept as it is. */
        if (trace->argv == NULL && WIFEXITED(status) && helper->length > 0) {
            snprintf(why, sizeof why, "%.*s", (int)strcspn(helper->output, "\n"), helper->output);
            result.text = "";
            result.length = 0;
        } else {
            exit_message_status(status, cause, sizeof cause);
            snprintf(why, sizeof why, "%s %s", trace_runner_name(trace), cause);
        }
        result.failure = why;
    }
    trace->job.done(trace->job.context, &result);
}

static void trace_runner_run_waiting(void);

static void trace_runner_reaped(struct helper_process *helper)
{
    trace_runner_remove(helper->owner);
    trace_runner_run_waiting();
}

/* ---- the start ---- */

/* Returns 0, or -1 with a sentence. */
static int trace_runner_run(struct trace_runner_trace *trace, char *error, size_t size)
{
    const struct trace_runner_job *job = &trace->job;
    char path[PATH_MAX], name[] = "overtime-trace", d[] = "-d", f[] = "-f", j[] = "-j";
    char pid[16], first[16], depth[16];
    char *own[TRACE_RUNNER_WORDS] = {name, d, depth, f, first, pid};
    if (trace->argv == NULL) {
        snprintf(pid, sizeof pid, "%d", (int)job->pid);
        snprintf(first, sizeof first, "%d", (int)(job->first > 0 ? job->first : job->pid));
        snprintf(depth, sizeof depth, "%u", job->depth);
        if (job->json) {
            own[5] = j;
            own[6] = pid;
        }
        if (helper_process_find(name, path, sizeof path, error, size) != 0)
            return -1;
    }
    const struct helper_process_arguments arguments = {
        .program = trace->argv != NULL ? trace->argv[0] : path,
        .argv = trace->argv != NULL ? trace->argv : own,
        .envp = job->envp,
        .user = job->user,
        .traces = trace->argv == NULL,
        .keep_fd = -1,
        .output_max = job->output_max,
        .limit_ms = TRACE_RUNNER_LIMIT_MS,
    };
    if (helper_process_start(&trace->helper, &arguments) != 0) {
        snprintf(error, size, "cannot start %s: %s", trace_runner_name(trace), strerror(errno));
        return -1;
    }
    trace->started = true;
    return 0;
}

/* Starts one waiting trace after another, until the limits allow no more. */
static void trace_runner_run_waiting(void)
{
    char error[512];
    while (trace_runner_count(NULL, true) < TRACE_RUNNER_MAX) {
        struct trace_runner_trace *trace = trace_runner.traces;
        while (trace != NULL &&
               (trace->started || trace_runner_count(trace, true) >= TRACE_RUNNER_GROUP_MAX))
            trace = trace->next;
        if (trace == NULL)
            return;
        const struct trace_runner_job *job = &trace->job;
        if (job->wanted != NULL && !job->wanted(job->context))
            trace_runner_fail(trace, "the request was over before its turn came");
        else if (trace_runner_run(trace, error, sizeof error) != 0)
            trace_runner_fail(trace, error);
        else
            continue;
        trace_runner_remove(trace);
    }
}

static void trace_runner_on_next(struct ev_loop *loop, ev_timer *timer, int events)
{
    trace_runner_run_waiting();
}

void trace_runner_open(struct ev_loop *loop)
{
    trace_runner.loop = loop;
    ev_timer_init(&trace_runner.next, trace_runner_on_next, 0., 0.);
}

int trace_runner_start(const struct trace_runner_job *job, char *error, size_t size)
{
    struct trace_runner_trace *trace = calloc(1, sizeof *trace), **link = &trace_runner.traces;
    if (trace != NULL) {
        trace->job = *job;
        trace->argv = job->argv != NULL ? trace_runner_copy_words(job->argv, job->pid) : NULL;
        helper_process_init(&trace->helper, trace_runner.loop, trace_runner_done,
                            trace_runner_reaped, trace);
    }
    if (trace == NULL || (job->argv != NULL && trace->argv == NULL)) {
        free(trace);
        snprintf(error, size, "out of memory");
        return -1;
    }
    unsigned waiting = trace_runner_count(trace, false);
    if (waiting >= TRACE_RUNNER_GROUP_WAITING) {
        snprintf(error, size, "%u other traces wait already", waiting);
        trace_runner_free_words(trace->argv);
        free(trace);
        return -1;
    }
    while (*link != NULL)
        link = &(*link)->next;
    *link = trace;
    if (!ev_is_active(&trace_runner.next)) {
        ev_timer_set(&trace_runner.next, 0., 0.);
        ev_timer_start(trace_runner.loop, &trace_runner.next);
    }
    return 0;
}

void trace_runner_finish(void)
{
    if (trace_runner.loop == NULL)
        return;
    ev_timer_stop(trace_runner.loop, &trace_runner.next);
    while (trace_runner.traces != NULL) {
        struct trace_runner_trace *trace = trace_runner.traces;
        if (!trace->started || !trace->helper.done_called)
            trace_runner_fail(trace, "the manager stops, or is being upgraded");
        helper_process_stop(&trace->helper);
        trace_runner_remove(trace);
    }
}
