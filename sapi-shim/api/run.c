/* run.c: ot_run, the accept loop that a bailout can unwind to; see overtime.h.
 *
 * The only place that sets a request's jump target for its handler.
 */
#include "sapi-shim/api/wire.h"
#include "sapi-shim/overtime.h"
#include "sapi-shim/request/request.h"

#include <errno.h>

typedef int run_handler(struct FCGX_Request *, void *);

/* A handler that was left by a bailout has returned 0, as far as the loop is concerned. */
static int run_one(run_handler *handler, struct FCGX_Request *fcgx, void *argument)
{
    sigjmp_buf here;
    struct request *request = request_current();
    if (sigsetjmp(here, 0) != 0)
        return 0;
    if (request != NULL)
        request->unwind = &here;
    int result = handler(fcgx, argument);
    request = request_current();
    if (request != NULL)
        request->unwind = NULL;
    return result;
}

/* The jump target dies with run_one's frame: no shutdown function may see it. */
static void run_end(struct FCGX_Request *fcgx)
{
    struct request *request = request_current();
    if (request != NULL)
        request->unwind = NULL;
    libfcgi_finish(fcgx);
}

__attribute__((visibility("default"))) int ot_run(run_handler *handler, void *argument)
{
    struct FCGX_Request *fcgx = libfcgi_thread_request();
    int result = 0;
    if (fcgx == NULL)
        return -1;
    while (result == 0) {
        if (libfcgi_accept(fcgx) < 0) {
            result = errno == ESHUTDOWN ? 0 : -1;
            break;
        }
        result = run_one(handler, fcgx, argument);
        run_end(fcgx);
    }
    return result;
}
