/* world.c: see sim.h: the seed, the clock and the timeline. */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    WORLD_LINES = 400,
    WORLD_LINE = 240
};

uint64_t sim_now;
bool sim_verbose, sim_recording;
struct sim_totals sim_totals;

static uint64_t world_seed, world_state;
static char world_lines[WORLD_LINES][WORLD_LINE];
static unsigned world_at;

/* splitmix64 */
static uint64_t world_next(void)
{
    uint64_t z = world_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void sim_seed(uint64_t seed)
{
    world_seed = seed;
    world_state = seed;
    world_at = 0;
    sim_now = 1000 * SIM_S;
}

uint64_t sim_random(uint64_t below)
{
    return below > 0 ? world_next() % below : 0;
}

bool sim_chance(unsigned percent)
{
    return percent > 0 && sim_random(100) < percent;
}

uint64_t sim_between(uint64_t low, uint64_t high)
{
    return low + sim_random(high - low + 1);
}

void sim_note(const char *format, ...)
{
    va_list arguments;
    if (!sim_recording)
        return;
    char *line = world_lines[world_at++ % WORLD_LINES];
    int used = snprintf(line, WORLD_LINE, "%10.4f ", (double)(sim_now - 1000 * SIM_S) / 1e9);
    va_start(arguments, format);
    (void)vsnprintf(line + used, (size_t)(WORLD_LINE - used), format, arguments);
    va_end(arguments);
    if (sim_verbose)
        printf("%s\n", line);
}

void sim_fail(const char *checker, const char *format, ...)
{
    va_list arguments;
    unsigned first = world_at > WORLD_LINES ? world_at - WORLD_LINES : 0;
    for (unsigned i = first; !sim_verbose && i < world_at; i++)
        printf("%s\n", world_lines[i % WORLD_LINES]);
    printf("seed %" PRIu64 ": %s: ", world_seed, checker);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    sim_folder_remove();
    if (!sim_recording) {
        char number[24], record[] = "-r", program[] = "sim";
        char *const again[] = {program, record, number, NULL};
        snprintf(number, sizeof number, "%" PRIu64, world_seed);
        (void)execv("/proc/self/exe", again);
    }
    _Exit(1);
}

/* ---- in place of libc's clocks ---- */

int clock_gettime(clockid_t id, struct timespec *now)
{
    (void)id;
    *now =
        (struct timespec){.tv_sec = (time_t)(sim_now / SIM_S), .tv_nsec = (long)(sim_now % SIM_S)};
    return 0;
}

time_t time(time_t *now)
{
    time_t seconds = (time_t)(sim_now / SIM_S);
    if (now != NULL)
        *now = seconds;
    return seconds;
}
