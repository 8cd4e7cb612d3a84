/* worker.c: the application of most tests; does what the query string says (steps.h).
 *
 * usage: worker [-c] [-s] [-m loop|finish|accept|run] [-t THREADS] DIRECTORY
 *   loop    FCGX_Accept_r alone, which ends the request before it (the default)
 *   finish  FCGX_Accept_r and FCGX_Finish_r
 *   accept  FCGX_Accept
 *   run     ot_run
 * -s: never accepts. -c: first closes all descriptors but the standard ones and opens others in
 * their place.
 */
#include "sapi-shim/overtime.h"
#include "steps.h"

#include <locale.h>
#include <pthread.h>
#include <signal.h>

enum {
    THREADS_MAX = 64
};

/* Id of the thread's current request, for shutdown functions, which run after its handler. */
static _Thread_local char current_id[64];

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
    journal(visit->id, "limit %d", ot_set_time_limit((unsigned)strtoul(value, NULL, 10)));
}

static void step_label(struct visit *visit, const char *value)
{
    (void)visit;
    ot_set_label(value);
}

/* locale=NAME: of the whole process from then on. */
static void step_locale(struct visit *visit, const char *value)
{
    journal(visit->id, "locale %s", setlocale(LC_ALL, value) != NULL ? value : "(none)");
}

static void step_checkpoint(struct visit *visit, const char *value)
{
    (void)value;
    journal(visit->id, "checkpoint %d", ot_checkpoint());
}

/* poll=MS times: safe points in a row until one says that the request should end. */
static void step_poll(struct visit *visit, const char *value)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    long limit = strtol(value, NULL, 10);
    bool go_on = true;

    for (long count = 0; count < limit && go_on; count++) {
        nanosleep(&pause, NULL);
        go_on = ot_checkpoint();
    }
    journal(visit->id, "poll %s status=%u", go_on ? "quiet" : "stopped", ot_connection_status());
}

static void on_shutdown(void *argument)
{
    journal(current_id, "shutdown %s finished=%d", (const char *)argument, ot_request_finished());
    free(argument);
}

/* A shutdown function that registers another one. */
static void on_shutdown_late(void *argument)
{
    char *text = argument;
    char *later = NULL;

    journal(current_id, "shutdown %s finished=%d", text, ot_request_finished());
    if (asprintf(&later, "%s-later", text) < 0 ||
        !ot_register_shutdown_function(on_shutdown, later))
        journal(current_id, "refused %s-later", text);
    free(text);
}

/* One that finishes the response itself. */
static void on_shutdown_finish(void *argument)
{
    journal(current_id, "shutdown %s finish=%d", (const char *)argument, ot_finish_request());
    free(argument);
}

static void on_shutdown_wait(void *argument)
{
    journal(current_id, "shutdown wait %s", (const char *)argument);
    wait_for_file(argument);
    free(argument);
}

static void on_shutdown_exit(void *argument)
{
    journal(current_id, "shutdown exit %s", (const char *)argument);
    int status = (int)strtol(argument, NULL, 10);
    free(argument);
    exit(status);
}

static void enlist(struct visit *visit, void (*function)(void *), const char *value)
{
    char *text = strdup(value);
    if (text == NULL || !ot_register_shutdown_function(function, text)) {
        journal(visit->id, "refused %s", value);
        free(text);
    }
}

static void step_shutdown(struct visit *visit, const char *value)
{
    enlist(visit, on_shutdown, value);
}

static void step_shutdown_late(struct visit *visit, const char *value)
{
    enlist(visit, on_shutdown_late, value);
}

static void step_shutdown_finish(struct visit *visit, const char *value)
{
    enlist(visit, on_shutdown_finish, value);
}

static void step_shutdown_wait(struct visit *visit, const char *value)
{
    enlist(visit, on_shutdown_wait, value);
}

static void step_shutdown_exit(struct visit *visit, const char *value)
{
    enlist(visit, on_shutdown_exit, value);
}

static const struct step steps_own[] = {
    {"finish", step_finish},
    {"status", step_status},
    {"ignore", step_ignore},
    {"limit", step_limit},
    {"label", step_label},
    {"locale", step_locale},
    {"checkpoint", step_checkpoint},
    {"poll", step_poll},
    {"shutdown", step_shutdown},
    {"shutdown-late", step_shutdown_late},
    {"shutdown-finish", step_shutdown_finish},
    {"shutdown-wait", step_shutdown_wait},
    {"shutdown-exit", step_shutdown_exit},
    {NULL, NULL},
};

static void serve(struct visit *visit)
{
    /* The id is needed after a bailout too, so it is taken before the steps begin. */
    const char *query = FCGX_GetParam("QUERY_STRING", visit->envp);
    const char *id = query != NULL && strncmp(query, "id=", 3) == 0 ? query + 3 : "-";
    (void)snprintf(current_id, sizeof current_id, "%.*s", (int)strcspn(id, "&"), id);
    steps_serve(visit, steps_own);
}

static int serve_request(FCGX_Request *request, void *argument)
{
    (void)argument;
    struct visit visit = {
        .in = request->in, .out = request->out, .envp = request->envp, .request = request};
    serve(&visit);
    return 0;
}

static void accept_requests(bool finish)
{
    FCGX_Request request;

    if (FCGX_InitRequest(&request, 0, 0) != 0)
        return;
    while (FCGX_Accept_r(&request) >= 0) {
        serve_request(&request, NULL);
        if (finish)
            FCGX_Finish_r(&request);
    }
    FCGX_Free(&request, 1);
}

static void *thread_main(void *mode)
{
    if (strcmp(mode, "run") == 0)
        ot_run(serve_request, NULL);
    else
        accept_requests(strcmp(mode, "finish") == 0);
    return NULL;
}

static void accept_globally(void)
{
    struct visit visit = {0};
    FCGX_Stream *err = NULL;

    while (FCGX_Accept(&visit.in, &visit.out, &err, &visit.envp) >= 0) {
        serve(&visit);
        visit = (struct visit){0};
    }
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

/* As programs do that close all they might have inherited. */
static void reuse_descriptors(void)
{
    closefrom(3);
    for (int i = 3; i < 9; i++)
        (void)open("/dev/null", O_RDWR | O_CLOEXEC);
}

int main(int argc, char **argv)
{
    char *mode = (char[]){"loop"};
    long threads = 1;
    int option = 0;

    while ((option = getopt(argc, argv, "csm:t:")) != -1) {
        if (option == 'm')
            mode = optarg;
        else if (option == 't')
            threads = strtol(optarg, NULL, 10);
        else if (option == 's')
            for (;;)
                pause();
        else if (option == 'c')
            reuse_descriptors();
    }
    if (optind + 1 != argc || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: worker [-c] [-m loop|finish|accept|run] [-t THREADS] DIRECTORY\n");
        return 64;
    }
    steps_directory = argv[optind];
    signal(SIGCHLD, SIG_IGN);
    if (FCGX_Init() != 0)
        return 70;
    if (threads > 1)
        run_threads(threads, mode);
    else if (strcmp(mode, "accept") == 0)
        accept_globally();
    else
        thread_main(mode);
    journal("-", "bye %u", atomic_load(&steps_requests));
    return 0;
}
