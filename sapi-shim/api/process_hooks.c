/* process_hooks.c: see process_hooks.h. */
#include "sapi-shim/api/process_hooks.h"

#include "sapi-shim/connection/conn.h"
#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/connection/wait_set.h"
#include "sapi-shim/request/limit_timer.h"
#include "sapi-shim/request/peer_watch.h"
#include "sapi-shim/request/recycling.h"
#include "sapi-shim/request/request.h"
#include "sapi-shim/request/timer.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/diagnostics.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_once_t process_hooks_once = PTHREAD_ONCE_INIT;
static pthread_key_t process_hooks_key;
static _Thread_local void (*process_hooks_last_word)(void); /* not NULL: the thread has started */

/* exit() is an end like any other for the thread's own request. Registered when serving begins, so
 * that the shutdown functions run before whatever the application registered while it started. */
static void process_hooks_at_exit(void)
{
    struct request *request = request_current();
    size_t others = request_open_elsewhere();
    request_exiting();
    /* exit() inside a shutdown function never comes back here: the request ends in another call. */
    if (request != NULL && atexit(process_hooks_at_exit) == 0)
        request_end(request);
    if (others > 0)
        diagnostics_write("pool %s: exit() cut off %zu request%s of other threads",
                          worker_slot_pool(), others, others == 1 ? "" : "s");
    wait_set_leave();
    if (process_hooks_last_word != NULL)
        worker_slot_state(OT_STATE_EXITING);
}

static void process_hooks_thread_end(void *unused)
{
    struct request *request = request_current();
    (void)unused;
    if (request != NULL)
        request_end(request);
    timer_thread_end();
    peer_watch_thread_end();
    worker_slot_thread_end();
    conn_thread_end();
    process_hooks_last_word();
}

static void process_hooks_before_fork(void)
{
    conn_expect_children();
}

static void process_hooks_in_child(void)
{
    request_after_fork();
    timer_after_fork();
    peer_watch_thread_end();
    conn_after_fork();
    wait_set_after_fork();
    graceful_stop_after_fork();
    recycling_after_fork();
}

static void process_hooks_register(void)
{
    timer_init(limit_timer_request);
    graceful_stop_spare(timer_signal());
    if (atexit(process_hooks_at_exit) != 0 ||
        pthread_atfork(process_hooks_before_fork, NULL, process_hooks_in_child) != 0 ||
        pthread_key_create(&process_hooks_key, process_hooks_thread_end) != 0)
        diagnostics_write("out of memory while starting: shutdown functions may not run at exit()");
}

void process_hooks_start(void (*thread_end)(void))
{
    if (process_hooks_last_word != NULL)
        return;
    process_hooks_last_word = thread_end;
    (void)pthread_once(&process_hooks_once, process_hooks_register);
    (void)pthread_setspecific(process_hooks_key, (void *)&process_hooks_last_word);
}

/* Before main(), where a child of the application could already go wrong. */
__attribute__((constructor)) static void process_hooks_load(void)
{
    worker_slot_open();
    recycling_open();
}
