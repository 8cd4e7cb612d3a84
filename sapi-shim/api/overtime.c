/* overtime.c: the public calls on the calling thread's current request; overtime.h says what they
 * promise. ot_run is in libfcgi.c.
 */
#include "sapi-shim/overtime.h"
#include "sapi-shim/request/news.h"
#include "sapi-shim/request/request.h"
#include "sapi-shim/scoreboard/worker_slot.h"

#include <errno.h>

#define OVERTIME_EXPORT __attribute__((visibility("default")))

_Static_assert(OT_ABORTED == OT_BIT_ABORTED && OT_TIMEOUT == OT_BIT_TIMEOUT,
               "the application and the scoreboard see the same bits");

OVERTIME_EXPORT bool ot_finish_request(void)
{
    struct request *request = request_current();
    int saved = errno;
    bool done = request != NULL && request_finish(request);
    errno = saved;
    return done;
}

OVERTIME_EXPORT bool ot_request_finished(void)
{
    const struct request *request = request_current();
    return request != NULL && !request_is_open(request);
}

OVERTIME_EXPORT unsigned ot_connection_status(void)
{
    struct request *request = request_current();
    int saved = errno;
    unsigned status = request != NULL ? request_status(request) : OT_NORMAL;
    errno = saved;
    return status;
}

OVERTIME_EXPORT bool ot_connection_aborted(void)
{
    return (ot_connection_status() & OT_ABORTED) != 0;
}

OVERTIME_EXPORT int ot_ignore_user_abort(int setting)
{
    struct request *request = request_current();
    if (request == NULL)
        return worker_slot_settings()->ignore_user_abort != 0;
    int saved = errno;
    int before = request_ignore_abort(request, setting);
    errno = saved;
    return before;
}

OVERTIME_EXPORT bool ot_set_time_limit(unsigned seconds)
{
    struct request *request = request_current();
    int saved = errno;
    bool done = request != NULL && request_set_time_limit(request, seconds);
    errno = saved;
    return done;
}

OVERTIME_EXPORT bool ot_register_shutdown_function(void (*function)(void *), void *argument)
{
    struct request *request = request_current();
    int saved = errno;
    bool done = request != NULL && function != NULL &&
                shutdown_functions_add(&request->functions, function, argument);
    errno = saved;
    return done;
}

OVERTIME_EXPORT void ot_on_news(void (*function)(void *), void *argument)
{
    struct request *request = request_current();
    int saved = errno;
    news_set(function, argument);
    if (request != NULL)
        request_news_changed(request);
    errno = saved;
}

OVERTIME_EXPORT bool ot_checkpoint(void)
{
    struct request *request = request_current();
    int saved = errno;
    bool go_on = request == NULL || request_safe_point(request);
    errno = saved;
    return go_on;
}

OVERTIME_EXPORT int ot_abort_fd(void)
{
    struct request *request = request_current();
    int saved = errno;
    int fd = request != NULL ? request_abort_fd(request) : -1;
    errno = saved;
    return fd;
}

OVERTIME_EXPORT void ot_set_label(const char *text)
{
    struct request *request = request_current();
    int saved = errno;
    if (request != NULL) {
        request_set_label(request, text);
        (void)request_safe_point(request);
    }
    errno = saved;
}
