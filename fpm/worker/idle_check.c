/* idle_check.c: see idle_check.h. */
#include "fpm/worker/idle_check.h"

#include "fpm/util/fd.h"
#include "fpm/worker/proc_activity.h"
#include "fpm/worker/proc_socket.h"
#include "sapi-shim/util/clock.h"

#include <signal.h>
#include <sys/stat.h>

enum {
    IDLE_CHECK_STOP_MS =
        50 /* for processes to stop; a system call may keep one, as at a dead disk */
};

/* The connection of the pool from which the process waits to read, as a descriptor to close; -1 =
 * it does not. It may also wait for its data base. */
static int idle_check_connection(pid_t pid, const struct idle_check_sockets *sockets)
{
    int number = proc_activity_reads(pid, sockets->given, sockets->count);
    int copy = number >= 0 ? proc_socket_copy(pid, number) : -1;
    if (copy >= 0 && !proc_socket_came_through(copy, sockets->listen_fd))
        fd_close(&copy);
    return copy;
}

/* The process waits to read from a connection. If it is stopped, what it waits for can be seen. */
static enum idle_check_verdict idle_check_reader(struct idle_check *check, int connection,
                                                 int64_t quiet)
{
    int64_t now = clock_ms();
    struct stat status;
    if (fstat(connection, &status) != 0)
        return IDLE_CHECK_UNKNOWN;
    enum proc_socket_input input = proc_socket_input(connection);
    if (input == PROC_SOCKET_REQUEST && check->frozen) {
        check->whole = now;
        check->answers = status.st_ino;
    }
    if (input != PROC_SOCKET_NOTHING)
        return IDLE_CHECK_BUSY;
    bool answered = check->whole != 0 && check->answers == status.st_ino;
    if (check->frozen && !answered && now - check->since < quiet)
        return IDLE_CHECK_FREEZING;
    return IDLE_CHECK_IDLE;
}

static enum idle_check_verdict idle_check_one(struct idle_check *check, pid_t pid,
                                              const struct idle_check_sockets *sockets,
                                              int64_t quiet)
{
    enum proc_activity doing = proc_activity_between_requests(pid, sockets->given, sockets->count);
    int connection = doing == PROC_ACTIVITY_WAITING ? -1 : idle_check_connection(pid, sockets);
    if (connection < 0)
        return doing == PROC_ACTIVITY_WAITING ? IDLE_CHECK_IDLE
               : doing == PROC_ACTIVITY_BUSY  ? IDLE_CHECK_BUSY
                                              : IDLE_CHECK_UNKNOWN;
    enum idle_check_verdict verdict = idle_check_reader(check, connection, quiet);
    fd_close(&connection);
    return verdict;
}

/* What all of them do: the first verdict of the table that one of them has. */
static enum idle_check_verdict idle_check_all(struct idle_check *check,
                                              const struct process_tree_list *list,
                                              const struct idle_check_sockets *sockets,
                                              int64_t quiet)
{
    enum idle_check_verdict all = IDLE_CHECK_IDLE;
    for (unsigned i = 0; i < list->count; i++) {
        enum idle_check_verdict one = idle_check_one(check, list->items[i].pid, sockets, quiet);
        all = one < all ? one : all;
    }
    return all;
}

/* Ends the kept connections of processes that are stopped between two requests. False if that comes
 * too late for one. */
static bool idle_check_end_connections(const struct process_tree_list *list,
                                       const struct idle_check_sockets *sockets)
{
    bool all = true;
    for (unsigned i = 0; i < list->count; i++) {
        int connection = idle_check_connection(list->items[i].pid, sockets);
        all = (connection < 0 || proc_socket_end(connection)) && all;
        fd_close(&connection);
    }
    return all;
}

/* True if all have stopped. */
static bool idle_check_freeze(struct idle_check *check, const struct process_tree_list *list)
{
    bool all = true;
    check->since = check->frozen ? check->since : clock_ms();
    check->marked = check->frozen && check->marked;
    check->frozen = true;
    for (unsigned i = 0; i < list->count; i++) {
        if (list->items[i].frozen)
            continue;
        all = false;
        process_tree_signal_process(&list->items[i], SIGSTOP);
    }
    return all;
}

void idle_check_thaw(struct idle_check *check, const struct process_tree_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        process_tree_signal_process(&list->items[i], SIGCONT);
    check->frozen = false;
}

static bool idle_check_can_be_told(const struct process_tree_process *process)
{
    return proc_activity_computes(process->pid) && process_tree_catches(process->pid, SIGUSR1) &&
           process_tree_catches(process->pid, SIGTERM);
}

static bool idle_check_any_can_be_told(const struct process_tree_list *list)
{
    unsigned i = 0;
    while (i < list->count && !idle_check_can_be_told(&list->items[i]))
        i++;
    return i < list->count;
}

/* The busy ones that are stopped in their own code. */
static void idle_check_tell(struct idle_check *check, const struct process_tree_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        if (idle_check_can_be_told(&list->items[i])) {
            process_tree_signal_process(&list->items[i], SIGUSR1);
            check->told = true;
        }
}

/* 0 = unknown. */
static uint64_t idle_check_mark(const struct process_tree_list *list)
{
    uint64_t all = 0, one = 0;
    for (unsigned i = 0; i < list->count; i++) {
        if (!proc_activity_mark(list->items[i].pid, &one))
            return 0;
        all += one;
    }
    return all;
}

/* Once all have stopped: did one accept or read after the look before? */
static bool idle_check_moved(struct idle_check *check, const struct process_tree_list *list)
{
    if (check->marked)
        return false;
    check->marked = true;
    return check->mark == 0 || idle_check_mark(list) != check->mark;
}

enum idle_check_verdict idle_check_look(struct idle_check *check,
                                        const struct process_tree_list *list,
                                        const struct idle_check_sockets *sockets, int64_t quiet,
                                        bool insist)
{
    if (check->whole != 0 && clock_ms() - check->whole > IDLE_CHECK_WHOLE)
        check->whole = 0;
    bool stopped = !check->frozen || idle_check_freeze(check, list);
    if (!stopped && clock_ms() - check->since < IDLE_CHECK_STOP_MS)
        return IDLE_CHECK_FREEZING;
    if (!check->frozen)
        check->mark = idle_check_mark(list); /* before the look that finds them idle */
    enum idle_check_verdict verdict =
        stopped ? idle_check_all(check, list, sockets, quiet) : IDLE_CHECK_UNKNOWN;
    if (check->frozen && stopped && idle_check_moved(check, list) && verdict > IDLE_CHECK_UNKNOWN)
        verdict = IDLE_CHECK_BUSY;
    insist = insist && !check->told && verdict == IDLE_CHECK_BUSY;
    if (!check->frozen) {
        if (verdict != IDLE_CHECK_IDLE && !(insist && idle_check_any_can_be_told(list)))
            return check->whole != 0 ? IDLE_CHECK_ANSWERING : verdict;
        (void)idle_check_freeze(check, list);
        return IDLE_CHECK_FREEZING;
    }
    if (verdict == IDLE_CHECK_FREEZING)
        return verdict;
    if (verdict == IDLE_CHECK_IDLE) {
        if (idle_check_end_connections(list, sockets))
            return verdict;
        verdict = IDLE_CHECK_BUSY;
    }
    if (insist)
        idle_check_tell(check, list);
    idle_check_thaw(check, list);
    return check->whole != 0 ? IDLE_CHECK_ANSWERING : verdict;
}

bool idle_check_end(struct idle_check *check, const struct process_tree_list *list)
{
    bool again = false;
    for (unsigned i = 0; i < list->count; i++) {
        const struct process_tree_process *process = &list->items[i];
        bool graceful = !check->told && process_tree_catches(process->pid, SIGUSR1);
        process_tree_signal_process(process, graceful ? SIGUSR1 : SIGTERM);
        again = again || graceful;
    }
    check->told = true;
    idle_check_thaw(check, list);
    return !again;
}
