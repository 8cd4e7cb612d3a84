/* drain.c: see drain.h. */
#include "sapi-shim/drain.h"
#include "sapi-shim/board.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int drain_signals[] = {SIGTERM, SIGQUIT, SIGUSR1, SIGURG};
enum {
    DRAIN_SIGNALS = sizeof drain_signals / sizeof drain_signals[0]
};

static struct sigaction drain_before[DRAIN_SIGNALS]; /* the application's handlers */
static pthread_once_t drain_once = PTHREAD_ONCE_INIT;
static atomic_bool drain_flag;
static atomic_bool drain_signalled;
static int drain_event = -1;
static int drain_not_this; /* a signal that must not end a wait */
static _Thread_local bool drain_started;
static _Thread_local sigset_t drain_old_mask;  /* what the application runs with, but for ours */
static _Thread_local sigset_t drain_open_mask; /* for the wait */

void drain_begin(enum ot_exit_reason reason)
{
    uint64_t one = 1;
    int saved = errno;
    board_leaving(reason);
    atomic_store(&drain_flag, true);
    if (drain_event >= 0) {
        ssize_t n = write(drain_event, &one, sizeof one);
        (void)n; /* full means readable */
    }
    errno = saved;
}

static void drain_chain(int number, siginfo_t *info, void *context)
{
    for (int i = 0; i < DRAIN_SIGNALS; i++) {
        const struct sigaction *before = &drain_before[i];
        if (drain_signals[i] != number)
            continue;
        if (before->sa_flags & SA_SIGINFO)
            before->sa_sigaction(number, info, context);
        else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
            before->sa_handler(number);
    }
}

static void drain_handler(int number, siginfo_t *info, void *context)
{
    if (number != SIGURG) {
        atomic_store(&drain_signalled, true);
        drain_begin(OT_EXIT_ASKED);
    }
    drain_chain(number, info, context);
}

static void drain_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = drain_handler;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    (void)sigemptyset(&action.sa_mask);
    drain_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int i = 0; i < DRAIN_SIGNALS; i++)
        (void)sigaction(drain_signals[i], &action, &drain_before[i]);
}

void drain_spare(int signal)
{
    drain_not_this = signal;
}

void drain_start(void)
{
    sigset_t ours;
    if (drain_started)
        return;
    (void)pthread_once(&drain_once, drain_install);
    (void)sigemptyset(&ours);
    for (int i = 0; i < DRAIN_SIGNALS; i++)
        (void)sigaddset(&ours, drain_signals[i]);
    (void)pthread_sigmask(SIG_BLOCK, &ours, &drain_old_mask);
    drain_open_mask = drain_old_mask;
    for (int i = 0; i < DRAIN_SIGNALS; i++)
        (void)sigdelset(&drain_open_mask, drain_signals[i]);
    if (drain_not_this > 0)
        (void)sigaddset(&drain_open_mask, drain_not_this);
    drain_started = true;
}

bool drain_asked(void)
{
    return atomic_load_explicit(&drain_flag, memory_order_relaxed);
}

bool drain_by_signal(void)
{
    return atomic_load(&drain_signalled);
}

void drain_poll(void)
{
    sigset_t pending;
    bool ours = false;
    if (sigpending(&pending) < 0)
        return;
    for (int i = 0; i < DRAIN_SIGNALS; i++)
        ours = ours || sigismember(&pending, drain_signals[i]) == 1;
    if (!ours)
        return;
    sigset_t closed;
    (void)pthread_sigmask(SIG_SETMASK, &drain_open_mask, &closed);
    (void)pthread_sigmask(SIG_SETMASK, &closed, NULL);
}

int drain_fd(void)
{
    return drain_event;
}

const sigset_t *drain_wait_mask(void)
{
    return &drain_open_mask;
}

/* A child that becomes no worker reacts to signals as the application had it before. */
static void drain_uninstall(void)
{
    static const pthread_once_t again = PTHREAD_ONCE_INIT;
    if (drain_event < 0)
        return;
    for (int i = 0; i < DRAIN_SIGNALS; i++)
        (void)sigaction(drain_signals[i], &drain_before[i], NULL);
    (void)close(drain_event);
    drain_event = -1;
    memcpy(&drain_once, &again, sizeof drain_once);
}

void drain_after_fork(void)
{
    drain_uninstall();
    atomic_store(&drain_flag, false);
    atomic_store(&drain_signalled, false);
    if (drain_started)
        (void)pthread_sigmask(SIG_SETMASK, &drain_old_mask, NULL);
    drain_started = false;
}
