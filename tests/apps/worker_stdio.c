/* worker_stdio.c: an application written with fcgi_stdio.h, where printf and getchar speak FastCGI.
 *
 * Notes in the journal what it saw; `finish` in the query string ends the response before the rest,
 * `wait=FILE` as in steps.h.
 *
 * usage: worker_stdio DIRECTORY
 */
#include "steps.h"

#include <fcgi_stdio.h>

#include "sapi-shim/overtime.h"

static void on_shutdown(void *argument)
{
    (void)argument;
    journal("stdio", "shutdown finished=%d", ot_request_finished());
}

static void serve(const char *query)
{
    const char *method = getenv("REQUEST_METHOD");
    int count = 0;

    ot_register_shutdown_function(on_shutdown, NULL);
    while (getchar() != EOF)
        count++;
    printf("Content-Type: text/plain\r\n\r\nread %d\n", count);
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
