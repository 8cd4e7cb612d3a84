/* loop.c: see sim.h: the functions of libev that the manager uses, under the virtual clock. */
#include "tests/sim/sim.h"

#include <ev.h>
#include <poll.h>
#include <string.h>

enum {
    LOOP_WATCHERS = 2048
};

struct ev_loop {
    ev_io *ios[LOOP_WATCHERS];
    ev_timer *timers[LOOP_WATCHERS];
    unsigned io_count, timer_count;
};

static struct ev_loop loop_one;

struct ev_loop *sim_loop(void)
{
    return &loop_one;
}

void sim_loop_reset(void)
{
    if (loop_one.io_count > 0 || loop_one.timer_count > 0)
        sim_fail("C9", "%u watchers and %u timers are left", loop_one.io_count,
                 loop_one.timer_count);
    memset(&loop_one, 0, sizeof loop_one);
}

void sim_loop_forget(void)
{
    for (unsigned i = 0; i < loop_one.io_count; i++)
        loop_one.ios[i]->active = 0;
    for (unsigned i = 0; i < loop_one.timer_count; i++)
        loop_one.timers[i]->active = 0;
    memset(&loop_one, 0, sizeof loop_one);
}

static double loop_seconds(void)
{
    return (double)sim_now / 1e9;
}

/* ---- in place of libev ---- */

ev_tstamp ev_now(struct ev_loop *loop)
{
    (void)loop;
    return loop_seconds();
}

ev_tstamp ev_time(void)
{
    return loop_seconds();
}

void ev_now_update(struct ev_loop *loop)
{
    (void)loop;
}

void ev_io_start(struct ev_loop *loop, ev_io *io)
{
    if (io->active)
        return;
    if (loop->io_count == LOOP_WATCHERS)
        sim_fail("C9", "more than %d descriptors are watched", LOOP_WATCHERS);
    io->active = 1;
    sim_descriptors_changed = true;
    loop->ios[loop->io_count++] = io;
}

void ev_io_stop(struct ev_loop *loop, ev_io *io)
{
    if (!io->active)
        return;
    io->active = 0;
    sim_descriptors_changed = true;
    for (unsigned i = 0; i < loop->io_count; i++)
        if (loop->ios[i] == io) {
            loop->ios[i] = loop->ios[--loop->io_count];
            return;
        }
}

void ev_timer_start(struct ev_loop *loop, ev_timer *timer)
{
    if (timer->active)
        return;
    if (loop->timer_count == LOOP_WATCHERS)
        sim_fail("C9", "more than %d timers are active", LOOP_WATCHERS);
    timer->active = 1;
    timer->at += loop_seconds();
    loop->timers[loop->timer_count++] = timer;
}

void ev_timer_stop(struct ev_loop *loop, ev_timer *timer)
{
    if (!timer->active)
        return;
    timer->active = 0;
    timer->at -= loop_seconds();
    for (unsigned i = 0; i < loop->timer_count; i++)
        if (loop->timers[i] == timer) {
            loop->timers[i] = loop->timers[--loop->timer_count];
            return;
        }
}

void ev_timer_again(struct ev_loop *loop, ev_timer *timer)
{
    if (timer->active && timer->repeat > 0.) {
        timer->at = loop_seconds() + timer->repeat;
    } else if (timer->active) {
        ev_timer_stop(loop, timer);
    } else if (timer->repeat > 0.) {
        timer->at = timer->repeat;
        ev_timer_start(loop, timer);
    }
}

/* ---- one event ---- */

struct loop_ready {
    ev_io *io;
    ev_timer *timer;
    struct sim_process *process;
};

enum {
    LOOP_READY = 512
};

static struct loop_ready loop_last;

/* What poll() says is kept until a descriptor is written, read or closed. */
static struct pollfd loop_polled[LOOP_WATCHERS];

static void loop_poll(void)
{
    for (unsigned i = 0; i < loop_one.io_count; i++)
        loop_polled[i] =
            (struct pollfd){.fd = loop_one.ios[i]->fd,
                            .events = (short)((loop_one.ios[i]->events & EV_READ ? POLLIN : 0) |
                                              (loop_one.ios[i]->events & EV_WRITE ? POLLOUT : 0))};
    sim_descriptors_changed = false;
    if (loop_one.io_count > 0 && poll(loop_polled, loop_one.io_count, 0) < 0)
        sim_fail("loop", "poll fails");
    for (unsigned i = 0; i < loop_one.io_count; i++)
        if (loop_polled[i].revents & POLLNVAL)
            sim_fail("C9", "descriptor %d is watched and closed", loop_polled[i].fd);
}

static size_t loop_collect_ios(struct loop_ready *ready, size_t count)
{
    if (sim_descriptors_changed)
        loop_poll();
    for (unsigned i = 0; i < loop_one.io_count && count < LOOP_READY; i++)
        if (loop_polled[i].revents != 0 || sim_epoll_ready(loop_polled[i].fd))
            ready[count++] = (struct loop_ready){.io = loop_one.ios[i]};
    return count;
}

/* ns: never before the moment that a double may have rounded down. */
static uint64_t loop_at(const ev_timer *timer)
{
    return (uint64_t)(timer->at * 1e9) + 1;
}

static size_t loop_collect(struct loop_ready *ready)
{
    struct sim_process *processes[SIM_PROCESSES];
    size_t count = loop_collect_ios(ready, 0);
    for (unsigned i = 0; i < loop_one.timer_count && count < LOOP_READY; i++)
        if (loop_at(loop_one.timers[i]) <= sim_now)
            ready[count++] = (struct loop_ready){.timer = loop_one.timers[i]};
    size_t acting = sim_processes_ready(processes, SIM_PROCESSES);
    for (size_t i = 0; i < acting && count < LOOP_READY; i++)
        ready[count++] = (struct loop_ready){.process = processes[i]};
    return count;
}

static void loop_run(const struct loop_ready *one)
{
    struct ev_loop *loop = &loop_one;
    if (one->process != NULL) {
        sim_process_act(one->process);
    } else if (one->io != NULL) {
        sim_descriptors_changed = true;
        one->io->cb(loop, one->io, one->io->events & (EV_READ | EV_WRITE));
    } else {
        ev_timer *timer = one->timer;
        if (timer->repeat > 0.)
            timer->at = loop_seconds() + timer->repeat;
        else
            ev_timer_stop(loop, timer);
        timer->cb(loop, timer, EV_TIMER);
    }
}

/* ns: the next moment at which anything happens; 0 = none. */
static uint64_t loop_next(void)
{
    uint64_t next = sim_processes_next();
    for (unsigned i = 0; i < loop_one.timer_count; i++) {
        uint64_t at = loop_at(loop_one.timers[i]);
        if (next == 0 || at < next)
            next = at;
    }
    return next;
}

bool sim_turn(uint64_t until)
{
    struct loop_ready ready[LOOP_READY];
    size_t count = loop_collect(ready);
    if (count > 0) {
        size_t i = sim_random(count);
        loop_last = ready[i];
        sim_totals.callbacks += ready[i].process == NULL;
        loop_run(&ready[i]);
        sim_totals.events++;
        return true;
    }
    uint64_t next = loop_next();
    if (next == 0 || next > until) {
        sim_now = until;
        return false;
    }
    if (next > sim_now)
        sim_now = next;
    sim_totals.turns++;
    return true;
}

bool sim_was_process(void)
{
    return loop_last.process != NULL;
}

void sim_note_last(void)
{
    const struct sim_process *process = loop_last.process;
    if (process != NULL)
        sim_note("the last event is process %d, ended %d, phase %d", (int)process->pid,
                 process->ended, (int)process->phase);
    else if (loop_last.io != NULL)
        sim_note("the last event is descriptor %d", loop_last.io->fd);
    else
        sim_note("the last event is a timer");
}
