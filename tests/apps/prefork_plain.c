/* prefork_plain.c: an ordinary libfcgi program that forks before it accepts, without Overtime's
 * library; for its preload build. FCGX_Accept, not FCGX_Accept_r.
 *
 * usage: prefork_plain COUNT
 * Reads a request's body to its end before it answers. COUNT processes accept, 0: the program
 * itself does. A response says which process it is, and what its children inherit: their
 * environment, then their descriptors.
 */
#include <fcgiapp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int serve(void)
{
    FCGX_Stream *in, *out, *err;
    FCGX_ParamArray envp;

    while (FCGX_Accept(&in, &out, &err, &envp) >= 0) {
        char line[4096];
        const char *query = FCGX_GetParam("QUERY_STRING", envp);
        FILE *child;

        while (FCGX_GetChar(in) != EOF) {
        }
        (void)FCGX_FPrintF(out, "Content-type: text/plain\r\n\r\nserver=%d\n", (int)getpid());
        if (query != NULL && strcmp(query, "exit") == 0)
            exit(0);
        child = popen("env; echo $(ls /proc/self/fd)", "re");
        while (child != NULL && fgets(line, sizeof line, child) != NULL)
            (void)FCGX_PutS(line, out);
        if (child != NULL)
            (void)pclose(child);
    }
    return 0;
}

static void stop(int number)
{
    (void)number;
    (void)kill(0, SIGKILL);
}

int main(int argc, char **argv)
{
    long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;

    if (count == 0)
        return serve();
    (void)signal(SIGTERM, stop);
    (void)signal(SIGQUIT, stop);
    while (count-- > 0)
        if (fork() == 0) {
            (void)signal(SIGTERM, SIG_DFL);
            (void)signal(SIGQUIT, SIG_DFL);
            return serve();
        }
    for (;;) {
        if (wait(NULL) > 0 && fork() == 0)
            return serve();
    }
}
