/* generation.c: see generation.h. */
#include "fpm/pool/generation.h"

#include "fpm/log/log.h"
#include "fpm/pool/request_tracking.h"
#include "fpm/pool/socket.h"
#include "fpm/util/error.h"
#include "fpm/util/fd.h"
#include "fpm/util/invariant.h"
#include "fpm/worker/exit_message.h"
#include "fpm/worker/stray_process.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/scalar.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    GENERATION_POLL = 50,          /* ms between checks whether an unattached worker is idle */
    GENERATION_INSIST_MS = 1000,   /* after which one that never is may be told during a request */
    GENERATION_RESTART_POLL = 200, /* ms between checks whether a wrapper has started its program
                                    * again */
    GENERATION_TERM_MS = 1000,     /* ms that an unattached worker has at least after TERM */
    GENERATION_NAMES = 256,        /* bytes of the names of processes in a log line */
    GENERATION_HANDOFF_MAX =
        65536, /* connections for which the sockets between workers have room */
    GENERATION_HANDOFF_MESSAGE = 1024 /* bytes for each; the kernel doubles it */
};

/* ---- output of workers ---- */

struct log_about generation_about(const struct generation_member *member)
{
    return (struct log_about){
        .pool = member->generation->pool->name, .pid = member->worker.pid, .slot = member->slot};
}

static void generation_on_line(void *context, const struct output_capture_line *line)
{
    const struct generation_stream *stream = context;
    struct generation_member *member = stream->member;
    bool error = stream == &member->error;
    /* The last line on stderr may say why a worker died, whether or not it is logged. */
    if (error && line->begins && line->length > 0) {
        size_t length = MIN(line->length, sizeof member->last_error - 1);
        memcpy(member->last_error, line->text, length);
        member->last_error[length] = '\0';
    }
    if (stream->capture.whole)
        return;
    const struct log_record record = {
        .level = error ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE,
        .about = generation_about(member),
        .text = line->text,
        .length = line->length,
        .stream = stream->name,
        .decorate = member->generation->pool->decorate_workers_output,
        .begins = line->begins,
        .ends = line->ends,
        .empty_lines = line->empty_lines,
    };
    log_output(&record);
}

static size_t generation_message_limit(void)
{
    return OT_MESSAGE_MAX;
}

/* A message of the library: its level, and a text that may begin with the pool. */
static void generation_on_message(void *context, const struct output_capture_line *line)
{
    const struct generation_stream *stream = context;
    char text[OT_MESSAGE_MAX + 1], pool[OT_POOL_NAME_MAX + 16];
    size_t length = MIN(line->length, sizeof text - 1);
    if (length < 2 || !line->begins)
        return;
    memcpy(text, line->text, length);
    text[length] = '\0';
    int skip = snprintf(pool, sizeof pool, "pool %s: ", stream->member->generation->pool->name);
    bool named = skip > 0 && strncmp(text + 1, pool, (size_t)skip) == 0;
    log_worker(*text == OT_MESSAGE_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
               generation_about(stream->member), ": %s", text + 1 + (named ? skip : 0));
}

/* With catch_workers_output = no the lines on stderr are read all the same, for the last of them,
 * and stdout is /dev/null. */
static bool generation_stream_is_dropped(const struct generation_stream *stream)
{
    return !stream->member->generation->pool->catch_workers_output &&
           stream != &stream->member->messages;
}

static void generation_stream_init(struct generation_stream *stream)
{
    bool messages = stream == &stream->member->messages;
    output_capture_init(&stream->capture, messages ? generation_message_limit : log_output_limit,
                        messages ? generation_on_message : generation_on_line, stream);
    stream->capture.whole = generation_stream_is_dropped(stream);
}

/* Opens the end of a pipe, or /dev/null, for the worker to write to. Returns -1 with errno. */
static int generation_stream_open(struct generation_stream *stream)
{
    struct generation_member *member = stream->member;
    if (stream == &member->output && generation_stream_is_dropped(stream))
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
    generation_stream_init(stream);
    int fd = output_capture_open(&stream->capture, member->generation->loop);
    return stream == &member->messages && fd >= 0 ? output_capture_never_waits(fd) : fd;
}

/* Logs what is left in the pipes of a worker. */
static void generation_close_streams(struct generation_member *member)
{
    output_capture_close(&member->output.capture);
    output_capture_close(&member->error.capture);
    output_capture_close(&member->messages.capture);
}

/* ---- changes of workers ---- */

_Static_assert((int)WORKER_KILLED == (int)OT_PROCESS_KILLED &&
                   (int)WORKER_STATE_COUNT == (int)OT_PROCESS_COUNT,
               "a worker's states are published as they are");

void generation_mark_changed(struct generation_member *member)
{
    struct generation *generation = member->generation;
    if (member->changed)
        return;
    member->changed = true;
    member->next_changed = generation->changed;
    generation->changed = member;
}

struct generation_member *generation_take_changed(struct generation *generation)
{
    struct generation_member *list = generation->changed;
    for (struct generation_member *member = list; member != NULL; member = member->next_changed) {
        INVARIANT(member->changed && member->generation == generation);
        member->changed = false;
    }
    generation->changed = NULL;
    return list;
}

/* The only function that follows a member's change of state. */
static void generation_worker_moved(struct worker *worker, enum worker_state from,
                                    enum worker_state to)
{
    struct generation_member *member = worker->owner;
    struct generation *generation = member->generation;
    INVARIANT(generation->counts[from] > 0 && member->slot < generation->size);
    generation->counts[from]--;
    generation->counts[to]++;
    generation_mark_changed(member);
    generation->live = generation->size - generation->counts[WORKER_NONE];
    INVARIANT(generation->live <= generation->size);
    scoreboard_set_process(&generation->scoreboard, member->slot, (enum ot_process)to,
                           to == WORKER_NONE ? 0 : worker->pid, worker->started);
    log_worker(LOG_LEVEL_DEBUG, generation_about(member), ": %s -> %s", worker_state_name(from),
               worker_state_name(to));
    if (from == WORKER_STARTING && to == WORKER_RUNNING)
        generation->events->started(generation, member);
}

/* ---- stopping ---- */

pid_t generation_member_program(const struct generation_member *member)
{
    const struct worker *worker = &member->worker;
    pid_t attached = scoreboard_pid(&member->generation->scoreboard, member->slot);
    if (attached > 0 && attached != worker->pid && process_tree_has(&worker->tree, attached))
        return attached;
    return worker->tree.led ? worker->pid : 0;
}

/* A signal must not wait in processes that are stopped to be looked at. */
static void generation_thaw(struct generation_member *member)
{
    struct process_tree_list list;
    if (!member->idle.frozen)
        return;
    process_tree_look(&member->worker.tree, &list);
    idle_check_thaw(&member->idle, &list);
}

/* Sends the signal to stop, 0 = it was sent, to all processes of the worker: the rest of its time
 * begins. */
static void generation_stop_all(struct generation_member *member, int signal, int64_t patience)
{
    INVARIANT(member->stop_reason != EXIT_CAUSE_STOP_NONE);
    member->stop_sent = true;
    member->all_told = true;
    worker_stop(&member->worker, signal, patience);
    generation_thaw(member);
}

/* While a program runs system(3), it ignores these signals. A worker with the library sees in its
 * slot that it was asked; another one is asked again when it waits for a request. */
static bool generation_may_lose(int signal)
{
    return signal == SIGINT || signal == SIGQUIT;
}

/* Sends the signal to the process that attached, and to others that have a handler for it, as its
 * siblings do: they end when their work is done, and a wrapper that waits for them follows. A
 * signal to all would end the wrapper at once. */
static void generation_stop_program(struct generation_member *member, int signal, int64_t patience)
{
    pid_t attached = scoreboard_pid(&member->generation->scoreboard, member->slot);
    pid_t program = generation_member_program(member);
    generation_thaw(member);
    member->stop_sent = true;
    member->asked = attached == program ? program : 0;
    scoreboard_ask_to_stop(&member->generation->scoreboard, member->slot, member->asked);
    if (member->asked != 0 && program != member->worker.pid)
        patience = MIN(patience, GENERATION_RESTART_POLL);
    else if (member->asked == 0 && generation_may_lose(signal))
        patience = MIN(patience, GENERATION_TERM_MS);
    member->all_told = !worker_stop_program(&member->worker, signal, member->asked, patience);
}

enum {
    GENERATION_SOCKETS = 3
};

/* The sockets that a worker was given, which say nothing of its requests. */
static void generation_given_sockets(const struct generation *generation,
                                     ino_t numbers[GENERATION_SOCKETS])
{
    const int given[GENERATION_SOCKETS] = {generation->spec.launch.listen_fd,
                                           generation->channels->handoff[0],
                                           generation->channels->handoff[1]};
    for (size_t i = 0; i < GENERATION_SOCKETS; i++) {
        struct stat status;
        numbers[i] = fstat(given[i], &status) == 0 ? status.st_ino : 0;
    }
}

/* ms of the grace period. */
static int64_t generation_grace_left(const struct generation_member *member)
{
    int64_t left = member->grace_ends - clock_ms();
    return MAX(left, 0);
}

/* Each of its processes must be between two requests. */
enum proc_activity generation_unattached_activity(struct generation_member *member)
{
    ino_t numbers[GENERATION_SOCKETS];
    struct process_tree_list list;
    enum proc_activity all = PROC_ACTIVITY_WAITING;
    generation_given_sockets(member->generation, numbers);
    process_tree_look(&member->worker.tree, &list);
    for (unsigned i = 0; i < list.count && all != PROC_ACTIVITY_BUSY; i++) {
        enum proc_activity one =
            proc_activity_between_requests(list.items[i].pid, numbers, GENERATION_SOCKETS);
        all = one == PROC_ACTIVITY_WAITING ? all : one;
    }
    return all;
}

void generation_look_for_accept(struct generation_member *member)
{
    ino_t numbers[GENERATION_SOCKETS];
    generation_given_sockets(member->generation, numbers);
    member->accepted = proc_activity_accepts(member->worker.pid, numbers, GENERATION_SOCKETS);
}

/* Do connections wait in a queue that no other worker will serve? */
static bool generation_has_queue(const struct generation *generation)
{
    return scoreboard_is_last_drain(&generation->scoreboard) &&
           socket_pending(generation->spec.launch.listen_fd);
}

/* Looks whether the processes of a worker without the library are between two requests; if they
 * are, it tells them to stop. */
static enum idle_check_verdict generation_try_stop(struct generation_member *member, int64_t left)
{
    ino_t numbers[GENERATION_SOCKETS];
    const struct idle_check_sockets sockets = {numbers, GENERATION_SOCKETS,
                                               member->generation->spec.launch.listen_fd};
    struct process_tree_list list;
    int64_t waited = clock_ms() - member->worker.stop_since;
    bool stopping = member->worker.stop_since != 0;
    generation_given_sockets(member->generation, numbers);
    process_tree_look(&member->worker.tree, &list);
    enum idle_check_verdict verdict = idle_check_look(
        &member->idle, &list, &sockets, stopping && waited > left ? 0 : IDLE_CHECK_QUIET,
        stopping && waited > GENERATION_INSIST_MS);
    if (verdict != IDLE_CHECK_IDLE)
        return verdict;
    if (idle_check_end(&member->idle, &list))
        generation_stop_all(member, 0, MAX(left, GENERATION_TERM_MS));
    else
        worker_stop(&member->worker, 0, GENERATION_RESTART_POLL);
    return verdict;
}

/* Do not signal a worker without the library during a request until its grace period ends; a merely
 * superfluous worker has no such end. `left`: ms of the grace period. */
static void generation_stop_unattached(struct generation_member *member, int64_t left)
{
    /* It was sent a signal to end, and another stop must not cut its time short. */
    if (member->stop_sent)
        return;
    enum idle_check_verdict verdict = IDLE_CHECK_UNKNOWN;
    if (left > 0 && generation_has_queue(member->generation))
        generation_thaw(member);
    else
        verdict = generation_try_stop(member, left);
    if (verdict == IDLE_CHECK_IDLE)
        return;
    if (verdict == IDLE_CHECK_FREEZING) {
        worker_stop(&member->worker, 0, IDLE_CHECK_PAUSE);
        return;
    }
    if (left > 0 || !member->worker.stop_requested) {
        bool soon = verdict == IDLE_CHECK_ANSWERING;
        worker_stop(&member->worker, 0, MIN(left, soon ? IDLE_CHECK_SOON : GENERATION_POLL));
        return;
    }
    bool busy = verdict == IDLE_CHECK_BUSY || verdict == IDLE_CHECK_ANSWERING;
    if (member->stop_reason == EXIT_CAUSE_STOP_SUPERFLUOUS && busy) {
        worker_stop(&member->worker, 0, GENERATION_TERM_MS);
        return;
    }

    /* A request may be lost, and nothing says which. */
    char waited[32];
    scalar_duration(clock_ms() - member->worker.stop_since, waited, sizeof waited);
    log_worker(busy ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, generation_about(member),
               " is ended in unknown state (no library attached): it "
               "did not seem to wait for a request within %s of having to go (%s); see "
               "`process_control_timeout`",
               waited, exit_cause_stop_text(member->stop_reason));
    generation_stop_all(member, SIGTERM, GENERATION_TERM_MS);
}

/* Stops what a worker's first process has left. The program that attached ends its request first.
 * Helpers of an attached program are not part of what serves: they have the grace period. */
static void generation_stop_rest(struct generation_member *member)
{
    const struct scoreboard *scoreboard = &member->generation->scoreboard;
    bool attached = scoreboard_glance(scoreboard, member->slot).phase != SCOREBOARD_UNATTACHED;
    pid_t program = generation_member_program(member);
    int64_t left = generation_grace_left(member);
    if (left > 0 && program != 0 && program != member->asked)
        generation_stop_program(member, SIGQUIT, left);
    else if (left > 0 && attached)
        worker_stop(&member->worker, 0, left);
    else
        generation_stop_all(member, SIGTERM, MAX(left, GENERATION_TERM_MS));
}

static void generation_stop_now(struct generation_member *member)
{
    const struct generation *generation = member->generation;
    if (!member->worker.tree.led) {
        generation_stop_rest(member);
        return;
    }
    enum scoreboard_phase phase = scoreboard_glance(&generation->scoreboard, member->slot).phase;
    int signal = generation->pool->pm_stop_signal;
    int64_t left = generation_grace_left(member);
    if (signal != 0)
        generation_stop_program(member, signal, left);
    /* A worker still starting has no signal handlers yet; let it come up and serve the queue of a
     * socket that is being given up. */
    else if (left > 0 && phase == SCOREBOARD_STARTING && generation_has_queue(generation))
        worker_stop(&member->worker, 0, MIN(left, GENERATION_POLL));
    else if (phase != SCOREBOARD_UNATTACHED)
        generation_stop_program(member, SIGQUIT, left);
    else /* it has no library, or has not attached yet */
        generation_stop_unattached(member, left);
}

/* Records that the worker is to stop, and by when. False if there is nothing to stop. */
static bool generation_mark(struct generation_member *member, enum exit_cause_stop why,
                            int64_t grace)
{
    enum exit_cause_stop before = member->stop_reason;
    bool first = before == EXIT_CAUSE_STOP_NONE;
    int64_t ends = clock_ms() + grace;
    if (member->worker.state == WORKER_NONE || member->worker.state == WORKER_KILLED)
        return false;
    member->generation->retiring += first;
    INVARIANT(member->generation->retiring <= member->generation->live);
    generation_mark_changed(member);
    if (first || ends < member->grace_ends)
        member->grace_ends = ends;
    /* Keep the first stop reason, except: any reason replaces "superfluous", and an exceeded limit
     * replaces a graceful stop. */
    if (first || before == EXIT_CAUSE_STOP_SUPERFLUOUS ||
        (exit_cause_is_limit(why) && !exit_cause_is_limit(before)))
        member->stop_reason = why;
    return true;
}

/* A wrapper that does not end when its program has, and starts it again, would do so for ever. */
static bool generation_was_restarted(const struct generation_member *member)
{
    pid_t program = generation_member_program(member);
    return member->asked != 0 && !member->all_told && program != member->asked &&
           program == scoreboard_pid(&member->generation->scoreboard, member->slot);
}

/* The rest of a worker did not end in time. */
static void generation_kill_rest(struct generation_member *member)
{
    char names[GENERATION_NAMES], waited[32];
    struct process_tree_list rest;
    process_tree_look(&member->worker.tree, &rest);
    process_tree_names(&rest, names, sizeof names);
    scalar_duration(clock_ms() - member->worker.stop_since, waited, sizeof waited);
    log_worker(LOG_LEVEL_WARNING, generation_about(member),
               " left processes behind that did not end within %s of "
               "being asked to; they are killed: %s; see `process_control_timeout`",
               waited, names);
    worker_kill(&member->worker);
}

/* The time that the worker had to stop is over. */
static void generation_worker_stop_timeout(struct worker *worker)
{
    struct generation_member *member = worker->owner;
    const struct scoreboard *scoreboard = &member->generation->scoreboard;
    struct scoreboard_glance glance = scoreboard_glance(scoreboard, member->slot);
    INVARIANT(member->stop_reason != EXIT_CAUSE_STOP_NONE);
    int signal = member->generation->pool->pm_stop_signal;
    signal = signal != 0 ? signal : SIGQUIT;
    if (!member->stop_sent) {
        generation_stop_now(member);
        return;
    }
    if (generation_was_restarted(member)) {
        generation_stop_all(member, SIGTERM, generation_grace_left(member));
        return;
    }
    if (member->asked != 0 && !member->all_told && generation_grace_left(member) > 0) {
        /* Siblings of the program that were still starting have a handler now. */
        if (member->asked != worker->pid)
            (void)process_tree_signal_handlers(&worker->tree, 0, signal);
        worker_stop(&member->worker, 0,
                    MIN(generation_grace_left(member), GENERATION_RESTART_POLL));
        return;
    }
    if (generation_member_program(member) == 0) {
        generation_kill_rest(member);
        return;
    }
    int64_t left = generation_grace_left(member);
    if (member->asked == 0 && left > 0 && generation_may_lose(signal) &&
        !exit_cause_is_limit(member->stop_reason)) {
        if (generation_unattached_activity(member) == PROC_ACTIVITY_WAITING)
            generation_stop_program(member, signal, left);
        else
            worker_stop(worker, 0, MIN(left, GENERATION_POLL));
        return;
    }
    /* A superfluous worker may have accepted a request just before the signal: let it finish. */
    if (member->stop_reason == EXIT_CAUSE_STOP_SUPERFLUOUS &&
        (glance.busy > 0 || glance.phase == SCOREBOARD_SERVING ||
         glance.phase == SCOREBOARD_POST_RESPONSE)) {
        worker_stop(&member->worker, 0, GENERATION_TERM_MS);
        return;
    }

    struct slot_view view;
    char doing[EXIT_MESSAGE_MAX], waited[32];
    slot_view_look(scoreboard_slot(scoreboard, member->slot), &view);
    exit_message_doing(&view, clock_ns(), doing, sizeof doing);
    scalar_duration(clock_ms() - worker->stop_since, waited, sizeof waited);
    log_worker(LOG_LEVEL_WARNING, generation_about(member),
               " is killed %s: it did not end within %s of being "
               "asked to (%s); see `%s`",
               doing, waited, exit_cause_stop_text(member->stop_reason),
               exit_cause_is_limit(member->stop_reason) ? "hard_timeout"
                                                        : "process_control_timeout");
    worker_kill(worker);
}

/* ---- the end of a worker ---- */

/* The program may have left the tree for a session of its own: it is still the worker's if it
 * attached the worker's slot, and the pool's socket shows that it does not belong to another pool.
 */
static void generation_worker_leader_ended(struct worker *worker)
{
    const struct generation_member *member = worker->owner;
    const struct generation *generation = member->generation;
    pid_t attached = scoreboard_pid(&generation->scoreboard, member->slot);
    struct process_tree_process process;
    struct stat socket;
    if (attached > 0 && attached != worker->pid && process_tree_read(attached, &process) &&
        process.parent == getpid() && !child_is_watched(attached) &&
        fstat(generation->spec.launch.listen_fd, &socket) == 0 &&
        proc_activity_holds(attached, socket.st_ino))
        process_tree_remember(&worker->tree, &process);
}

/* The worker is gone when they are, and its slot is free then. */
static void generation_worker_outlived(struct worker *worker, const struct process_tree_list *rest)
{
    struct generation_member *member = worker->owner;
    int64_t grace = member->generation->config->global.process_control_timeout;
    char names[GENERATION_NAMES], allowed[32];
    bool expected = member->stop_sent;
    if (!generation_mark(member, EXIT_CAUSE_STOP_REST, grace))
        return;
    generation_thaw(member);
    member->generation->events->outlived(member->generation, member);
    process_tree_names(rest, names, sizeof names);
    scalar_duration(generation_grace_left(member), allowed, sizeof allowed);
    log_worker(
        expected && member->all_told ? LOG_LEVEL_DEBUG : LOG_LEVEL_NOTICE, generation_about(member),
        " has ended, but not the processes it started: %s; they "
        "are stopped, and killed if they are there in %s (`process_control_timeout`); what is "
        "to outlive a worker must be started in a session of its own (setsid -f)",
        names, allowed);
    if (member->all_told ||
        (member->asked != 0 && generation_member_program(member) == member->asked))
        return;
    member->stop_sent = false;
    generation_stop_rest(member);
}

static void generation_worker_ended(struct worker *worker)
{
    struct generation_member *member = worker->owner;
    struct generation *generation = member->generation;
    struct slot_view view;
    slot_view_look_dead(scoreboard_slot(&generation->scoreboard, member->slot), &view);
    INVARIANT(worker->state == WORKER_NONE);
    INVARIANT(member->stop_reason == EXIT_CAUSE_STOP_NONE || generation->retiring > 0);
    generation_close_streams(member);
    generation->retiring -= member->stop_reason != EXIT_CAUSE_STOP_NONE;
    INVARIANT(generation->retiring <= generation->live);
    ev_timer_stop(generation->loop, &member->limit);
    member->limit_at = 0;
    const struct access_log_end end = {.status = worker->status,
                                       .stop_requested = worker->stop_requested};
    if (!worker->start_failed)
        access_log_write_unfinished(generation->access, &generation->scoreboard, member->slot,
                                    &end);
    request_tracking_note_end(&generation->scoreboard, member->slot, worker->pid);
    scoreboard_release(&generation->scoreboard, member->slot);
    stray_process_look(generation->pool->name, generation->spec.launch.listen_fd);
    if (worker->start_failed) {
        char why[ERROR_SIZE];
        launch_explain(&generation->spec.launch, &worker->failure, why, sizeof why);
        generation->events->start_failed(generation, why, worker->started, false);
    } else {
        generation->events->ended(generation, member, &view);
    }
}

static const struct worker_events generation_worker_events = {
    .moved = generation_worker_moved,
    .stop_timeout = generation_worker_stop_timeout,
    .leader_ended = generation_worker_leader_ended,
    .outlived = generation_worker_outlived,
    .ended = generation_worker_ended,
};

/* ---- what all generations of the pool share ---- */

/* Makes room for all idle kept connections of the pool at once, as workers that leave must wait for
 * it otherwise. A manager that is not root gets what net.core.wmem_max allows. */
static void generation_size_handoff(const struct config_pool *pool, int handoff)
{
    int64_t connections = MIN(pool->keepalive_max, GENERATION_HANDOFF_MAX);
    connections = MIN(connections * pool->pm_max_children, GENERATION_HANDOFF_MAX);
    int room = (int)connections * GENERATION_HANDOFF_MESSAGE;
    int now = 0;
    socklen_t length = sizeof now;
    if (getsockopt(handoff, SOL_SOCKET, SO_SNDBUF, &now, &length) == 0 && now < room &&
        setsockopt(handoff, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0)
        (void)setsockopt(handoff, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

/* Holds those of `before`, or makes some without descriptors. Returns 0, or -1 with a
 * sentence. */
static int generation_take_channels(struct generation *generation, const struct generation *before,
                                    char *error, size_t size)
{
    struct generation_channels *channels =
        before != NULL ? before->channels : calloc(1, sizeof *channels);
    generation->channels = channels;
    if (channels == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    if (before == NULL)
        channels->doorbell_fd = channels->handoff[0] = channels->handoff[1] = -1;
    else if (channels->handoff[1] >= 0)
        generation_size_handoff(generation->pool, channels->handoff[1]);
    channels->holders++;
    return 0;
}

void generation_close_channels(struct generation_channels *channels)
{
    fd_close(&channels->doorbell_fd);
    fd_close(&channels->handoff[0]);
    fd_close(&channels->handoff[1]);
}

static void generation_leave_channels(struct generation *generation)
{
    struct generation_channels *channels = generation->channels;
    generation->channels = NULL;
    INVARIANT(channels == NULL || channels->holders > 0);
    if (channels == NULL || --channels->holders > 0)
        return;
    generation_close_channels(channels);
    free(channels);
}

/* One worker can shut the pair down for all. Workers that are started from then on have another,
 * with the same numbers here; the others notice and go on without. */
static void generation_renew_handoff(const struct generation *generation)
{
    int *handoff = generation->channels->handoff, pair[2];
    struct pollfd look = {.fd = handoff[0], .events = POLLRDHUP};
    if (poll(&look, 1, 0) != 1 || (look.revents & (POLLRDHUP | POLLHUP)) == 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return;
    bool renewed =
        dup3(pair[0], handoff[0], O_CLOEXEC) >= 0 && dup3(pair[1], handoff[1], O_CLOEXEC) >= 0;
    fd_close(&pair[0]);
    fd_close(&pair[1]);
    generation_size_handoff(generation->pool, handoff[1]);
    log_about(LOG_LEVEL_WARNING, &(struct log_about){.pool = generation->pool->name},
              "pool %s: a worker has shut down the sockets through which workers pass on kept "
              "connections: %s",
              generation->pool->name,
              renewed ? "workers that are started from now on have others; reload for the rest"
                      : strerror(errno));
}

/* Returns 0, or -1 with errno. */
static int generation_open_channels(const struct generation *generation)
{
    struct generation_channels *channels = generation->channels;
    if (channels->doorbell_fd >= 0) {
        generation_renew_handoff(generation);
        return 0;
    }
    channels->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (channels->doorbell_fd < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channels->handoff) != 0) {
        fd_close(&channels->doorbell_fd);
        return -1;
    }
    generation_size_handoff(generation->pool, channels->handoff[1]);
    return 0;
}

/* ---- starting ---- */

/* Helpers that outlive their workers must not keep a pool from serving. */
static void generation_hurry_rest(struct generation *generation)
{
    for (unsigned i = 0; i < generation->size; i++) {
        struct generation_member *member = &generation->members[i];
        if (member->worker.state == WORKER_STOPPING && !member->worker.tree.led &&
            !member->all_told && generation_member_program(member) == 0)
            generation_stop_all(member, SIGTERM, GENERATION_TERM_MS);
    }
}

/* Opens what the worker is to have. Returns 0, or -1 with a sentence. */
static int generation_open_launch(struct generation *generation, struct generation_member *member,
                                  char *error, size_t size)
{
    struct launch_arguments *launch = &generation->spec.launch;
    const struct generation_channels *channels = generation->channels;
    launch->board_fd = scoreboard_read_only(&generation->scoreboard);
    launch->slot_fd = generation->scoreboard.fd;
    launch->doorbell_fd = channels->doorbell_fd;
    launch->conn_handoff_in = channels->handoff[0];
    launch->conn_handoff_out = channels->handoff[1];
    launch->access_log_fd = access_log_fd(generation->access);
    launch->output_fd = generation_stream_open(&member->output);
    launch->error_fd = generation_stream_open(&member->error);
    launch->messages_fd = generation_stream_open(&member->messages);
    if (launch->board_fd < 0 || launch->output_fd < 0 || launch->error_fd < 0 ||
        launch->messages_fd < 0) {
        snprintf(error, size, "open its descriptors: %s; check `rlimit_files` in [global]",
                 strerror(errno));
        return -1;
    }

    /* The lowest free number is given first: below this one, none is free. */
    if (!fd_is_reserved(launch->messages_fd))
        return 0;
    snprintf(error, size,
             "the manager may open no more than %d descriptors and keeps the last %d for "
             "overtimectl and for workers that end; raise `rlimit_files` in [global], or the "
             "limit with which the manager is started (LimitNOFILE=, ulimit -n)",
             fd_limit(), FD_RESERVED);
    return -1;
}

bool generation_spawn(struct generation *generation)
{
    struct launch_arguments *launch = &generation->spec.launch;
    char error[ERROR_SIZE];
    bool good = false;
    if (scoreboard_share(&generation->scoreboard) != 0 ||
        generation_open_channels(generation) != 0) {
        snprintf(error, sizeof error,
                 "make what workers share: %s; check `rlimit_files` in [global]", strerror(errno));
        generation->events->start_failed(generation, error, clock_ms(), true);
        return false;
    }
    int slot = scoreboard_assign(&generation->scoreboard);
    if (slot < 0) {
        generation_hurry_rest(generation);
        return false;
    }
    INVARIANT((unsigned)slot < generation->size);
    struct generation_member *member = &generation->members[slot];
    INVARIANT(member->worker.state == WORKER_NONE && member->limit_at == 0);
    INVARIANT(member->output.capture.fd < 0 && member->error.capture.fd < 0);
    member->stop_reason = EXIT_CAUSE_STOP_NONE;
    member->stop_sent = member->all_told = false;
    member->asked = 0;
    member->idle = (struct idle_check){0};
    member->last_error[0] = '\0';
    member->accepted = false;
    member->queue_at_start = socket_pending(launch->listen_fd);
    launch_spec_set_slot(&generation->spec, (unsigned)slot);
    if (generation_open_launch(generation, member, error, sizeof error) == 0)
        good = worker_spawn(&member->worker, launch, error, sizeof error) == 0;
    fd_close(&launch->board_fd);
    fd_close(&launch->output_fd);
    fd_close(&launch->error_fd);
    fd_close(&launch->messages_fd);
    if (good)
        return true;
    generation_close_streams(member);
    scoreboard_release(&generation->scoreboard, (unsigned)slot);
    generation->events->start_failed(generation, error, clock_ms(), true);
    return false;
}

/* ---- what the owner asks for ---- */

bool generation_member_in_service(const struct generation_member *member)
{
    return member->worker.state != WORKER_NONE && member->stop_reason == EXIT_CAUSE_STOP_NONE;
}

void generation_stop(struct generation_member *member, enum exit_cause_stop why,
                     int64_t patience_ms)
{
    if (generation_mark(member, why, patience_ms))
        generation_stop_now(member);
}

void generation_terminate(struct generation_member *member, enum exit_cause_stop why,
                          int64_t patience_ms)
{
    enum exit_cause_stop before = member->stop_reason;
    if (!generation_mark(member, why, patience_ms))
        return;
    /* Neither a stop nor a limit extends the grace period of a worker that is to stop already. */
    int64_t left = generation_grace_left(member);
    if (before != EXIT_CAUSE_STOP_NONE && before != EXIT_CAUSE_STOP_SUPERFLUOUS)
        patience_ms = MIN(patience_ms, left);
    generation_stop_all(member, SIGTERM, patience_ms);
}

void generation_kill(struct generation_member *member, enum exit_cause_stop why)
{
    if (generation_mark(member, why, 0))
        worker_kill(&member->worker);
}

/* ---- opening and closing ---- */

/* What a worker reads from its board, each from the directive of the same name. */
static struct ot_settings generation_settings(const struct config_pool *pool)
{
    return (struct ot_settings){
        .ignore_user_abort = pool->ignore_user_abort,
        .abort_detection = pool->abort_detection,
        .drop_dead_on_arrival = pool->drop_dead_on_arrival,
        .bailout = pool->bailout,
        .max_execution_time = pool->max_execution_time,
        .max_execution_cpu_time = pool->max_execution_cpu_time,
        .hard_timeout = pool->hard_timeout,
        .post_response_time_limit = pool->post_response_time_limit,
        .post_response_until_accept = pool->post_response_until_accept,
        .shutdown_functions_time_limit = pool->shutdown_functions_time_limit,
        .request_header_timeout = pool->request_header_timeout,
        .keepalive_timeout = pool->keepalive_timeout,
        .keepalive_max = (uint64_t)pool->keepalive_max,
        .limit_params_size = (uint64_t)pool->limit_params_size,
        .max_requests = (uint64_t)pool->pm_max_requests,
        .max_requests_jitter = (uint64_t)pool->pm_max_requests_jitter,
        .dumpable = pool->rlimit_core > 0 || !pool->identity.change,
        .max_memory = (uint64_t)pool->pm_max_memory,
    };
}

unsigned generation_size_for(const struct config_pool *pool)
{
    return (unsigned)(pool->pm_max_children + pool->post_response_max_children);
}

static int generation_make_members(struct generation *generation, char *error, size_t size)
{
    generation->members = calloc(generation->size, sizeof *generation->members);
    if (generation->members == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    for (unsigned i = 0; i < generation->size; i++) {
        struct generation_member *member = &generation->members[i];
        member->generation = generation;
        member->slot = i;
        worker_init(&member->worker, generation->loop, &generation_worker_events, member);
        member->output = (struct generation_stream){member, "stdout", OUTPUT_CAPTURE_NONE};
        member->error = (struct generation_stream){member, "stderr", OUTPUT_CAPTURE_NONE};
        member->messages = (struct generation_stream){member, "messages", OUTPUT_CAPTURE_NONE};
    }
    generation->counts[WORKER_NONE] = generation->size;
    INVARIANT(generation->size == generation->scoreboard.count);
    return 0;
}

static struct generation *generation_new(struct ev_loop *loop, struct config *config,
                                         const struct config_pool *pool,
                                         const struct generation_events *events, void *owner,
                                         char *error, size_t size)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL) {
        snprintf(error, size, "out of memory");
        return NULL;
    }
    *generation = (struct generation){
        .config = config_keep(config),
        .launch_config = config_keep(config),
        .pool = pool,
        .loop = loop,
        .events = events,
        .owner = owner,
        .scoreboard = {.fd = -1},
    };
    return generation;
}

struct generation *generation_open(struct ev_loop *loop, struct config *config,
                                   const struct config_pool *pool, const struct generation *before,
                                   int listen_fd, const struct generation_events *events,
                                   void *owner, char *error, size_t size)
{
    struct generation *generation = generation_new(loop, config, pool, events, owner, error, size);
    if (generation == NULL)
        return NULL;
    generation->number = before != NULL ? before->number + 1 : 1;
    generation->size = generation_size_for(pool);
    struct ot_settings settings = generation_settings(pool);
    errno = 0;
    if (scoreboard_create(&generation->scoreboard, pool->name, generation->size, &settings, error,
                          size) != 0 ||
        launch_spec_build(&generation->spec, pool, error, size) != 0 ||
        access_log_open(&generation->access, loop, pool, &generation->scoreboard, error, size) !=
            0 ||
        generation_take_channels(generation, before, error, size) != 0 ||
        generation_make_members(generation, error, size) != 0) {
        size_t used = strlen(error);
        if (errno == EMFILE)
            snprintf(error + used, size - used, "; check `rlimit_files` in [global]");
        generation_close(&generation);
        return NULL;
    }
    generation->spec.launch.listen_fd = listen_fd;

    /* What else a worker reads from its board. With a socket for the status, workers answer neither
     * path unless the pool asks for both. */
    struct ot_board *board = generation->scoreboard.board;
    bool here =
        pool->pm_status_listen.kind == VALUE_PARSE_ADDRESS_NONE || pool->pm_status_on_listen;
    board->generation = generation->number;
    board->manager_pid = getpid();
    snprintf(board->status_path, sizeof board->status_path, "%s",
             here && pool->pm_status_path != NULL ? pool->pm_status_path : "");
    snprintf(board->ping_path, sizeof board->ping_path, "%s",
             here && pool->ping_path != NULL ? pool->ping_path : "");
    snprintf(board->ping_response, sizeof board->ping_response, "%s", pool->ping_response);
    return generation;
}

/* ---- workers that another program started ---- */

/* Returns 0, or -1 with a sentence: the worker is not there. */
static int generation_adopt_member(struct generation *generation,
                                   const struct generation_member *before, char *error, size_t size)
{
    if (before->slot >= generation->size ||
        !scoreboard_claim(&generation->scoreboard, before->slot)) {
        snprintf(error, size, "there is no free slot %u", before->slot);
        return -1;
    }
    struct generation_member *member = &generation->members[before->slot];
    struct {
        struct generation_stream *stream;
        const struct output_capture *before;
    } streams[] = {{&member->output, &before->output.capture},
                   {&member->error, &before->error.capture},
                   {&member->messages, &before->messages.capture}};
    member->stop_reason = before->stop_reason;
    member->stop_sent = before->stop_sent;
    member->all_told = before->all_told;
    member->asked = before->asked;
    member->grace_ends = before->grace_ends;
    member->worker.pid = before->worker.pid; /* for the log lines that follow */
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        if (streams[i].before->fd < 0)
            continue;
        generation_stream_init(streams[i].stream);
        output_capture_adopt(&streams[i].stream->capture, generation->loop, streams[i].before);
    }
    if (worker_adopt(&member->worker, &before->worker, error, size) == 0) {
        /* The manager before the upgrade may have stopped it to look at it. */
        member->idle.frozen = member->stop_reason != EXIT_CAUSE_STOP_NONE && !member->stop_sent;
        generation_thaw(member);
        generation->retiring += before->stop_reason != EXIT_CAUSE_STOP_NONE;
        return 0;
    }
    generation_close_streams(member);
    scoreboard_release(&generation->scoreboard, before->slot);
    return -1;
}

struct generation *generation_adopt(struct ev_loop *loop, struct config *config,
                                    const struct config_pool *pool, const struct generation *before,
                                    const struct generation *other, int listen_fd, bool starts,
                                    const struct generation_events *events, void *owner,
                                    char *error, size_t size)
{
    struct generation *generation = generation_new(loop, config, pool, events, owner, error, size);
    char why[ERROR_SIZE];
    if (generation == NULL)
        return NULL;
    generation->number = before->number;
    generation->size = before->scoreboard.count;
    generation->access = before->access;
    if (generation_take_channels(generation, other, error, size) != 0) {
        generation_close(&generation);
        return NULL;
    }
    if (other == NULL) {
        generation->channels->doorbell_fd = before->channels->doorbell_fd;
        memcpy(generation->channels->handoff, before->channels->handoff,
               sizeof before->channels->handoff);
    }
    if (scoreboard_adopt(&generation->scoreboard, &before->scoreboard, error, size) != 0 ||
        (starts && launch_spec_build(&generation->spec, pool, error, size) != 0) ||
        generation_make_members(generation, error, size) != 0) {
        generation_close(&generation);
        return NULL;
    }
    generation->spec.launch.listen_fd = listen_fd;

    /* A worker that is not there has ended: the pool starts another. */
    for (unsigned i = 0; i < before->live; i++) {
        const struct generation_member *member = &before->members[i];
        int report_fd = member->worker.report_fd;
        if (generation_adopt_member(generation, member, why, sizeof why) == 0)
            continue;
        log_pool(LOG_LEVEL_ERROR, pool->name, "worker %d (slot %u) cannot be taken over: %s",
                 (int)member->worker.pid, member->slot, why);
        fd_close(&report_fd);
    }
    return generation;
}

void generation_apply(struct generation *generation, struct config *config,
                      const struct config_pool *pool)
{
    struct config *before = generation->config;
    generation->config = config_keep(config);
    generation->pool = pool;
    config_free(&before);
}

void generation_close(struct generation **generation)
{
    struct generation *old = *generation;
    *generation = NULL;
    if (old == NULL)
        return;
    access_log_close(&old->access);
    for (unsigned i = 0; old->members != NULL && i < old->size; i++) {
        ev_timer_stop(old->loop, &old->members[i].limit);
        process_tree_free(&old->members[i].worker.tree);
        free(old->members[i].slow);
    }
    free(old->members);
    launch_spec_free(&old->spec);
    generation_leave_channels(old);
    scoreboard_destroy(&old->scoreboard);
    config_free(&old->config);
    config_free(&old->launch_config);
    free(old);
}
