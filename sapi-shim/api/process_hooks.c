/* process_hooks.c: see process_hooks.h. */
#include "sapi-shim/api/process_hooks.h"

#include "sapi-shim/access_log/log_pipe.h"
#include "sapi-shim/connection/conn.h"
#include "sapi-shim/connection/conn_handoff.h"
#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/connection/wait_set.h"
#include "sapi-shim/request/limit_timer.h"
#include "sapi-shim/request/peer_watch.h"
#include "sapi-shim/request/recycling.h"
#include "sapi-shim/request/request.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/status/status_handler.h"
#include "sapi-shim/util/diagnostics.h"
#include "sapi-shim/util/timer.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_once_t process_hooks_once = PTHREAD_ONCE_INIT;
static pthread_key_t process_hooks_key;
static _Thread_local void (*process_hooks_thread_ended)(void); /* not NULL: the thread serves */

/* ---- the library is loaded, before main() ---- */

__attribute__((constructor)) static void process_hooks_load(void)
{
    worker_slot_load();
    recycling_open();
}

/* ---- a process or a thread starts to serve, forks, or ends ---- */

/* A forked child gives back what the manager handed to its parent. */
static void process_hooks_detach_child(void)
{
    worker_slot_after_fork();
    conn_handoff_after_fork();
    status_handler_after_fork();
    log_pipe_after_fork();
    recycling_after_fork();
}

/* The first accept says that this process serves. Processes that were forked before it, and serve
 * too, have no slot. */
static void process_hooks_attach(void)
{
    const struct inheritance *found = worker_slot_attach();
    struct status_source source;
    if (found == NULL)
        return;
    if (found->board != NULL && status_open(found->board, found->size, &source))
        status_handler_open(&source, 1, OT_FD_LISTEN, NULL);
    if (found->intact) {
        conn_handoff_attach();
        log_pipe_attach(found->board, found->own, found->slot);
    }
    recycling_open();
    if (found->board != NULL && found->own == NULL)
        diagnostics_write("pool %s: process %d serves beside another one of the same worker: its "
                          "requests are in neither status nor access log; better let the manager "
                          "start the processes (pm.max_children) than the application",
                          worker_slot_pool(), (int)getpid());
    if (pthread_atfork(NULL, NULL, process_hooks_detach_child) != 0)
        diagnostics_write("out of memory while starting: a forked child may write into the slot");
}

/* exit() ends the thread's own request like any other. Registered when serving begins, so that the
 * shutdown functions run before whatever the application registered while it started. */
static void process_hooks_at_exit(void)
{
    struct request *request = request_current();
    if (worker_slot_settings()->post_response_until_accept != 0)
        request_let_others_accept();
    size_t others = request_open_elsewhere();
    request_exiting();
    /* A shutdown function that calls exit() does not return here. The handler, registered once
     * more, then ends the request. */
    if (request != NULL && atexit(process_hooks_at_exit) == 0)
        request_end(request);
    if (others > 0)
        diagnostics_write("pool %s: exit() cut off %zu request%s of other threads",
                          worker_slot_pool(), others, others == 1 ? "" : "s");
    wait_set_exit();
    timer_thread_end();
    if (process_hooks_thread_ended != NULL)
        worker_slot_state(OT_STATE_EXITING);
}

static void process_hooks_at_thread_end(void *unused)
{
    struct request *request = request_current();
    if (request != NULL)
        request_end(request);
    timer_thread_end();
    peer_watch_thread_end();
    worker_slot_thread_end();
    conn_thread_end();
    process_hooks_thread_ended();
}

static void process_hooks_in_child(void)
{
    request_after_fork();
    timer_after_fork();
    peer_watch_thread_end();
    conn_after_fork();
    wait_set_after_fork();
    graceful_stop_after_fork();
}

static void process_hooks_register(void)
{
    process_hooks_attach();
    timer_init(limit_timer_check);
    graceful_stop_block(timer_signal());
    if (atexit(process_hooks_at_exit) != 0 ||
        pthread_atfork(conn_expect_children, NULL, process_hooks_in_child) != 0 ||
        pthread_key_create(&process_hooks_key, process_hooks_at_thread_end) != 0)
        diagnostics_write("out of memory while starting: shutdown functions may not run at exit()");
}

void process_hooks_start(void (*thread_ended)(void))
{
    if (process_hooks_thread_ended != NULL)
        return;
    process_hooks_thread_ended = thread_ended;
    (void)pthread_once(&process_hooks_once, process_hooks_register);
    (void)pthread_setspecific(process_hooks_key, (void *)&process_hooks_thread_ended);
}
