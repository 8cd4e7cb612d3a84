/* worker_plain.c: an ordinary libfcgi program, without Overtime's library.
 *
 * Runs under the preload build of the library, under a plain spawner, or alone. The step `finish`
 * is libfcgi's FCGX_Finish_r; what follows is post-response work.
 *
 * usage: worker_plain DIRECTORY
 */
#include "steps.h"

#include <signal.h>

static void step_finish(struct visit *visit, const char *value)
{
    (void)value;
    head(visit);
    FCGX_Finish_r(visit->request);
    visit->in = visit->out = NULL;
    visit->envp = NULL;
    journal(visit->id, "finish");
}

static const struct step steps_own[] = {
    {"finish", step_finish},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    FCGX_Request request;

    if (argc != 2) {
        fprintf(stderr, "usage: worker_plain DIRECTORY\n");
        return 64;
    }
    steps_directory = argv[1];
    signal(SIGCHLD, SIG_IGN);
    if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0)
        return 70;
    while (FCGX_Accept_r(&request) >= 0) {
        struct visit visit = {
            .in = request.in, .out = request.out, .envp = request.envp, .request = &request};
        steps_serve(&visit, steps_own);
        FCGX_Finish_r(&request);
    }
    FCGX_Free(&request, 1);
    journal("-", "bye %u", atomic_load(&steps_requests));
    return 0;
}
