/* graceful_stop.c: see graceful_stop.h. */
#include "sapi-shim/connection/graceful_stop.h"

#include "sapi-shim/scoreboard/worker_slot.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int graceful_stop_signals[] = {SIGTERM, SIGQUIT, SIGUSR1, SIGURG};
enum {
    GRACEFUL_STOP_SIGNALS = sizeof graceful_stop_signals / sizeof graceful_stop_signals[0]
};

/* The application's handlers. */
static struct sigaction graceful_stop_before[GRACEFUL_STOP_SIGNALS];
static pthread_once_t graceful_stop_once = PTHREAD_ONCE_INIT;
static atomic_bool graceful_stop_begun;
static atomic_bool graceful_stop_signalled;
static int graceful_stop_event = -1;
static int graceful_stop_blocked; /* the signal of graceful_stop_block */

/* Of each thread: started, its mask before that, and its mask during a wait. */
static _Thread_local bool graceful_stop_started;
static _Thread_local sigset_t graceful_stop_old_mask;
static _Thread_local sigset_t graceful_stop_open_mask;

void graceful_stop_begin(enum ot_exit_reason reason)
{
    uint64_t one = 1;
    int saved = errno;
    worker_slot_set_exit_reason(reason);
    atomic_store(&graceful_stop_begun, true);
    if (graceful_stop_event >= 0) {
        ssize_t n = write(graceful_stop_event, &one, sizeof one);
        (void)n; /* a full counter is readable too */
    }
    errno = saved;
}

static void graceful_stop_handler(int number, siginfo_t *info, void *context)
{
    if (number != SIGURG) {
        atomic_store(&graceful_stop_signalled, true);
        graceful_stop_begin(OT_EXIT_STOPPED);
    }
    for (int i = 0; i < GRACEFUL_STOP_SIGNALS; i++) {
        const struct sigaction *before = &graceful_stop_before[i];
        if (graceful_stop_signals[i] != number)
            continue;
        if (before->sa_flags & SA_SIGINFO)
            before->sa_sigaction(number, info, context);
        else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
            before->sa_handler(number);
    }
}

static void graceful_stop_install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
    action.sa_sigaction = graceful_stop_handler;
    (void)sigemptyset(&action.sa_mask);
    graceful_stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int i = 0; i < GRACEFUL_STOP_SIGNALS; i++)
        (void)sigaction(graceful_stop_signals[i], &action, &graceful_stop_before[i]);
}

void graceful_stop_block(int signal)
{
    graceful_stop_blocked = signal;
}

void graceful_stop_start(void)
{
    sigset_t ours;
    if (graceful_stop_started)
        return;
    (void)pthread_once(&graceful_stop_once, graceful_stop_install);
    (void)sigemptyset(&ours);
    for (int i = 0; i < GRACEFUL_STOP_SIGNALS; i++)
        (void)sigaddset(&ours, graceful_stop_signals[i]);
    (void)pthread_sigmask(SIG_BLOCK, &ours, &graceful_stop_old_mask);
    graceful_stop_open_mask = graceful_stop_old_mask;
    for (int i = 0; i < GRACEFUL_STOP_SIGNALS; i++)
        (void)sigdelset(&graceful_stop_open_mask, graceful_stop_signals[i]);
    if (graceful_stop_blocked > 0)
        (void)sigaddset(&graceful_stop_open_mask, graceful_stop_blocked);
    graceful_stop_started = true;
}

bool graceful_stop_requested(void)
{
    return atomic_load_explicit(&graceful_stop_begun, memory_order_relaxed);
}

bool graceful_stop_by_signal(void)
{
    return atomic_load(&graceful_stop_signalled);
}

void graceful_stop_poll(void)
{
    sigset_t pending, closed;
    if (sigpending(&pending) < 0)
        return;
    for (int i = 0; i < GRACEFUL_STOP_SIGNALS; i++) {
        if (sigismember(&pending, graceful_stop_signals[i]) != 1)
            continue;
        (void)pthread_sigmask(SIG_SETMASK, &graceful_stop_open_mask, &closed);
        (void)pthread_sigmask(SIG_SETMASK, &closed, NULL);
        return;
    }
}

void graceful_stop_look(void)
{
    if (!worker_slot_asked_to_stop() || graceful_stop_requested())
        return;
    atomic_store(&graceful_stop_signalled, true);
    graceful_stop_begin(OT_EXIT_STOPPED);
}

int graceful_stop_fd(void)
{
    return graceful_stop_event;
}

const sigset_t *graceful_stop_wait_mask(void)
{
    return &graceful_stop_open_mask;
}

void graceful_stop_after_fork(void)
{
    static const pthread_once_t again = PTHREAD_ONCE_INIT;
    /* Until it accepts, the child treats signals as the application does. */
    if (graceful_stop_event >= 0) {
        for (int i = 0; i < GRACEFUL_STOP_SIGNALS; i++)
            (void)sigaction(graceful_stop_signals[i], &graceful_stop_before[i], NULL);
        (void)close(graceful_stop_event);
        graceful_stop_event = -1;
        memcpy(&graceful_stop_once, &again, sizeof graceful_stop_once);
    }
    atomic_store(&graceful_stop_begun, false);
    atomic_store(&graceful_stop_signalled, false);
    if (graceful_stop_started)
        (void)pthread_sigmask(SIG_SETMASK, &graceful_stop_old_mask, NULL);
    graceful_stop_started = false;
}
