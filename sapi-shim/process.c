/* process.c: see process.h. */
#include "sapi-shim/process.h"
#include "sapi-shim/board.h"
#include "sapi-shim/conn.h"
#include "sapi-shim/drain.h"
#include "sapi-shim/note.h"
#include "sapi-shim/recycle.h"
#include "sapi-shim/request.h"
#include "sapi-shim/tick.h"
#include "sapi-shim/timer.h"
#include "sapi-shim/wait.h"
#include "sapi-shim/watch.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static pthread_key_t process_key;
static _Thread_local void (*process_last_word)(void); /* not NULL: the thread has started */

/* exit() is an end like any other for the thread's own request. Registered when serving begins, so
 * that the shutdown functions run before whatever the application registered while it started. */
static void process_at_exit(void)
{
    struct request *request = request_current();
    size_t others = request_open_elsewhere();
    request_exiting();
    /* exit() inside a shutdown function never comes back here: the request ends in another call. */
    if (request != NULL && atexit(process_at_exit) == 0)
        request_end(request);
    if (others > 0)
        note("pool %s: exit() cut off %zu request%s of other threads", board_pool(), others,
             others == 1 ? "" : "s");
    wait_leave();
    if (process_last_word != NULL)
        board_state(OT_STATE_EXITING);
}

static void process_thread_end(void *unused)
{
    struct request *request = request_current();
    (void)unused;
    if (request != NULL)
        request_end(request);
    timer_thread_end();
    watch_thread_end();
    board_thread_end();
    conn_thread_end();
    process_last_word();
}

static void process_before_fork(void)
{
    conn_expect_children();
}

static void process_in_child(void)
{
    request_after_fork();
    timer_after_fork();
    watch_thread_end();
    conn_after_fork();
    wait_after_fork();
    drain_after_fork();
    recycle_after_fork();
}

static void process_register(void)
{
    timer_init(tick_request);
    drain_spare(timer_signal());
    if (atexit(process_at_exit) != 0 ||
        pthread_atfork(process_before_fork, NULL, process_in_child) != 0 ||
        pthread_key_create(&process_key, process_thread_end) != 0)
        note("out of memory while starting: shutdown functions may not run at exit()");
}

void process_start(void (*thread_end)(void))
{
    if (process_last_word != NULL)
        return;
    process_last_word = thread_end;
    (void)pthread_once(&process_once, process_register);
    (void)pthread_setspecific(process_key, (void *)&process_last_word);
}

/* Before main(), where a child of the application could already go wrong. */
__attribute__((constructor)) static void process_load(void)
{
    board_open();
    recycle_open();
}
