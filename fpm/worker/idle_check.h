/* idle_check.h: stops processes without the library between two requests, so that none is lost.
 *
 * A process that waits in accept() may have a connection a moment later, before a signal reaches
 * it. So it is stopped by SIGSTOP first, seen to be stopped, and looked at again: what it is sent
 * then it finds before it can accept.
 *
 * A process that waits to read from a connection of the pool waits for the rest of a request, or
 * keeps the connection for the next one. It stays stopped until something arrives, which tells, or
 * until nothing has for a while. After a request that has arrived whole, or after that while, the
 * connection is ended when it is idle. Never waits: each call looks once.
 */
#ifndef FPM_IDLE_CHECK_H
#define FPM_IDLE_CHECK_H

#include "fpm/worker/process_tree.h"

enum {
    IDLE_CHECK_PAUSE = 1,   /* ms until the next look at processes that are being stopped */
    IDLE_CHECK_SOON = 4,    /* ms until the next look at one that is answering */
    IDLE_CHECK_WHOLE = 500, /* ms for which one is taken to be answering the same request */
    IDLE_CHECK_QUIET = 250  /* ms without a byte after which a connection is kept and idle. A web
                             * server that passes bodies on as they come in may pause in one. */
};

struct idle_check {
    bool frozen;   /* they were sent SIGSTOP */
    bool marked;   /* since then they were compared with what they were before */
    bool told;     /* they were sent SIGUSR1 */
    uint64_t mark; /* of what they had read and held before (proc_activity_mark) */
    int64_t since; /* ms: they were sent SIGSTOP */
    int64_t whole; /* ms: a request had arrived whole; 0 = none is known of */
    ino_t answers; /* the connection of that request */
};

/* The sockets that a worker was given; the first is the one that it accepts from. */
struct idle_check_sockets {
    const ino_t *given;
    size_t count;
    int listen_fd;
};

enum idle_check_verdict {
    IDLE_CHECK_BUSY,
    IDLE_CHECK_ANSWERING, /* one is at a request that has arrived whole: look again soon */
    IDLE_CHECK_UNKNOWN,
    IDLE_CHECK_FREEZING, /* look again in IDLE_CHECK_PAUSE */
    IDLE_CHECK_IDLE      /* all are stopped between two requests: idle_check_end() is next */
};

/* Looks at all of a worker's processes. `quiet`: ms, IDLE_CHECK_QUIET or less. With `insist`, a
 * process that never seems to be idle is sent SIGUSR1 during a request, at a moment when that
 * interrupts no system call: programs of libfcgi end after the request. */
enum idle_check_verdict idle_check_look(struct idle_check *check,
                                        const struct process_tree_list *list,
                                        const struct idle_check_sockets *sockets, int64_t quiet,
                                        bool insist);

/* Sends each process the signal to stop and lets it go on: SIGUSR1, the first time, if it has a
 * handler for it, as programs of libfcgi and php-cgi have, otherwise SIGTERM. True if SIGTERM was
 * sent to all, so that no other call need follow. */
bool idle_check_end(struct idle_check *check, const struct process_tree_list *list);

/* Lets the processes go on. */
void idle_check_thaw(struct idle_check *check, const struct process_tree_list *list);

#endif
