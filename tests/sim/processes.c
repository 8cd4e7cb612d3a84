/* processes.c: see sim.h: pretended processes, in place of launch.c, child.c and process_tree.c.
 *
 * A worker with the library writes its real slot and rings its real doorbell; all accept from the
 * pool's real socket. Process numbers are few, so that they are used again soon.
 */
#include "fpm/util/child.h"
#include "fpm/util/fd.h"
#include "fpm/worker/idle_check.h"
#include "fpm/worker/launch.h"
#include "fpm/worker/proc_activity.h"
#include "fpm/worker/process_tree.h"
#include "sapi-shim/scoreboard/record.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/wait.h>
#include <unistd.h>

struct sim_process sim_processes[SIM_PROCESSES];
size_t sim_process_end;
struct sim_swarm sim_swarm;
static uint64_t processes_serial;

struct sim_process *sim_find(pid_t pid)
{
    for (size_t i = 0; i < sim_process_end; i++)
        if (sim_processes[i].serial != 0 && sim_processes[i].pid == pid)
            return &sim_processes[i];
    return NULL;
}

void sim_processes_reset(void)
{
    for (size_t i = 0; i < sim_process_end; i++)
        if (sim_processes[i].serial != 0)
            sim_fail("C9", "process %d is left", (int)sim_processes[i].pid);
}

/* A number that is no process's and no group's. */
static pid_t processes_free_pid(void)
{
    for (;;) {
        pid_t pid = SIM_PID_FIRST + (pid_t)sim_random(SIM_PIDS);
        bool taken = false;
        for (size_t i = 0; i < sim_process_end && !taken; i++)
            taken = sim_processes[i].serial != 0 &&
                    (sim_processes[i].pid == pid || sim_processes[i].group == pid);
        if (!taken)
            return pid;
    }
}

static struct sim_process *processes_new(void)
{
    unsigned used = 0;
    struct sim_process *free_entry = NULL;
    for (size_t i = SIM_PROCESSES; i-- > 0;) {
        used += sim_processes[i].serial != 0;
        if (sim_processes[i].serial == 0)
            free_entry = &sim_processes[i];
    }
    if (free_entry == NULL || used > SIM_PIDS / 2)
        return NULL;
    sim_process_end = MAX(sim_process_end, (size_t)(free_entry - sim_processes) + 1);
    *free_entry = (struct sim_process){
        .pid = processes_free_pid(), .report_fd = -1, .listen_fd = -1, .doorbell_fd = -1};
    return free_entry;
}

/* ---- what a process does ---- */

static void processes_write(int fd, const void *bytes, size_t size)
{
    sim_descriptors_changed = true;
    (void)!write(fd, bytes, size);
}

static struct ot_record *processes_record(struct sim_process *process)
{
    return &process->slot->records[0];
}

/* Enters a state as the library does: within one change, and rings the doorbell if it is asked to.
 */
static void processes_enter(struct sim_process *process, enum ot_state state)
{
    struct ot_record *record = processes_record(process);
    if (!process->attached)
        return;
    uint32_t before = record->state;
    record_begin(&record->change);
    record->state = state;
    record->state_since = sim_now;
    if (state == OT_STATE_RUNNING) {
        record->requests++;
        record->accepted_at = record->running_at = sim_now;
        record->finished_at = 0;
        record->ended_at = 0;
    } else if (state == OT_STATE_POST) {
        record->finished++;
        record->finished_at = sim_now;
    } else if (state == OT_STATE_IDLE && before != OT_STATE_STARTING) {
        record->ended_at = sim_now;
        if (record->finished_at == 0)
            record->finished_at = sim_now;
    }
    record_end(&record->change);
    uint32_t mask = atomic_load(&process->board->notify_mask);
    uint64_t one = 1;
    if ((mask & (OT_NOTIFY_ENTER(state) | (before < OT_STATE_COUNT ? OT_NOTIFY_LEAVE(before) : 0))))
        processes_write(process->doorbell_fd, &one, sizeof one);
}

/* Any bytes, anywhere in the slot. */
static void processes_scribble(struct sim_process *process)
{
    process->scribbled = true;
    sim_check_taint(process);
    unsigned char *bytes = (unsigned char *)process->slot;
    for (unsigned i = 0; i < 40; i++) {
        size_t at = sim_chance(50) ? sim_random(1024 + 2048) : sim_random(sizeof *process->slot);
        bytes[at] = (unsigned char)sim_random(256);
    }
    if (sim_chance(30))
        memset(bytes + sim_random(2048), 0xff, 64);
}

static void processes_leave_rest(const struct sim_process *leader)
{
    struct sim_process *rest = processes_new();
    if (rest == NULL)
        return;
    rest->serial = leader->serial;
    rest->group = leader->group;
    rest->phase = SIM_SERVING;
    rest->ignores_stop = sim_chance(30);
    rest->next_at = sim_now + sim_between(1, 4 * SIM_S);
    sim_note("process %d is left behind by %d", (int)rest->pid, (int)leader->pid);
}

static void processes_free(struct sim_process *process)
{
    fd_close(&process->report_fd);
    fd_close(&process->listen_fd);
    fd_close(&process->doorbell_fd);
    if (process->board != NULL)
        (void)munmap(process->board, process->board_size);
    process->serial = 0;
    while (sim_process_end > 0 && sim_processes[sim_process_end - 1].serial == 0)
        sim_process_end--;
}

void sim_end(struct sim_process *process, int status)
{
    if (process->ended)
        return;
    sim_note("process %d ends, status %#x", (int)process->pid, (unsigned)status);
    if (!process->leads) {
        processes_free(process);
        return;
    }
    while (process->forks > 0 && process->phase != SIM_EXEC) {
        process->forks--;
        processes_leave_rest(process);
    }
    process->ended = true;
    process->status = status;
    process->next_at = 0;
    sim_totals.ended++;
    fd_close(&process->report_fd);
    fd_close(&process->listen_fd);
    fd_close(&process->doorbell_fd);
    /* The manager reaps a child that it does not watch at once. */
    if (process->on_end == NULL)
        processes_free(process);
}

static bool processes_pending(const struct sim_process *process)
{
    return sim_queue_waiting(process->listen_fd) > 0;
}

/* Between two requests: leaves, or waits. */
static void processes_wait(struct sim_process *process)
{
    bool queue = process->board != NULL && atomic_load(&process->board->last_drain) != 0 &&
                 processes_pending(process);
    processes_enter(process, OT_STATE_IDLE);
    process->phase = SIM_IDLE;
    process->next_at = 0;
    if (process->requests_left == 0 || (process->told && !process->ignores_stop && !queue)) {
        if (process->attached)
            process->slot->exit_reason = process->told ? OT_EXIT_STOPPED : OT_EXIT_MAX_REQUESTS;
        processes_enter(process, OT_STATE_EXITING);
        sim_end(process, 0);
    }
}

static void processes_attach(struct sim_process *process)
{
    struct ot_slot *slot = process->slot;
    if (process->library) {
        slot->version = OT_CONTRACT_VERSION;
        atomic_store(&slot->pid, process->pid);
        atomic_store(&slot->threads, 1);
        slot->records[0].requests = 0;
        process->attached = true;
        atomic_store(&slot->magic, OT_SLOT_MAGIC);
    }
    processes_wait(process);
}

static void processes_accept(struct sim_process *process)
{
    if (!sim_queue_accept(process->listen_fd))
        return;
    process->requests++;
    process->since = sim_now;
    sim_totals.requests++;
    process->requests_left -= process->requests_left > 0;
    process->phase = SIM_SERVING;
    process->next_at = sim_now + 1 + sim_random(sim_swarm.serve_max);
    if (sim_chance(sim_swarm.slow))
        process->next_at += 20 * SIM_S;
    processes_enter(process, OT_STATE_RUNNING);
}

/* The program runs, or will never. */
static void processes_exec(struct sim_process *process)
{
    if (process->exec_error != 0) {
        struct launch_failure failure = {.step = 0, .error = process->exec_error};
        processes_write(process->report_fd, &failure, sizeof failure);
        sim_end(process, 127 << 8);
        return;
    }
    fd_close(&process->report_fd);
    process->phase = SIM_LOADING;
    process->next_at = process->hangs ? 0 : sim_now + 1 + sim_random(sim_swarm.load_max);
}

static void processes_serve(struct sim_process *process)
{
    if (process->hostile && sim_chance(40) && process->attached)
        processes_scribble(process);
    if (!process->leads) {
        if (!process->ignores_stop || process->told)
            sim_end(process, 0);
        else
            process->next_at = sim_now + SIM_S;
    } else if (process->phase == SIM_SERVING && sim_chance(sim_swarm.finishes_early)) {
        process->phase = SIM_POST;
        process->since = sim_now;
        process->next_at = sim_now + 1 + sim_random(sim_swarm.post_max);
        processes_enter(process, OT_STATE_POST);
    } else {
        processes_wait(process);
    }
}

void sim_process_act(struct sim_process *process)
{
    if (process->ended) {
        void (*on_end)(void *, int) = process->on_end;
        void *context = process->context;
        int status = process->status;
        if (on_end != NULL)
            sim_check_end(process);
        processes_free(process);
        if (on_end != NULL)
            on_end(context, status);
    } else if (process->crash_at != 0 && process->crash_at <= sim_now) {
        process->crash_at = 0;
        sim_end(process, process->signal_at_end);
    } else if (process->phase == SIM_EXEC) {
        processes_exec(process);
    } else if (process->phase == SIM_LOADING) {
        processes_attach(process);
    } else if (process->phase == SIM_IDLE) {
        processes_accept(process);
    } else {
        processes_serve(process);
    }
}

size_t sim_processes_ready(struct sim_process **ready, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < sim_process_end && count < max; i++) {
        struct sim_process *process = &sim_processes[i];
        if (process->serial == 0 || (process->stopped && !process->ended))
            continue;
        if (process->ended ||
            (!process->ended &&
             ((process->next_at != 0 && process->next_at <= sim_now) ||
              (process->crash_at != 0 && process->crash_at <= sim_now) ||
              (process->leads && process->phase == SIM_IDLE && processes_pending(process)))))
            ready[count++] = process;
    }
    return count;
}

uint64_t sim_processes_next(void)
{
    uint64_t next = 0;
    for (size_t i = 0; i < sim_process_end; i++) {
        const struct sim_process *process = &sim_processes[i];
        if (process->serial == 0 || process->ended || process->stopped)
            continue;
        if (process->next_at != 0 && (next == 0 || process->next_at < next))
            next = process->next_at;
        if (process->crash_at != 0 && (next == 0 || process->crash_at < next))
            next = process->crash_at;
    }
    return next;
}

/* ---- signals ---- */

/* Has it a handler that lets it end its request? */
static bool processes_handles(const struct sim_process *process, int signal)
{
    return (signal == SIGQUIT || signal == SIGTERM) && process->attached;
}

void sim_signal(struct sim_process *process, int signal)
{
    sim_note("signal %d to process %d", signal, (int)process->pid);
    if (process->ended || signal == 0 || signal == SIGURG)
        return;
    if (signal == SIGSTOP || signal == SIGCONT) {
        if (signal == SIGSTOP && !process->stopped)
            process->stopped_at = sim_now;
        process->stopped = signal == SIGSTOP;
        int pending = process->pending;
        process->pending = 0;
        if (!process->stopped && pending != 0)
            sim_signal(process, pending);
        return;
    }
    if (signal == SIGKILL) {
        sim_check_kill(process);
        sim_totals.killed++;
        sim_end(process, SIGKILL);
        return;
    }
    if (process->stopped) {
        process->pending = signal;
        return;
    }
    sim_check_stop(process);
    if (!process->told)
        process->told_at = sim_now;
    process->told = true;
    if (process->ignores_stop)
        return;
    if (!processes_handles(process, signal) || (signal == SIGTERM && process->phase != SIM_IDLE))
        sim_end(process, signal);
    else if (process->phase == SIM_IDLE)
        processes_wait(process);
}

int kill(pid_t pid, int signal)
{
    struct sim_process *process = sim_find(pid);
    if (process == NULL) {
        if (signal != 0)
            sim_fail("C2", "signal %d to process %d, which is nobody's", signal, (int)pid);
        errno = ESRCH;
        return -1;
    }
    sim_signal(process, signal);
    return 0;
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    struct sim_process *process = sim_find(pid);
    (void)options;
    if (process == NULL || !process->ended) {
        errno = ECHILD;
        return process == NULL ? -1 : 0;
    }
    if (status != NULL)
        *status = process->status;
    processes_free(process);
    return pid;
}

/* ---- in place of launch.c ---- */

static bool processes_map(struct sim_process *process, const struct launch_arguments *arguments)
{
    unsigned version = 0;
    for (char *const *each = arguments->envp; *each != NULL; each++)
        if (strncmp(*each, OT_CONTRACT_ENV "=", sizeof OT_CONTRACT_ENV) == 0)
            (void)sscanf(*each + sizeof OT_CONTRACT_ENV, "%u %u", &version, &process->slot_number);
    if (version != OT_CONTRACT_VERSION)
        sim_fail("launch", "the environment has no contract of version %u", OT_CONTRACT_VERSION);
    off_t size = lseek(arguments->slot_fd, 0, SEEK_END);
    process->board_size = (size_t)size;
    process->board =
        mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, arguments->slot_fd, 0);
    if (size <= 0 || process->board == MAP_FAILED) {
        process->board = NULL;
        return false;
    }
    if (process->slot_number >= process->board->slot_count)
        sim_fail("launch", "slot %u of %u", process->slot_number, process->board->slot_count);
    process->slot = (struct ot_slot *)((char *)process->board + process->board->slots_offset +
                                       (size_t)process->board->slot_stride * process->slot_number);
    if (atomic_load(&process->slot->magic) != 0)
        sim_fail("launch", "slot %u is not empty", process->slot_number);
    return true;
}

static void processes_draw(struct sim_process *process)
{
    const struct sim_swarm *swarm = &sim_swarm;
    process->library = true;
    process->requests_left = UINT32_MAX;
    process->next_at = sim_now + 1 + sim_random(3 * SIM_MS);
    if (!swarm->faults)
        return;
    process->exec_error = sim_chance(swarm->exec_fails) ? ENOENT : 0;
    process->library = !sim_chance(swarm->without_library);
    process->hangs = sim_chance(swarm->hangs);
    process->ignores_stop = sim_chance(swarm->ignores_stop);
    process->hostile = sim_chance(swarm->hostile);
    process->forks = sim_chance(swarm->forks) ? 1 + (unsigned)sim_random(3) : 0;
    if (sim_chance(swarm->leaves))
        process->requests_left = (unsigned)sim_random(5);
    static const int ends[] = {SIGSEGV, SIGABRT, 1 << 8, 0, SIGKILL};
    process->signal_at_end = ends[sim_random(sizeof ends / sizeof *ends)];
    if (sim_chance(swarm->crashes))
        process->crash_at = sim_now + 1 + sim_random(sim_chance(50) ? 100 * SIM_MS : 20 * SIM_S);
}

pid_t launch(const struct launch_arguments *arguments, int *report_fd, char *error, size_t size)
{
    int report[2];
    struct sim_process *process =
        sim_swarm.faults && sim_chance(sim_swarm.launch_fails) ? NULL : processes_new();
    *report_fd = -1;
    if (process == NULL || pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0) {
        snprintf(error, size, "fork: %s", strerror(EAGAIN));
        return -1;
    }
    process->serial = ++processes_serial;
    process->group = process->pid;
    process->leads = true;
    process->report_fd = report[1];
    process->listen_fd = fcntl(arguments->listen_fd, F_DUPFD_CLOEXEC, 0);
    process->doorbell_fd = fcntl(arguments->doorbell_fd, F_DUPFD_CLOEXEC, 0);
    if (process->listen_fd < 0 || process->doorbell_fd < 0 || !processes_map(process, arguments))
        sim_fail("launch", "a worker gets no descriptors: %s", strerror(errno));
    processes_draw(process);
    sim_check_launch(arguments, process);
    *report_fd = report[0];
    sim_totals.started++;
    sim_note("process %d starts in slot %u", (int)process->pid, process->slot_number);
    return process->pid;
}

int launch_report(int report_fd, struct launch_failure *failure)
{
    ssize_t got = read(report_fd, failure, sizeof *failure);
    sim_descriptors_changed = true;
    if (got == (ssize_t)sizeof *failure)
        return -1;
    return got == 0 ? 1 : 0;
}

struct launch_failure launch_without_report(bool stopped)
{
    return (struct launch_failure){.step = 0, .error = stopped ? EINTR : ETIMEDOUT};
}

void launch_explain(const struct launch_arguments *arguments, const struct launch_failure *failure,
                    char *text, size_t size)
{
    (void)arguments;
    snprintf(text, size, "execute: %s", strerror(failure->error));
}

/* ---- in place of child.c ---- */

static void processes_told(void *context, int status)
{
    struct child *child = context;
    child->pid = 0;
    child->ended(child, status);
}

void child_init(struct child *child, struct ev_loop *loop,
                void (*ended)(struct child *child, int status), void *owner)
{
    *child = (struct child){.fd = -1, .loop = loop, .ended = ended, .owner = owner};
}

int child_watch(struct child *child, pid_t pid)
{
    struct sim_process *process = sim_find(pid);
    if (process == NULL || process->on_end != NULL)
        sim_fail("C2", "process %d is watched, which is nobody's", (int)pid);
    if (sim_swarm.faults && sim_chance(sim_swarm.launch_fails / 2)) {
        errno = EMFILE;
        return -1;
    }
    child->pid = pid;
    process->on_end = processes_told;
    process->context = child;
    return 0;
}

void child_forget(struct child *child)
{
    struct sim_process *process = child->pid != 0 ? sim_find(child->pid) : NULL;
    if (process != NULL)
        process->on_end = NULL;
    child->pid = 0;
}

void child_default_signals(void)
{
}

bool child_is_watched(pid_t pid)
{
    const struct sim_process *process = sim_find(pid);
    return process != NULL && process->on_end != NULL;
}

unsigned child_watched(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < sim_process_end; i++)
        count += sim_processes[i].serial != 0 && sim_processes[i].on_end != NULL;
    return count;
}

void child_reap_all(void (*orphan)(pid_t pid, int status))
{
    (void)orphan;
}

/* ---- in place of process_tree.c ---- */

static bool processes_in_tree(const struct process_tree *tree, const struct sim_process *process)
{
    return process->serial != 0 && process->group == tree->leader && (tree->led || !process->leads);
}

void process_tree_begin(struct process_tree *tree, pid_t leader)
{
    *tree = (struct process_tree){.leader = leader, .led = true};
}

void process_tree_free(struct process_tree *tree)
{
    *tree = (struct process_tree){.leader = 0};
}

void process_tree_adopt(struct process_tree *tree, const struct process_tree *before)
{
    (void)tree;
    (void)before;
}

void process_tree_look(struct process_tree *tree, struct process_tree_list *list)
{
    list->count = 0;
    for (size_t i = 0; i < sim_process_end && list->count < PROCESS_TREE_MAX; i++) {
        const struct sim_process *process = &sim_processes[i];
        if (processes_in_tree(tree, process) && !process->ended)
            list->items[list->count++] = (struct process_tree_process){
                .pid = process->pid, .group = process->group, .name = "sim"};
    }
}

bool process_tree_may_remain(const struct process_tree *tree)
{
    for (size_t i = 0; i < sim_process_end; i++)
        if (processes_in_tree(tree, &sim_processes[i]))
            return true;
    return false;
}

bool process_tree_has(const struct process_tree *tree, pid_t pid)
{
    const struct sim_process *process = sim_find(pid);
    return process != NULL && !process->ended && processes_in_tree(tree, process);
}

void process_tree_remember(struct process_tree *tree, const struct process_tree_process *process)
{
    (void)tree;
    (void)process;
}

bool process_tree_is_claimed(const struct process_tree_process *process)
{
    (void)process;
    return false;
}

void process_tree_signal(struct process_tree *tree, int signal)
{
    for (size_t i = 0; i < sim_process_end; i++)
        if (processes_in_tree(tree, &sim_processes[i])) {
            sim_check_owner(tree, &sim_processes[i]);
            sim_signal(&sim_processes[i], signal);
        }
}

unsigned process_tree_signal_handlers(struct process_tree *tree, pid_t program, int signal)
{
    unsigned count = 0;
    for (size_t i = 0; i < sim_process_end; i++) {
        struct sim_process *process = &sim_processes[i];
        if (!processes_in_tree(tree, process) || process->ended ||
            (process->pid != program && !processes_handles(process, signal)))
            continue;
        sim_check_owner(tree, process);
        sim_signal(process, signal);
        count++;
    }
    return count;
}

void process_tree_signal_one(const struct process_tree *tree, pid_t pid, int signal)
{
    struct sim_process *process = sim_find(pid);
    if (process != NULL && processes_in_tree(tree, process))
        sim_signal(process, signal);
}

void process_tree_names(const struct process_tree_list *list, char *text, size_t size)
{
    snprintf(text, size, "%u processes", list->count);
}

bool process_tree_read(pid_t pid, struct process_tree_process *process)
{
    (void)pid;
    (void)process;
    return false;
}

void process_tree_signal_process(const struct process_tree_process *process, int signal)
{
    sim_fail("C2", "signal %d to process %d, which is no worker's", signal, (int)process->pid);
}

bool process_tree_catches(pid_t pid, int signal)
{
    const struct sim_process *process = sim_find(pid);
    return process != NULL && processes_handles(process, signal);
}

bool process_tree_was_given(pid_t pid, const char *variable)
{
    (void)pid;
    (void)variable;
    return false;
}

/* NOLINTNEXTLINE(readability-non-const-parameter) */
unsigned process_tree_orphans(pid_t *pids, unsigned max)
{
    (void)pids;
    (void)max;
    return 0;
}

/* ---- in place of idle_check.c ---- */

void idle_check_thaw(struct idle_check *check, const struct process_tree_list *list)
{
    for (unsigned i = 0; check->frozen && i < list->count; i++) {
        struct sim_process *process = sim_find(list->items[i].pid);
        if (process != NULL)
            sim_signal(process, SIGCONT);
    }
    check->frozen = false;
}

enum idle_check_verdict idle_check_look(struct idle_check *check,
                                        const struct process_tree_list *list,
                                        const struct idle_check_sockets *sockets, int64_t quiet,
                                        bool insist)
{
    (void)sockets;
    (void)quiet;
    (void)insist;
    if (!check->frozen) {
        for (unsigned i = 0; i < list->count; i++) {
            struct sim_process *process = sim_find(list->items[i].pid);
            if (process != NULL)
                sim_signal(process, SIGSTOP);
        }
        check->frozen = true;
        return IDLE_CHECK_FREEZING;
    }
    bool idle = true;
    for (unsigned i = 0; i < list->count; i++) {
        const struct sim_process *process = sim_find(list->items[i].pid);
        idle = idle && (process == NULL || process->phase == SIM_IDLE);
    }
    if (idle && !sim_chance(10))
        return IDLE_CHECK_IDLE;
    idle_check_thaw(check, list);
    return idle ? IDLE_CHECK_UNKNOWN : sim_chance(50) ? IDLE_CHECK_BUSY : IDLE_CHECK_ANSWERING;
}

bool idle_check_end(struct idle_check *check, const struct process_tree_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        struct sim_process *process = sim_find(list->items[i].pid);
        if (process != NULL)
            sim_signal(process, SIGTERM);
    }
    idle_check_thaw(check, list);
    return true;
}

/* ---- in place of proc_activity.c ---- */

enum proc_activity proc_activity_doing(pid_t pid)
{
    const struct sim_process *process = sim_find(pid);
    if (process == NULL || sim_chance(10))
        return PROC_ACTIVITY_UNKNOWN;
    return process->phase == SIM_IDLE ? PROC_ACTIVITY_WAITING : PROC_ACTIVITY_BUSY;
}

enum proc_activity proc_activity_between_requests(pid_t pid, const ino_t *given, size_t count)
{
    (void)given;
    (void)count;
    return proc_activity_doing(pid);
}

bool proc_activity_waits_for_child(pid_t pid)
{
    (void)pid;
    return false;
}

bool proc_activity_accepts(pid_t pid, const ino_t *given, size_t count)
{
    const struct sim_process *process = sim_find(pid);
    (void)given;
    (void)count;
    return process != NULL && process->phase >= SIM_IDLE;
}

bool proc_activity_holds(pid_t pid, ino_t socket)
{
    (void)pid;
    (void)socket;
    return false;
}

int proc_activity_memory(pid_t pid, uint64_t *bytes)
{
    *bytes = 1 << 20;
    return sim_find(pid) != NULL ? 0 : -1;
}
