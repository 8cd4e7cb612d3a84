/* request.h: one request's life, from its complete header to its end.
 *
 * Applies lifecycle.h and bailout_policy.h: moves the request (request_move in request.c is the
 * only mover), publishes each step on the scoreboard, checks the clock and the connection at safe
 * points, runs the shutdown functions and ends the response exactly once. Reaches libfcgi through
 * struct request_ops only. A request belongs to the thread that took it.
 */
#ifndef OT_REQUEST_H
#define OT_REQUEST_H

#include "sapi-shim/access_log/log_entry.h"
#include "sapi-shim/access_log/request_details.h"
#include "sapi-shim/connection/conn.h"
#include "sapi-shim/contract.h"
#include "sapi-shim/request/lifecycle.h"
#include "sapi-shim/request/request_overrides.h"
#include "sapi-shim/request/shutdown_functions.h"
#include "sapi-shim/request/time_limit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;

/* The part of libfcgi.c in a request. */
struct request_ops {
    /* Ends the response: writes the rest of the output, end of output and END_REQUEST, unless the
     * request is abandoned; mutes the output; with `disconnect` also forgets the connection's
     * descriptor. */
    void (*end_response)(struct request *request, bool disconnect);
    /* From now on output succeeds and is discarded; counts the bytes in the buffers. */
    void (*mute)(struct request *request);
    /* Frees the request. */
    void (*free)(struct request *request);
};

/* The data of a request when it begins. The strings must live for the call only. */
struct request_info {
    char **params; /* NAME=VALUE, ends with NULL; these live as long as the request */
    const char *method;
    const char *uri;
    const char *remote; /* REMOTE_ADDR and REMOTE_USER */
    const char *user;
    uint64_t content_length;
    uint64_t waited; /* ns since the web server took it, by OVERTIME_START; 0 = not said */
    uint64_t mark;   /* OVERTIME_MARK, 0 = none */
    struct request_overrides overrides;
    unsigned locked; /* enum request_overrides_name: the application cannot change these */
};

struct request {
    const struct request_ops *ops;
    struct conn *conn; /* after the response: what was read of it, without its descriptor */
    struct ot_record *record;
    pthread_t thread;                   /* runs the application's part */
    _Atomic(struct request *) *current; /* points to the request; NULL = no thread's current one */
    enum lifecycle_state state;
    unsigned status; /* enum ot_status_bits */
    bool ignore_abort;
    bool timed_out;        /* a time limit was reached and no new one has been set */
    bool cut_off;          /* ... and a safe point has ended the application's part */
    bool in_shutdown;      /* the shutdown functions have begun */
    bool skip_functions;   /* the remaining shutdown functions do not run */
    bool exit_after;       /* the process ends with this request */
    bool until_accept;     /* the application is done with it; it lasts until its thread accepts */
    bool detached;         /* its thread has taken another request: any thread may be serving it */
    bool abandoned;        /* the application freed it without an end: close, send nothing */
    bool keep_alive;       /* the web server asked to keep the connection */
    bool status_read;      /* ot_connection_status was called */
    bool watch;            /* the client's leaving interrupts the application */
    volatile bool watched; /* ... the kernel signals events on the connection */
    enum ot_bailout bailout;
    unsigned locked;     /* enum request_overrides_name */
    unsigned overridden; /* the same: which the web server has set */
    struct time_limit limit;
    int64_t post_response_limit; /* ms, 0 = none */
    uint64_t content_length;
    uint64_t waited;                /* ns until then */
    uint64_t last_check;            /* clock_coarse_ns of the last check of connection and clock */
    atomic_bool has_news;           /* the timer's signal handler saw something to check now */
    uint64_t news_pause;            /* before the same news is repeated; 0 = not reported yet */
    atomic_bool client_left;        /* the timer's signal handler saw that the client has left */
    struct log_entry entry;         /* in the access log */
    struct request_details details; /* for that entry */
    struct ot_tracking *mark;       /* in the record; NULL = the request is not tracked */
    struct shutdown_functions_list functions;
    sigjmp_buf *run_jump;      /* into ot_run, for the handler; NULL elsewhere */
    sigjmp_buf *shutdown_jump; /* out of the running shutdown function */
    struct request *prev;      /* open requests of the process */
    struct request *next;
};

/* The calling thread's current request, or NULL. */
struct request *request_current(void);

/* Finds an open request, the calling thread's current one first; NULL if none matches. */
struct request *request_find(bool (*match)(const struct request *, const void *context),
                             const void *context);

/* Requests that other threads have open; exit() cuts them off. */
size_t request_open_elsewhere(void);

/* The calling thread is about to take a request. One that it still has open was given to another
 * thread, and stops being this thread's current one. */
void request_detach(void);

/* Initialises and publishes the request and makes it the calling thread's current one. Owns the
 * connection from now on. */
void request_begin(struct request *request, const struct request_ops *ops, struct conn *conn,
                   const struct request_info *info);

/* Any input, output, or call of the API: checks clock and connection (at most once a clock tick)
 * and does what the policy says; it may not return. False: the request should end, and the policy
 * leaves that to the application. */
bool request_safe_point(struct request *request);

/* The status bits, after a check. Never acts on them. */
unsigned request_status(struct request *request);

/* Input has been read: once the body is complete, an event on the connection can only mean that the
 * client leaves. */
void request_input_came(struct request *request);

/* Takes note of the result of a read or write on the connection. Not a safe point. */
void request_io_result(struct request *request, enum conn_result result);

/* Output succeeds and is discarded: the response has ended, or the request ignores an abort. After
 * an abort that is not ignored output fails instead. */
bool request_is_mute(const struct request *request);

/* The response has not ended. */
bool request_is_open(const struct request *request);

/* Counts bytes of output that were sent to the client, after request_details_output has seen them.
 * Only with an access log. */
void request_sent(struct request *request, size_t bytes);

/* Counts bytes of output that were discarded. */
void request_discard(struct request *request, size_t bytes);

/* See ot_finish_request, ot_ignore_user_abort, ot_set_time_limit, ot_set_label, ot_abort_fd; for
 * request_news_changed ot_on_news. */
bool request_finish(struct request *request);
int request_ignore_abort(struct request *request, int setting);
void request_news_changed(struct request *request);
bool request_set_time_limit(struct request *request, unsigned seconds);
int request_abort_fd(struct request *request);
void request_set_label(struct request *request, const char *text);

/* The application's part is over: runs the shutdown functions, ends response and request, gives the
 * connection back and frees the request. Ends the process too if the policy asked for it. */
void request_end(struct request *request);

/* Stops gracefully: takes no more requests, waits for those that other threads have open, and calls
 * exit(0). */
void request_exit(enum ot_exit_reason reason) __attribute__((noreturn));

/* Waits until no other thread has a request open, or waits for its turn to accept with one that
 * lasts until then. */
void request_wait_for_others(void);

/* exit() was called: threads that waited for their turn to accept end the requests that lasted
 * until then. Waits for that for at most about a second. */
void request_let_others_accept(void);

/* exit() was called: from now on no request ends the process in another way. */
void request_exiting(void);

/* In a forked child: forgets the parent's requests. */
void request_after_fork(void);

#endif
