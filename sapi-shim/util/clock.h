/* clock.h: the clocks that durations and deadlines are measured with.
 *
 * The steady clock (CLOCK_MONOTONIC) goes on while the process sleeps and does not move when the
 * date is set. Its nanoseconds are the stamps of the contract, in which 0 means "not known" or
 * "none". Thread-safe and async-signal-safe.
 */
#ifndef OT_CLOCK_H
#define OT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_MS INT64_C(1000000)
#define CLOCK_NS_PER_S  INT64_C(1000000000)

static inline uint64_t clock_read_ns(clockid_t id)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(id, &t); /* cannot fail with a constant, valid id */
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

static inline int64_t clock_ms(void)
{
    return (int64_t)clock_ns() / CLOCK_NS_PER_MS;
}

/* Nanoseconds at the kernel's last tick, some milliseconds ago: costs a quarter of clock_ns(). */
static inline uint64_t clock_coarse_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC_COARSE);
}

/* Milliseconds from a stamp to `now`; 0 if the stamp is 0 or after `now`. */
static inline int64_t clock_ms_since(uint64_t stamp, uint64_t now)
{
    return stamp == 0 || stamp > now ? 0 : (int64_t)(now - stamp) / CLOCK_NS_PER_MS;
}

/* The earlier of two stamps, of which 0 means none. */
static inline uint64_t clock_earlier(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The shorter of two waiting times, of which a negative one means for ever. */
static inline int64_t clock_sooner(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Milliseconds from now to a deadline as poll() takes them, rounded up; -1 for no deadline (0). */
static inline int clock_timeout_ms(uint64_t deadline, uint64_t now)
{
    if (deadline == 0)
        return -1;
    if (deadline <= now)
        return 0;
    uint64_t ms = (deadline - now + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

#endif
