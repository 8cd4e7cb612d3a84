/* life.c: an application for everything that can happen to a request: clients that leave, time
 * limits, bailouts, shutdown functions of all kinds, code that reaches no safe point.
 *
 * Does what the query string says (steps.h). Steps measure milliseconds since the request's
 * `mark`: its begin, or the last ot_set_time_limit.
 *
 * usage: life [-m run|loop|finish] [-t THREADS] DIRECTORY
 *   run     ot_run (the default)
 *   loop    FCGX_Accept_r alone, which ends the request before it
 *   finish  FCGX_Accept_r and FCGX_Finish_r
 */
#include "sapi-shim/overtime.h"
#include "steps.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

enum {
    THREADS_MAX = 64,
    NAMES_MAX = 64, /* shutdown functions of a request that remember their text */
    NAME_SIZE = 48,
    CHUNK = 16384
};

/* The thread's current request, for shutdown functions, which run when its handler's frame is gone.
 */
static _Thread_local char current_id[64];
static _Thread_local FCGX_Stream *current_out;
static _Thread_local struct timespec mark;
static _Thread_local struct timespec cpu_mark;
static _Thread_local char names[NAMES_MAX][NAME_SIZE];
static _Thread_local size_t names_used;

static const struct timespec one_ms = {.tv_nsec = 1000000};

static double since(clockid_t clock, const struct timespec *then)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)(now.tv_sec - then->tv_sec) * 1e3 + (double)(now.tv_nsec - then->tv_nsec) / 1e6;
}

static double since_mark(void)
{
    return since(CLOCK_MONOTONIC, &mark);
}

static void set_mark(void)
{
    clock_gettime(CLOCK_MONOTONIC, &mark);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_mark);
}

/* ---- the library's calls, one step each ---- */

static void step_finish(struct visit *visit, const char *value)
{
    (void)value;
    head(visit);
    bool ended = ot_finish_request();
    journal(visit->id, "finish %d finished=%d", ended, ot_request_finished());
}

static void step_status(struct visit *visit, const char *value)
{
    (void)value;
    journal(visit->id, "status %u", ot_connection_status());
}

static void step_ignore(struct visit *visit, const char *value)
{
    journal(visit->id, "ignore %d", ot_ignore_user_abort((int)strtol(value, NULL, 10)));
}

static void step_limit(struct visit *visit, const char *value)
{
    set_mark();
    journal(visit->id, "limit %d", ot_set_time_limit((unsigned)strtoul(value, NULL, 10)));
}

static void step_label(struct visit *visit, const char *value)
{
    (void)visit;
    ot_set_label(value);
}

static void step_checkpoint(struct visit *visit, const char *value)
{
    (void)value;
    journal(visit->id, "checkpoint %d", ot_checkpoint());
}

/* ---- looking ---- */

/* look=N: up to N safe points, a millisecond apart, until the status is not 0. */
static void step_look(struct visit *visit, const char *value)
{
    long limit = strtol(value, NULL, 10);
    bool go_on = true;
    unsigned status = OT_NORMAL;

    for (long count = 0; count < limit && go_on && status == OT_NORMAL; count++) {
        nanosleep(&one_ms, NULL);
        status = ot_connection_status();
        go_on = ot_checkpoint();
    }
    journal(visit->id, "saw %u", status);
}

/* flow=N: the same, with a chunk of output each time. */
static void step_flow(struct visit *visit, const char *value)
{
    static const char chunk[CHUNK] = {0};
    long limit = strtol(value, NULL, 10);
    unsigned status = OT_NORMAL;
    bool go_on = true;

    head(visit);
    for (long count = 0; count < limit && go_on && status == OT_NORMAL; count++) {
        nanosleep(&one_ms, NULL);
        go_on = FCGX_PutStr(chunk, CHUNK, visit->out) == CHUNK && FCGX_FFlush(visit->out) == 0;
        status = ot_connection_status();
        go_on = ot_checkpoint() && go_on;
    }
    journal(visit->id, "saw %u", status);
}

/* until=BITS: without a safe point, reads the status until it has these bits. */
static void step_until(struct visit *visit, const char *value)
{
    unsigned bits = (unsigned)strtoul(value, NULL, 10);
    unsigned status = ot_connection_status();

    for (; (status & bits) != bits; status = ot_connection_status())
        nanosleep(&one_ms, NULL);
    journal(visit->id, "until %u", status);
}

/* spin=MS: safe points, a millisecond apart, up to that age of the mark. */
static void step_spin(struct visit *visit, const char *value)
{
    double limit = strtod(value, NULL);
    bool go_on = true;

    while (go_on && since_mark() < limit) {
        nanosleep(&one_ms, NULL);
        go_on = ot_checkpoint();
    }
    journal(visit->id, "spun %s %.3f status=%u", go_on ? "quiet" : "stopped", since_mark(),
            ot_connection_status());
}

/* busy=MS: the same, using the processor all the time. */
static void step_busy(struct visit *visit, const char *value)
{
    double limit = strtod(value, NULL);
    bool go_on = true;

    while (go_on && since_mark() < limit)
        for (int turn = 0; go_on && turn < 1000; turn++)
            go_on = ot_checkpoint();
    journal(visit->id, "spun %s %.3f status=%u", go_on ? "quiet" : "stopped", since_mark(),
            ot_connection_status());
}

/* abort-fd=MS: waits in poll() until the client leaves, like an application's own event loop;
 * notes the time by the test's clock. */
static void step_abort_fd(struct visit *visit, const char *value)
{
    const struct timespec zero = {0};
    struct pollfd wait = {.fd = ot_abort_fd(), .events = POLLIN};

    journal(visit->id, "polls %d", wait.fd >= 0);
    int got = poll(&wait, 1, (int)strtol(value, NULL, 10));
    double now = since(CLOCK_MONOTONIC, &zero);
    journal(visit->id, "polled %d %.3f status=%u", got, now, ot_connection_status());
}

/* ---- output and input in small pieces, without a flush ---- */

__attribute__((format(printf, 2, 3))) static void dot_va(FCGX_Stream *out, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    FCGX_VFPrintF(out, format, list);
    va_end(list);
}

/* dots=CALL:MS: one such call each 20 ms, up to that age of the mark. */
static void step_dots(struct visit *visit, const char *value)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    const char *colon = strchr(value, ':');
    double limit = colon != NULL ? strtod(colon + 1, NULL) : 0;
    char name[16];
    char byte = 0;

    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(value, ":"), value);
    for (int count = 0; since_mark() < limit; count++) {
        nanosleep(&pause, NULL);
        if (strcmp(name, "PutChar") == 0)
            (void)FCGX_PutChar('.', visit->out);
        else if (strcmp(name, "PutStr") == 0)
            (void)FCGX_PutStr(".", 1, visit->out);
        else if (strcmp(name, "PutS") == 0)
            (void)FCGX_PutS(".", visit->out);
        else if (strcmp(name, "FPrintF") == 0)
            (void)FCGX_FPrintF(visit->out, "%d", count % 10);
        else if (strcmp(name, "VFPrintF") == 0)
            dot_va(visit->out, "%s", ".");
        else if (strcmp(name, "HasSeenEOF") == 0)
            (void)FCGX_HasSeenEOF(visit->in);
        else if (strcmp(name, "GetChar") == 0)
            (void)FCGX_GetChar(visit->in);
        else if (strcmp(name, "GetStr") == 0)
            (void)FCGX_GetStr(&byte, 1, visit->in);
        else if (strcmp(name, "set_label") == 0)
            ot_set_label("dots");
    }
    journal(visit->id, "dotted %s", name);
}

/* ---- ot_on_news ---- */

static volatile sig_atomic_t news_pending;
static atomic_uint news_count;

static void news_arrived(void *argument)
{
    *(volatile sig_atomic_t *)argument = 1;
    atomic_fetch_add(&news_count, 1);
}

/* news=on|off */
static void step_news(struct visit *visit, const char *value)
{
    (void)visit;
    atomic_store(&news_count, 0);
    news_pending = 0;
    ot_on_news(strcmp(value, "on") == 0 ? news_arrived : NULL, (void *)&news_pending);
}

/* evaluate=MS: an interpreter that looks at nothing but its flag; with a call that waits, if
 * `evaluate=MS:wait`. */
static void step_evaluate(struct visit *visit, const char *value)
{
    double limit = strtod(value, NULL);
    bool waits = strchr(value, ':') != NULL;

    news_pending = 0;
    journal(visit->id, "evaluates");
    while (!news_pending && since_mark() < limit)
        if (waits)
            (void)poll(NULL, 0, (int)limit);
    journal(visit->id, "evaluated %d %.3f", (int)news_pending, since_mark());
}

/* deaf=MS: one that ignores its flag so long, and notes how often it was told. */
static void step_deaf(struct visit *visit, const char *value)
{
    double limit = strtod(value, NULL);
    unsigned before = atomic_load(&news_count);

    while (since_mark() < limit)
        (void)poll(NULL, 0, 20);
    journal(visit->id, "told %u", atomic_load(&news_count) - before);
}

/* ---- calls of the kernel that a signal would cut short ---- */

static int doze_receive(long ms)
{
    const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    int ends[2] = {-1, -1};
    char byte = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 ||
        setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
        return -1;
    int result = (int)recv(ends[0], &byte, 1, 0);
    close(ends[0]);
    close(ends[1]);
    return result;
}

static int doze_epoll(long ms)
{
    struct epoll_event event;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    int result = epoll_wait(fd, &event, 1, (int)ms);
    close(fd);
    return result;
}

/* doze=CALL:MS: one call that waits so long; notes for how long it did. */
static void step_doze(struct visit *visit, const char *value)
{
    char name[16];
    const char *colon = strchr(value, ':');
    long ms = colon != NULL ? strtol(colon + 1, NULL, 10) : 0;
    struct timespec start;
    struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    struct timeval brief = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(value, ":"), value);
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (strcmp(name, "sleep") == 0)
        (void)sleep((unsigned)(ms / 1000));
    else if (strcmp(name, "usleep") == 0)
        (void)usleep((useconds_t)ms * 1000);
    else if (strcmp(name, "nanosleep") == 0)
        (void)nanosleep(&span, NULL);
    else if (strcmp(name, "poll") == 0)
        (void)poll(NULL, 0, (int)ms);
    else if (strcmp(name, "select") == 0)
        (void)select(0, NULL, NULL, NULL, &brief);
    else if (strcmp(name, "epoll_wait") == 0)
        (void)doze_epoll(ms);
    else if (strcmp(name, "recv") == 0)
        (void)doze_receive(ms);
    journal(visit->id, "dozed %s %.3f", name, since(CLOCK_MONOTONIC, &start));
}

/* ---- code that does not return, and does not call the library ---- */

static void step_malloc(struct visit *visit, const char *value)
{
    (void)value;
    journal(visit->id, "stuck malloc");
    for (size_t size = 1;; size = size * 7 % 100003 + 1) {
        char *volatile block = malloc(size);
        free(block);
    }
}

static void step_endless(struct visit *visit, const char *value)
{
    volatile unsigned turns = 0;

    (void)value;
    journal(visit->id, "stuck endless");
    for (;;)
        turns = turns + 1;
}

/* block=read|poll|nanosleep: a call that waits until a signal ends it. */
static void step_block(struct visit *visit, const char *value)
{
    const struct timespec day = {.tv_sec = 86400};
    int ends[2] = {-1, -1};
    char byte = 0;

    if (pipe(ends) != 0)
        return;
    journal(visit->id, "stuck %s", value);
    for (;;) {
        struct pollfd wait = {.fd = ends[0], .events = POLLIN};
        ssize_t result = strcmp(value, "read") == 0   ? read(ends[0], &byte, 1)
                         : strcmp(value, "poll") == 0 ? poll(&wait, 1, -1)
                                                      : nanosleep(&day, NULL);
        journal(visit->id, "woken %s %zd", value, result);
    }
}

static void step_pthread_exit(struct visit *visit, const char *value)
{
    (void)value;
    journal(visit->id, "pthread-exit");
    pthread_exit(NULL);
}

/* ---- shutdown functions ---- */

static void on_shutdown(void *argument)
{
    journal(current_id, "shutdown %s finished=%d status=%u", (const char *)argument,
            ot_request_finished(), ot_connection_status());
}

/* Notes the time since the mark, and the processor time. */
static void on_shutdown_clock(void *argument)
{
    double age = since_mark();
    journal(current_id, "clock %s %.3f %.3f status=%u", (const char *)argument, age,
            since(CLOCK_THREAD_CPUTIME_ID, &cpu_mark), ot_connection_status());
}

static void on_shutdown_late(void *argument)
{
    journal(current_id, "shutdown %s", (const char *)argument);
    if (!ot_register_shutdown_function(on_shutdown, argument))
        journal(current_id, "refused %s", (const char *)argument);
}

static void on_shutdown_finish(void *argument)
{
    bool ended = ot_finish_request();
    journal(current_id, "shutdown %s finish=%d", (const char *)argument, ended);
}

static void on_shutdown_text(void *argument)
{
    int put = FCGX_PutS(argument, current_out);
    journal(current_id, "shutdown text %s put=%d finished=%d", (const char *)argument, put,
            ot_request_finished());
}

static void on_shutdown_wait(void *argument)
{
    journal(current_id, "shutdown wait %s", (const char *)argument);
    wait_for_file(argument);
}

static void on_shutdown_exit(void *argument)
{
    journal(current_id, "shutdown exit %s", (const char *)argument);
    exit((int)strtol(argument, NULL, 10));
}

static void on_shutdown_pthread_exit(void *argument)
{
    journal(current_id, "shutdown pthread-exit %s", (const char *)argument);
    pthread_exit(NULL);
}

/* Safe points up to that age in milliseconds, counted from its own begin. */
static void on_shutdown_spin(void *argument)
{
    double limit = strtod(argument, NULL);
    bool go_on = true;

    set_mark();
    journal(current_id, "shutdown spin %s", (const char *)argument);
    while (go_on && since_mark() < limit) {
        nanosleep(&one_ms, NULL);
        go_on = ot_checkpoint();
    }
    journal(current_id, "spun %s %.3f status=%u", go_on ? "quiet" : "stopped", since_mark(),
            ot_connection_status());
}

/* A time limit of its own, in seconds. */
static void on_shutdown_limit(void *argument)
{
    bool set = ot_set_time_limit((unsigned)strtoul(argument, NULL, 10));
    journal(current_id, "shutdown limit %s set=%d", (const char *)argument, set);
}

static void on_shutdown_stuck(void *argument)
{
    volatile unsigned turns = 0;

    journal(current_id, "shutdown stuck %s", (const char *)argument);
    for (;;)
        turns = turns + 1;
}

static const struct shutdown_kind {
    const char *name;
    void (*function)(void *argument);
} shutdown_kinds[] = {
    {"shutdown", on_shutdown},
    {"shutdown-clock", on_shutdown_clock},
    {"shutdown-late", on_shutdown_late},
    {"shutdown-finish", on_shutdown_finish},
    {"shutdown-text", on_shutdown_text},
    {"shutdown-wait", on_shutdown_wait},
    {"shutdown-exit", on_shutdown_exit},
    {"shutdown-pthread-exit", on_shutdown_pthread_exit},
    {"shutdown-spin", on_shutdown_spin},
    {"shutdown-limit", on_shutdown_limit},
    {"shutdown-stuck", on_shutdown_stuck},
};

/* later=KIND:TEXT: registers a shutdown function of that kind with the text. The thread owns the
 * texts, so that nothing leaks when a function is lost. */
static void step_later(struct visit *visit, const char *value)
{
    const char *text = strchr(value, ':');
    size_t length = text == NULL ? strlen(value) : (size_t)(text - value);

    text = text == NULL ? "" : text + 1;
    for (size_t at = 0; at < sizeof shutdown_kinds / sizeof shutdown_kinds[0]; at++) {
        const struct shutdown_kind *kind = &shutdown_kinds[at];
        const char *name = kind->name + strlen("shutdown");
        if (*name == '-')
            name++;
        if (strlen(name) != length || strncmp(name, value, length) != 0)
            continue;
        char *copy = names[names_used++ % NAMES_MAX];
        (void)snprintf(copy, NAME_SIZE, "%s", text);
        if (!ot_register_shutdown_function(kind->function, copy))
            journal(visit->id, "refused %s", value);
        return;
    }
    journal(visit->id, "unknown later=%s", value);
}

/* away=MS: this long the program works after the request, before it accepts the next one. */
static _Thread_local long away_ms;

static void step_away(struct visit *visit, const char *value)
{
    (void)visit;
    away_ms = strtol(value, NULL, 10);
}

static void work_between_requests(void)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    (void)poll(NULL, 0, (int)away_ms);
    journal("-", "away %.3f", since(CLOCK_MONOTONIC, &start));
    away_ms = 0;
}

static const struct step steps_own[] = {
    {"finish", step_finish}, {"status", step_status},
    {"ignore", step_ignore}, {"limit", step_limit},
    {"label", step_label},   {"checkpoint", step_checkpoint},
    {"look", step_look},     {"until", step_until},
    {"flow", step_flow},     {"spin", step_spin},
    {"busy", step_busy},     {"abort-fd", step_abort_fd},
    {"malloc", step_malloc}, {"endless", step_endless},
    {"block", step_block},   {"pthread-exit", step_pthread_exit},
    {"later", step_later},   {"away", step_away},
    {"doze", step_doze},     {"dots", step_dots},
    {"news", step_news},     {"evaluate", step_evaluate},
    {"deaf", step_deaf},     {NULL, NULL},
};

/* ---- serving ---- */

static int serve(FCGX_Request *request, void *argument)
{
    struct visit visit = {
        .in = request->in, .out = request->out, .envp = request->envp, .request = request};
    const char *query = FCGX_GetParam("QUERY_STRING", visit.envp);
    const char *id = query != NULL && strncmp(query, "id=", 3) == 0 ? query + 3 : "-";

    (void)argument;
    (void)snprintf(current_id, sizeof current_id, "%.*s", (int)strcspn(id, "&"), id);
    current_out = request->out;
    names_used = 0;
    set_mark();
    steps_serve(&visit, steps_own);
    return 0;
}

static void accept_requests(bool finish)
{
    /* Not on the stack: pthread_exit() inside a handler leaves this frame before the request ends.
     */
    static _Thread_local FCGX_Request request;

    if (FCGX_InitRequest(&request, 0, 0) != 0)
        return;
    while (FCGX_Accept_r(&request) >= 0) {
        serve(&request, NULL);
        if (finish)
            FCGX_Finish_r(&request);
        if (away_ms > 0)
            work_between_requests();
    }
    FCGX_Free(&request, 1);
}

static void *thread_main(void *mode)
{
    if (strcmp(mode, "run") == 0)
        ot_run(serve, NULL);
    else
        accept_requests(strcmp(mode, "finish") == 0);
    return NULL;
}

static void run_threads(long count, char *mode)
{
    pthread_t threads[THREADS_MAX];
    long started = 0;

    while (started < count && pthread_create(&threads[started], NULL, thread_main, mode) == 0)
        started++;
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

int main(int argc, char **argv)
{
    char *mode = (char[]){"run"};
    long threads = 1;
    int option = 0;

    while ((option = getopt(argc, argv, "m:t:")) != -1) {
        if (option == 'm')
            mode = optarg;
        else if (option == 't')
            threads = strtol(optarg, NULL, 10);
    }
    if (optind + 1 != argc || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: life [-m run|loop|finish] [-t THREADS] DIRECTORY\n");
        return 64;
    }
    steps_directory = argv[optind];
    signal(SIGCHLD, SIG_IGN);
    if (FCGX_Init() != 0)
        return 70;
    if (threads > 1)
        run_threads(threads, mode);
    else
        thread_main(mode);
    journal("-", "bye %u", atomic_load(&steps_requests));
    return 0;
}
