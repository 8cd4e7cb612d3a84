/* timer.c: see timer.h. */
#include "sapi-shim/util/timer.h"

#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* An application that is away from its requests for so long works there. */
#define TIMER_AWAY (20 * CLOCK_NS_PER_MS)

enum {
    TIMER_STOPS = 1000 /* requests after which such an application is no longer expected to */
};

/* A wait ends at least so long before the timer expires: the coarse clock may be that late. */
#define TIMER_MARGIN (10 * CLOCK_NS_PER_MS)

/* One of a thread's two timers. The thread's signal handler sets it too. */
struct timer_one {
    timer_t id;
    bool made;
    volatile uint64_t due; /* 0 = not set */
};

static timer_callback *timer_call;
static int timer_number; /* of the signal; 0 = none */
static _Thread_local struct timer_one timer_wall;
static _Thread_local struct timer_one timer_cpu;
static _Thread_local uint64_t timer_leeway;          /* of the last timer_expect */
static _Thread_local volatile bool timer_exact;      /* was not set by timer_expect */
static _Thread_local unsigned timer_stops = 1;       /* calls of timer_leave that stop the timer */
static _Thread_local uint64_t timer_left;            /* clock_coarse_ns; 0 = not away */
static _Thread_local volatile bool timer_setting;    /* the handler must leave the timers alone, */
static _Thread_local volatile uint64_t timer_missed; /* and says here what it would have set */

static void timer_arm(struct timer_one *timer, uint64_t at)
{
    struct itimerspec when;
    memset(&when, 0, sizeof when);
    when.it_value.tv_sec = (time_t)(at / CLOCK_NS_PER_S);
    when.it_value.tv_nsec = (long)(at % CLOCK_NS_PER_S);
    timer->due = at;
    (void)timer_settime(timer->id, TIMER_ABSTIME, &when, NULL);
}

static void timer_handler(int number)
{
    int saved = errno;
    uint64_t now = clock_ns();
    uint64_t next = timer_call(now);
    if (timer_setting) {
        timer_missed = next;
    } else {
        /* The timer may still be running: peer_watch uses the signal as well. */
        if (timer_wall.due != 0 && timer_wall.due <= now)
            timer_wall.due = 0;
        if (timer_wall.made && next != 0 && (timer_wall.due == 0 || next < timer_wall.due)) {
            timer_exact = true;
            timer_arm(&timer_wall, next > now ? next : now + 1);
        }
    }
    errno = saved;
}

void timer_init(timer_callback *callback)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = timer_handler;
    action.sa_flags = SA_RESTART;
    (void)sigfillset(&action.sa_mask);
    timer_call = callback;
    /* From the top: applications take their real-time signals from the bottom. */
    struct sigaction before;
    for (int number = SIGRTMAX - 1; number > SIGRTMIN && timer_number == 0; number--)
        if (sigaction(number, NULL, &before) == 0 && !(before.sa_flags & SA_SIGINFO) &&
            before.sa_handler == SIG_DFL)
            timer_number = number;
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

static bool timer_make(struct timer_one *timer, clockid_t clock)
{
    struct sigevent event;
    if (timer->made || timer_number == 0)
        return timer->made;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = timer_number;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    timer->made = timer_create(clock, &event, &timer->id) == 0;
    return timer->made;
}

/* Sets a timer from normal code; 0 stops it. A handler that runs meanwhile knows no better time,
 * unless the processor time is used up at this moment. */
static void timer_change(struct timer_one *timer, uint64_t at)
{
    timer_missed = 0;
    timer_setting = true;
    atomic_signal_fence(memory_order_seq_cst);
    timer_arm(timer, at);
    atomic_signal_fence(memory_order_seq_cst);
    timer_setting = false;
    atomic_signal_fence(memory_order_seq_cst);
    uint64_t missed = timer_missed;
    if (missed != 0 && timer_wall.made && (timer_wall.due == 0 || missed < timer_wall.due))
        timer_arm(&timer_wall, missed);
}

bool timer_suits(uint64_t due, uint64_t at, uint64_t leeway)
{
    if (at == 0 || due == 0)
        return at == due;
    return due >= at && due - at <= leeway;
}

void timer_expect(uint64_t at, uint64_t leeway)
{
    atomic_signal_fence(memory_order_seq_cst);
    if (timer_suits(timer_wall.due, at, leeway))
        return;
    timer_leeway = leeway;
    if (timer_make(&timer_wall, CLOCK_MONOTONIC))
        timer_change(&timer_wall, at != 0 ? at + leeway : 0);
}

void timer_set(uint64_t at)
{
    timer_exact = true;
    atomic_signal_fence(memory_order_seq_cst);
    if (at != timer_wall.due && timer_make(&timer_wall, CLOCK_MONOTONIC))
        timer_change(&timer_wall, at);
}

void timer_set_cpu(uint64_t at)
{
    if (at == 0 && timer_cpu.due == 0)
        return;
    timer_exact = true;
    /* Its handler sets the other one, for the hard limit. */
    if (timer_make(&timer_wall, CLOCK_MONOTONIC) && timer_make(&timer_cpu, CLOCK_THREAD_CPUTIME_ID))
        timer_change(&timer_cpu, at);
}

void timer_release(void)
{
    if (!timer_exact)
        return;
    timer_set(0);
    timer_set_cpu(0);
    timer_exact = false;
}

void timer_leave(void)
{
    timer_left = clock_coarse_ns();
    if (timer_stops > 0 && timer_wall.due != 0)
        timer_change(&timer_wall, 0);
}

void timer_return(void)
{
    if (timer_left == 0)
        return;
    if (clock_coarse_ns() - timer_left >= TIMER_AWAY)
        timer_stops = TIMER_STOPS;
    else if (timer_stops > 0)
        timer_stops--;
    timer_left = 0;
}

int timer_before_wait(int timeout_ms, uint64_t now)
{
    uint64_t due = timer_wall.due;
    uint64_t margin = timer_leeway + TIMER_MARGIN;
    if (due == 0)
        return timeout_ms;
    if (due <= now + margin) {
        timer_change(&timer_wall, 0);
        return timeout_ms;
    }
    return (int)clock_sooner(timeout_ms, clock_timeout_ms(due - margin, now));
}

void timer_thread_end(void)
{
    struct timer_one *const timers[] = {&timer_wall, &timer_cpu};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        if (timers[i]->made)
            (void)timer_delete(timers[i]->id);
        timers[i]->made = false;
        timers[i]->due = 0;
    }
}

void timer_after_fork(void)
{
    timer_wall.made = timer_cpu.made = false;
    timer_wall.due = timer_cpu.due = 0;
    timer_exact = false;
}
