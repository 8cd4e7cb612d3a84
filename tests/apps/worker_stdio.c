/* worker_stdio.c: an application written with fcgi_stdio.h, where printf and getchar speak FastCGI.
 *
 * Notes in the journal what it saw; `finish` in the query string ends the response before the rest,
 * `wait=FILE` as in steps.h.
 *
 * usage: worker_stdio DIRECTORY
 */
#include "sapi-shim/overtime.h"
#include "steps.h"

#include <fcgi_stdio.h>

static void on_shutdown(void *argument)
{
    (void)argument;
    journal("stdio", "shutdown finished=%d", ot_request_finished());
}

/* dots=NAME: one small output each 20 ms, for a minute at the most. */
static void dots(const char *name)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    for (int turn = 0; turn < 3000; turn++) {
        nanosleep(&pause, NULL);
        if (strcmp(name, "printf") == 0)
            printf(".");
        else if (strcmp(name, "putchar") == 0)
            putchar('.');
        else if (strcmp(name, "fputs") == 0)
            fputs(".", stdout);
        else if (strcmp(name, "fwrite") == 0)
            fwrite((char[]){"."}, 1, 1, stdout);
        else if (strcmp(name, "feof") == 0)
            (void)feof(stdin);
    }
}

static void serve(const char *query)
{
    const char *method = getenv("REQUEST_METHOD");
    int count = 0;

    ot_register_shutdown_function(on_shutdown, NULL);
    while (getchar() != EOF)
        count++;
    printf("Content-Type: text/plain\r\n\r\nread %d\n", count);
    if (strncmp(query, "dots=", 5) == 0)
        dots(query + 5);
    if (strstr(query, "finish") == NULL)
        return;
    journal("stdio", "finish %d", ot_finish_request());
    printf("never seen\n");
    if (strstr(query, "wait=go") != NULL)
        wait_for_file("go");
    journal("stdio", "after method=%s", method == NULL ? "(none)" : method);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 64;
    steps_directory = argv[1];
    while (FCGI_Accept() >= 0) {
        const char *query = getenv("QUERY_STRING");
        serve(query == NULL ? "" : query);
    }
    journal("stdio", "bye");
    return 0;
}
