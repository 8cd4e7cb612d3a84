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

/* The body of most functions: a call on the current request, which must not change errno. A call
 * that changes something is a safe point after it has done so: what was just registered is released
 * when the request ends there. */
#define OVERTIME_DO(type, without, call, safe_point)                                               \
    struct request *request = request_current();                                                   \
    int saved = errno;                                                                             \
    type result = request != NULL ? (call) : (without);                                            \
    if ((safe_point) && request != NULL)                                                           \
        (void)request_safe_point(request);                                                         \
    errno = saved;                                                                                 \
    return result
#define OVERTIME_CALL(type, without, call)   OVERTIME_DO(type, without, call, false)
#define OVERTIME_CHANGE(type, without, call) OVERTIME_DO(type, without, call, true)

OVERTIME_EXPORT bool ot_finish_request(void)
{
    OVERTIME_CALL(bool, false, request_finish(request));
}

OVERTIME_EXPORT bool ot_request_finished(void)
{
    OVERTIME_CALL(bool, false, !request_is_open(request));
}

OVERTIME_EXPORT unsigned ot_connection_status(void)
{
    OVERTIME_CALL(unsigned, OT_NORMAL, request_status(request));
}

OVERTIME_EXPORT bool ot_connection_aborted(void)
{
    return (ot_connection_status() & OT_ABORTED) != 0;
}

OVERTIME_EXPORT int ot_ignore_user_abort(int setting)
{
    OVERTIME_DO(int, worker_slot_settings()->ignore_user_abort != 0,
                request_ignore_abort(request, setting), setting >= 0);
}

OVERTIME_EXPORT bool ot_set_time_limit(unsigned seconds)
{
    OVERTIME_CHANGE(bool, false, request_set_time_limit(request, seconds));
}

OVERTIME_EXPORT bool ot_register_shutdown_function(void (*function)(void *), void *argument)
{
    OVERTIME_CHANGE(bool, false,
                    function != NULL &&
                        shutdown_functions_add(&request->functions, function, argument));
}

OVERTIME_EXPORT bool ot_checkpoint(void)
{
    OVERTIME_CALL(bool, true, request_safe_point(request));
}

OVERTIME_EXPORT int ot_abort_fd(void)
{
    OVERTIME_CALL(int, -1, request_abort_fd(request));
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
