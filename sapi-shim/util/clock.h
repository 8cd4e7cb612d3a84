/* clock.h: the one clock of the library: CLOCK_MONOTONIC in nanoseconds, as the contract's stamps.
 *
 * Wall-clock time in the sense of the time limits: it goes on while the process sleeps and is not
 * moved when the date is set. Anybody may call; async-signal-safe.
 */
#ifndef OT_CLOCK_H
#define OT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_MS 1000000ull

static inline uint64_t clock_read(clockid_t id)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(id, &t); /* cannot fail with a constant, valid id */
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_now(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

/* The time of the last tick (some milliseconds ago): a quarter of the price. */
static inline uint64_t clock_tick(void)
{
    return clock_read(CLOCK_MONOTONIC_COARSE);
}

/* Milliseconds from now to a deadline as poll() takes them, rounded up; -1 for no deadline (0). */
static inline int clock_timeout(uint64_t deadline, uint64_t now)
{
    if (deadline == 0)
        return -1;
    if (deadline <= now)
        return 0;
    uint64_t ms = (deadline - now + CLOCK_MS - 1) / CLOCK_MS;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

#endif
