/* timer.c: see timer.h. */
#include "sapi-shim/request/timer.h"

#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static timer_callback *timer_call;
static int timer_number; /* of the signal; 0 = none */
static _Thread_local timer_t timer_id;
static _Thread_local bool timer_made;
static _Thread_local volatile uint64_t timer_due; /* 0 = not running */

static void timer_set(uint64_t at)
{
    struct itimerspec when;
    memset(&when, 0, sizeof when);
    when.it_value.tv_sec = (time_t)(at / CLOCK_NS_PER_S);
    when.it_value.tv_nsec = (long)(at % CLOCK_NS_PER_S);
    timer_due = at;
    (void)timer_settime(timer_id, TIMER_ABSTIME, &when, NULL);
}

static void timer_handler(int number)
{
    int saved = errno;
    uint64_t now = clock_ns();
    uint64_t next = timer_call(now);
    (void)number;
    /* The timer may still be running: peer_watch uses the signal as well. */
    if (timer_due != 0 && timer_due <= now)
        timer_due = 0;
    if (timer_made && next != 0 && (timer_due == 0 || next < timer_due))
        timer_set(next > now ? next : now + 1);
    errno = saved;
}

/* Searches from the top: applications take their real-time signals from the bottom. */
static int timer_free_signal(void)
{
    for (int number = SIGRTMAX - 1; number > SIGRTMIN; number--) {
        struct sigaction before;
        if (sigaction(number, NULL, &before) == 0 && !(before.sa_flags & SA_SIGINFO) &&
            before.sa_handler == SIG_DFL)
            return number;
    }
    return 0;
}

void timer_init(timer_callback *callback)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = timer_handler;
    action.sa_flags = SA_RESTART;
    (void)sigfillset(&action.sa_mask);
    timer_call = callback;
    timer_number = timer_free_signal();
    if (timer_number == 0 || sigaction(timer_number, &action, NULL) < 0) {
        diagnostics_write(
            "no real-time signal is free: hard_timeout and abort_detection = instant are off");
        timer_number = 0;
    }
}

int timer_signal(void)
{
    return timer_number;
}

void timer_need(uint64_t at)
{
    atomic_signal_fence(memory_order_seq_cst);
    if (timer_number == 0 || (timer_due != 0 && timer_due <= at))
        return;
    if (!timer_made) {
        struct sigevent event;
        memset(&event, 0, sizeof event);
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = timer_number;
        event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
        if (timer_create(CLOCK_MONOTONIC, &event, &timer_id) < 0)
            return;
        timer_made = true;
    }
    timer_set(at);
}

void timer_thread_end(void)
{
    if (!timer_made)
        return;
    timer_made = false;
    (void)timer_delete(timer_id);
    timer_due = 0;
}

void timer_after_fork(void)
{
    timer_made = false;
    timer_due = 0;
}
