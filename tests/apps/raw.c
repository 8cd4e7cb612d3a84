/* raw.c: answers with the request's body as it is, the head of the response included.
 *
 * usage: raw
 * A number as query string: flushes whenever so many bytes have been written.
 */
#include "sapi-shim/overtime.h"

#include <fcgiapp.h>
#include <stdio.h>
#include <stdlib.h>

static int serve(FCGX_Request *request, void *argument)
{
    const char *query = FCGX_GetParam("QUERY_STRING", request->envp);
    long piece = query != NULL ? strtol(query, NULL, 10) : 0;
    long count = 0;
    int c;

    (void)argument;
    while ((c = FCGX_GetChar(request->in)) != EOF) {
        if (FCGX_PutChar(c, request->out) == EOF)
            return 1;
        if (piece > 0 && ++count % piece == 0)
            (void)FCGX_FFlush(request->out);
    }
    return 0;
}

int main(void)
{
    return ot_run(serve, NULL) == 0 ? 0 : 1;
}
