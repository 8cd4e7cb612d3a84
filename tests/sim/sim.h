/* sim.h: the pretended world in which the manager's real code runs, from pool_set downwards.
 *
 * One process, one seed, one run. Time is virtual; processes are entries of a table; events that
 * are ready at the same time come in an order drawn from the seed. Descriptors, sockets and shared
 * memory are real: only this process touches them, so their behaviour is the same in each run.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "fpm/manager/pool_set.h"
#include "fpm/worker/launch.h"
#include "fpm/worker/process_tree.h"
#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- world.c: the seed, the clock, the timeline ---- */

#define SIM_MS UINT64_C(1000000)
#define SIM_S  UINT64_C(1000000000)

extern uint64_t sim_now; /* ns */
extern bool sim_verbose;

void sim_seed(uint64_t seed);
uint64_t sim_random(uint64_t below); /* 0 to below - 1 */
bool sim_chance(unsigned percent);
uint64_t sim_between(uint64_t low, uint64_t high); /* both included */

/* Adds a line to the timeline. A timeline costs as much as all the rest: it is made only if
 * sim_recording, and a seed that fails is run again with it. */
extern bool sim_recording;
void sim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A checker's verdict: prints the seed, the sentence and the end of the timeline, and ends. */
void sim_fail(const char *checker, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* ---- swarm: what this seed does more or less often; drawn by driver.c ---- */

struct sim_swarm {
    /* Percent of starts: */
    unsigned launch_fails, exec_fails, never_attaches, without_library, hangs;
    /* Percent of workers: */
    unsigned ignores_stop, crashes, leaves, forks, hostile;
    unsigned finishes_early, slow;          /* percent of requests */
    uint64_t load_max, serve_max, post_max; /* ns */
    bool faults;                            /* off: all of the above but the times are 0 */
};
extern struct sim_swarm sim_swarm;

/* ---- processes.c: the table of pretended processes, and how they behave ---- */

enum sim_phase {
    SIM_EXEC,
    SIM_LOADING,
    SIM_IDLE,
    SIM_SERVING,
    SIM_POST
};

struct sim_process {
    pid_t pid;
    pid_t group;     /* the pid of the worker's first process */
    uint64_t serial; /* of the worker, never used again: 0 = the entry is free */
    bool leads, ended, stopped, told, attached;
    bool library, ignores_stop, hostile, hangs;
    int exec_error, status, signal_at_end;
    enum sim_phase phase;
    uint64_t next_at; /* ns: it acts then, 0 = it waits */
    uint64_t crash_at, told_at, stopped_at;
    int pending; /* a signal that waits while it is stopped; 0 = none */
    unsigned requests_left, forks;
    int report_fd, listen_fd, doorbell_fd;
    struct ot_board *board;
    size_t board_size;
    struct ot_slot *slot;
    unsigned slot_number;
    uint64_t requests;
    uint64_t since; /* ns: when its request, or its post-response work, began */
    unsigned pool;  /* check.c's number of its pool */
    bool scribbled;
    void (*on_end)(void *context, int status); /* child.h */
    void *context;
};

enum {
    SIM_PROCESSES = 192,
    SIM_PID_FIRST = 1000,
    SIM_PIDS = 160
};
extern struct sim_process sim_processes[SIM_PROCESSES];
extern size_t sim_process_end; /* entries from here on are free */

struct sim_totals {
    uint64_t started, ended, requests, killed, seeds, turns, events;
    uint64_t callbacks; /* of the manager */
};
extern struct sim_totals sim_totals;

void sim_processes_reset(void);
struct sim_process *sim_find(pid_t pid);
void sim_end(struct sim_process *process, int status);
void sim_signal(struct sim_process *process, int signal);

/* Appends what is ready now to a list of `max`; runs one of it. */
size_t sim_processes_ready(struct sim_process **ready, size_t max);
void sim_process_act(struct sim_process *process);
uint64_t sim_processes_next(void); /* ns: when the next one acts, 0 = none */

/* ---- descriptors.c: listening sockets, by any of their descriptors ---- */

unsigned sim_queue_waiting(int fd);
bool sim_queue_connect(int fd); /* false: it is refused */
bool sim_queue_accept(int fd);

/* An epoll descriptor has an event. */
bool sim_is_epoll(int fd);
int sim_epoll_ready(int epfd);

/* Other descriptors may be readable that were not, or the other way round. */
extern bool sim_descriptors_changed;

/* ---- loop.c: libev under the virtual clock ---- */

struct ev_loop *sim_loop(void);
void sim_loop_reset(void);
void sim_loop_forget(void); /* all watches end at once */

/* One event: a watcher, a process, or the clock's move to the next moment, at most to `until`.
 * False: nothing happens until then. */
bool sim_turn(uint64_t until);
void sim_note_last(void);
bool sim_was_process(void); /* the last event was a process's */

/* ---- log.c: the manager's log goes to the timeline ---- */

extern uint64_t sim_exit_messages;

/* ---- check.c: what must hold after every event ---- */

struct sim_expect {
    bool quiet;         /* faults have stopped, and no driver event comes */
    bool killing;       /* the driver asked for KILL */
    bool hurried;       /* the driver asked for TERM */
    bool serving_queue; /* a socket is given up */
    int64_t grace;      /* ms: the shortest process_control_timeout of this run */
    int64_t hard;       /* ms: the shortest hard_timeout */
};
extern struct sim_expect sim_expect;

void sim_check_reset(struct pool_set *pools);
void sim_check(void);
void sim_check_kill(const struct sim_process *process);

/* A first process starts, ends, is asked to stop. */
void sim_check_launch(const struct launch_arguments *arguments, struct sim_process *process);
void sim_check_taint(const struct sim_process *process); /* it wrote any bytes into its slot */
void sim_check_end(const struct sim_process *process);
void sim_check_stop(const struct sim_process *process);

/* After a rest: nothing waits where it could be served. */
void sim_check_rest(void);
void sim_check_owner(const struct process_tree *tree, const struct sim_process *process);

/* ---- upgrade.c ---- */

void sim_upgrade(struct pool_set *pools, const struct pool_set_events *events);

/* ---- driver.c: one seed ---- */

extern char sim_folder[64];   /* for sockets */
void sim_folder_remove(void); /* with what is in it */

void sim_run(uint64_t seed);

#endif
