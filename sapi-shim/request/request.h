/* request.h: one request's life, from its whole header to its true end.
 *
 * Applies lifecycle.h and bailout_policy.h: moves the request (request_move is the only mover),
 * publishes each step on the scoreboard, watches the clock and the connection at safe points, runs
 * the shutdown functions and brings the response to exactly one end. Speaks to the protocol codec
 * through struct request_codec alone. A request belongs to the thread that took it. Called by
 * libfcgi.c, run.c, process_hooks.c and overtime.c.
 */
#ifndef OT_REQUEST_H
#define OT_REQUEST_H

#include "sapi-shim/access_log/log_entry.h"
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

/* abort_detection = instant: no request is looked at before it is so old (ns). */
#define REQUEST_WATCH_AGE 100000000ull

struct request;

/* What the codec does for a request. */
struct request_codec {
    void (*complete)(struct request *request);   /* write the rest, end of output, END_REQUEST */
    void (*mute)(struct request *request);       /* output succeeds and goes nowhere from now on */
    void (*disconnect)(struct request *request); /* forget the connection's descriptor */
    void (*let_go)(struct request *request);     /* free the codec's part; the request is over */
    /* Fills in what the access log wants to know of the request and its response. */
    void (*describe)(struct request *request, struct log_format_facts *facts);
};

/* What is known of a request when it begins; the strings need to live for the call only. */
struct request_facts {
    const char *method;
    const char *uri;
    const char *remote; /* of the client, and as whom the web server knows it */
    const char *user;
    uint64_t content_length;
    uint64_t waited; /* ns since the web server took it, as it says; 0 = it does not */
    uint64_t mark;   /* OVERTIME_MARK, 0 = none */
    struct request_overrides values; /* set by the web server for this request */
    unsigned locked; /* enum request_overrides_name: these the application cannot change */
};

struct request {
    const struct request_codec *codec;
    struct conn *conn; /* after the response: what was read of it, without its descriptor */
    struct ot_record *record;
    pthread_t thread;
    _Atomic(struct request *) *taker; /* where it is the current one; NULL = nowhere */
    enum life_state state;
    unsigned status; /* enum ot_status_bits */
    bool ignore_abort;
    bool late;        /* a time limit was reached and no new one was set since */
    bool in_shutdown; /* shutdown functions run, or have run */
    bool skip;        /* the shutdown functions left will not run */
    bool exit_after;  /* the process ends with this request */
    bool handed;      /* its thread has taken another one: any thread may be serving it */
    bool abandoned;   /* the application let go of it without an end: close, say nothing */
    bool keep_wanted; /* the web server asked to keep the connection */
    bool asked;       /* ot_connection_status was called */
    bool watched;     /* the kernel signals news on the connection */
    enum ot_bailout bailout;
    unsigned locked; /* enum request_overrides_name */
    struct time_limit limit;
    int64_t post_limit;     /* ms after the response, -1: the clock goes on */
    uint64_t announced;     /* CONTENT_LENGTH */
    uint64_t began;         /* handed to the application */
    uint64_t waited;        /* ns until then */
    uint64_t looked;        /* clock_coarse_ns of the last look at connection and clock */
    atomic_bool left;       /* a signal handler saw that the client has gone */
    struct log_entry entry; /* in the access log */
    struct ot_mark *mark;   /* in the record; NULL = nobody follows it */
    struct shutdown_functions_list functions;
    sigjmp_buf *unwind;   /* ot_run, for the handler; NULL elsewhere */
    sigjmp_buf *jump;     /* out of the running shutdown function */
    struct request *prev; /* open requests of the process */
    struct request *next;
};

/* The calling thread's current request, or NULL. */
struct request *request_current(void);

/* The calling thread is about to take a request: one that it still has open has been handed to
 * another thread, and is no longer this one's. */
void request_let_pass(void);

/* Initialises, publishes and makes it the calling thread's current request. The connection becomes
 * the request's. */
void request_begin(struct request *request, const struct request_codec *codec, struct conn *conn,
                   const struct request_facts *facts);

/* Any input, output, or call of the API: looks at clock and connection (at most once a clock tick)
 * and does what the policy says, which may mean not to return. False: it should end, and the policy
 * leaves that to the application. */
bool request_safe_point(struct request *request);

/* The status bits, after a look. Never acts on them. */
unsigned request_status(struct request *request);

/* Notes that the client has left, as a failed write or a broken upload tells. */
void request_aborted(struct request *request);

/* Notes that waiting for the client outlasted the time limit. */
void request_late(struct request *request);

/* Output is to succeed and go nowhere: the response has ended, or an ignored abort. With an abort
 * that is not ignored output is to fail instead. */
bool request_is_mute(const struct request *request);

/* The response has ended. */
bool request_is_finished(const struct request *request);

/* Counts bytes of output that are on their way to the client; `status` as far as it is known. Only
 * with an access log. */
void request_sent(struct request *request, size_t bytes, unsigned status);

/* Counts bytes of output that went nowhere. */
void request_discard(struct request *request, size_t bytes);

/* When waiting for the client has to end; 0 = never. */
uint64_t request_deadline(const struct request *request);

/* See ot_finish_request, ot_ignore_user_abort, ot_set_time_limit, ot_register_shutdown_function,
 * ot_set_label, ot_abort_fd. */
bool request_finish(struct request *request);
int request_ignore(struct request *request, int setting);
bool request_limit(struct request *request, unsigned seconds);
int request_abort_fd(struct request *request);
bool request_register(struct request *request, shutdown_functions_function *function,
                      void *argument);
void request_label(struct request *request, const char *text);

/* The application's part is over: runs the shutdown functions, ends response and request, lets go
 * of the connection. The request is no more. Ends the process too if the policy asked for it. */
void request_end(struct request *request);

/* Ends the process in good order: takes no more requests, waits for those that other threads have
 * open, and calls exit(0). For `bailout = exit`. */
void request_exit(enum ot_exit_reason reason) __attribute__((noreturn));

/* exit() has been called: from here on no request ends the process in another way. */
void request_exiting(void);

/* In a forked child: the parent's requests are not ours. */
void request_after_fork(void);

/* Requests that other threads have open; at exit() they are cut off. */
size_t request_open_elsewhere(void);

/* Finds an open request. `match` gets `context`. */
struct request *request_search(bool (*match)(const struct request *, const void *),
                               const void *context);

#endif
