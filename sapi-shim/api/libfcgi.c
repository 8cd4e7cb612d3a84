/* libfcgi.c: stands between libfcgi and the application.
 *
 * The only file that includes libfcgi and touches the fields it calls private. It exports the
 * functions of libfcgi through which a request begins and ends, those of libfcgi's OS layer that
 * touch connections, and ot_run. libfcgi itself calls all of these through the PLT, so that they
 * are reached from every caller. The protocol is libfcgi's work: the original functions do it.
 * Decides nothing about a request: request.c does.
 */
#include "sapi-shim/access_log/log_pipe.h"
#include "sapi-shim/api/process_hooks.h"
#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/connection/wait_set.h"
#include "sapi-shim/overtime.h"
#include "sapi-shim/protocol/params.h"
#include "sapi-shim/request/hard_timeout.h"
#include "sapi-shim/request/request.h"
#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/status/status_handler.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"
#include "sapi-shim/util/scalar.h"
#include "sapi-shim/util/timer.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcgiapp.h>
#include <fcgios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <time.h>
#include <unistd.h>

#define LIBFCGI_EXPORT __attribute__((visibility("default")))

/* Of fcgi_stdio.h, which redefines the names of stdio.h. */
int FCGI_Accept(void);
void FCGI_Finish(void);

enum {
    LIBFCGI_LONG = 16384 /* bytes of a string that is worth a system call of its own */
};

/* One of libfcgi's output streams and the buffer it writes into. */
struct libfcgi_output {
    FCGX_Stream *stream;
    unsigned char *base; /* first byte of content */
    unsigned char *end;
    void (*empty)(FCGX_Stream *, int);
};

/* A request and what libfcgi has for it. */
struct libfcgi_request {
    struct request request; /* first, so that a pointer to one is a pointer to the other */
    FCGX_Request *fcgx;
    FCGX_Stream *in;
    void (*fill)(FCGX_Stream *);
    struct libfcgi_output out;
    struct libfcgi_output err;
    struct params params;
    bool closing; /* the response is being completed: no safe points */
    bool sends;   /* ... and the rest of it is sent, not discarded */
};

/* The functions of libfcgi that the library exports in its place. */
#define LIBFCGI_FUNCTIONS(F)                                                                       \
    F(FCGX_Accept_r)                                                                               \
    F(FCGX_Finish_r)                                                                               \
    F(FCGX_Free)                                                                                   \
    F(FCGX_PutChar)                                                                                \
    F(FCGX_PutStr)                                                                                 \
    F(FCGX_GetChar)                                                                                \
    F(FCGX_GetStr)                                                                                 \
    F(FCGX_HasSeenEOF)                                                                             \
    F(OS_Accept)                                                                                   \
    F(OS_Read)                                                                                     \
    F(OS_Write)                                                                                    \
    F(OS_IpcClose)                                                                                 \
    F(OS_IsFcgi)                                                                                   \
    F(OS_ShutdownPending)                                                                          \
    F(FCGI_Accept)                                                                                 \
    F(FCGI_Finish)                                                                                 \
    F(FCGX_Accept)                                                                                 \
    F(FCGX_Finish)                                                                                 \
    F(FCGX_Init)                                                                                   \
    F(FCGX_InitRequest)

/* libfcgi's own. */
static struct {
#define LIBFCGI_MEMBER(name) __typeof__(name) *name; /* NOLINT(bugprone-macro-parentheses) */
    LIBFCGI_FUNCTIONS(LIBFCGI_MEMBER)
} libfcgi_real;

/* The same for all of libfcgi's streams. */
static void (*libfcgi_real_empty)(FCGX_Stream *, int);
static void (*libfcgi_real_fill)(FCGX_Stream *);

static _Thread_local struct libfcgi_request *libfcgi_spare;    /* saves a malloc per request */
static _Thread_local struct libfcgi_request *libfcgi_incoming; /* libfcgi waits for it */
static _Thread_local uint64_t libfcgi_looked; /* clock_coarse_ns of the last look for a stranger */
static _Thread_local unsigned libfcgi_refusals; /* calls to accept after the stop */

/* POSIX returns functions from dlsym as void *; ISO C has no conversion for it. */
static void libfcgi_load(const char *name, void *function, size_t size)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) {
        diagnostics_write(
            "libfcgi's %s was not found; link with -lovertime before -lfcgi, the shared one", name);
        _exit(EXIT_FAILURE);
    }
    memcpy(function, &symbol, size);
}

__attribute__((constructor)) static void libfcgi_init(void)
{
#define LIBFCGI_LOAD(name) libfcgi_load(#name, &libfcgi_real.name, sizeof libfcgi_real.name);
    LIBFCGI_FUNCTIONS(LIBFCGI_LOAD)
}

/* ---- from libfcgi's objects to requests ---- */

static bool libfcgi_has_fcgx(const struct request *request, const void *fcgx)
{
    return ((const struct libfcgi_request *)request)->fcgx == fcgx;
}

static bool libfcgi_has_stream(const struct request *request, const void *stream)
{
    const struct libfcgi_request *own = (const struct libfcgi_request *)request;
    return own->in == stream || own->out.stream == stream || own->err.stream == stream;
}

static struct libfcgi_request *libfcgi_by_fcgx(const FCGX_Request *fcgx)
{
    return (struct libfcgi_request *)request_find(libfcgi_has_fcgx, fcgx);
}

static struct libfcgi_request *libfcgi_by_stream(const FCGX_Stream *stream)
{
    return (struct libfcgi_request *)request_find(libfcgi_has_stream, stream);
}

/* ---- output ---- */

/* Empties the stream's buffer without sending it. */
static void libfcgi_discard(struct libfcgi_request *own, struct libfcgi_output *output)
{
    FCGX_Stream *stream = output->stream;
    if (stream->wrNext > output->base)
        request_discard(&own->request, (size_t)(stream->wrNext - output->base));
    stream->wrNext = output->base;
}

/* Makes the stream fail from now on, as libfcgi does after an error of its own. */
static void libfcgi_fail(FCGX_Stream *stream, int error)
{
    if (stream->FCGI_errno == 0)
        stream->FCGI_errno = error;
    stream->isClosed = 1;
}

static void libfcgi_log_output(struct libfcgi_request *own, const void *bytes, size_t count)
{
    request_details_output(&own->request.details, bytes, count,
                           (log_pipe_needs() & LOG_FORMAT_NEEDS_HEAD) != 0);
}

/* Lets libfcgi send the stream's buffer. */
static void libfcgi_send(struct libfcgi_request *own, struct libfcgi_output *output, int do_close)
{
    FCGX_Stream *stream = output->stream;
    size_t count = stream->wrNext > output->base ? (size_t)(stream->wrNext - output->base) : 0;
    bool counts = count > 0 && output == &own->out && log_pipe_active();
    if (counts)
        libfcgi_log_output(own, output->base, count);
    output->empty(stream, do_close);
    /* If the request ignores an abort, libfcgi sees no error of it. */
    if (counts && stream->FCGI_errno == 0 && !own->request.conn->disconnected)
        request_sent(&own->request, count);
}

/* A safe point. True if output still goes to the client; otherwise empties the buffer, and makes
 * the stream fail unless output is to be discarded. */
static bool libfcgi_may_send(struct libfcgi_request *own, struct libfcgi_output *output)
{
    struct request *request = &own->request;
    (void)request_safe_point(request);
    bool mute = request_is_mute(request);
    if (!mute && !(request->status & OT_BIT_ABORTED))
        return true;
    libfcgi_discard(own, output);
    if (!mute)
        libfcgi_fail(output->stream, EPIPE);
    return false;
}

static void libfcgi_empty(FCGX_Stream *stream, int do_close)
{
    struct libfcgi_request *own = libfcgi_by_stream(stream);
    if (own == NULL) {
        libfcgi_real_empty(stream, do_close); /* in a forked child */
        return;
    }
    struct libfcgi_output *output = stream == own->out.stream ? &own->out : &own->err;
    /* While the response is completed libfcgi calls once more for the records that end it. */
    if (own->closing) {
        if (own->sends)
            libfcgi_send(own, output, do_close);
        else
            libfcgi_discard(own, output);
        return;
    }
    if (!libfcgi_may_send(own, output))
        return;
    libfcgi_send(own, output, do_close);
    if (stream->isClosed)
        (void)request_safe_point(&own->request);
}

/* Takes note of the result of a write. False if the application must see an error. */
static bool libfcgi_was_written(struct request *request, enum conn_result result)
{
    if (result == CONN_OK)
        return true;
    if (request == NULL)
        return false;
    request_io_result(request, result);
    return request_is_mute(request);
}

/* Sends one record: what is in the buffer, and as much of `text` as fits, which is not copied.
 * Returns how much of `text` that was. */
static size_t libfcgi_send_long(struct libfcgi_request *own, const char *text, size_t size)
{
    struct libfcgi_output *output = &own->out;
    struct conn *conn = own->request.conn;
    unsigned char header[FRAME_HEADER];
    size_t before = (size_t)(output->stream->wrNext - output->base);
    size_t max = FRAME_CONTENT_MAX - before;
    size = size < max ? size : max;
    if (log_pipe_active()) {
        libfcgi_log_output(own, output->base, before);
        libfcgi_log_output(own, text, size);
    }
    struct iovec parts[CONN_PARTS] = {
        {.iov_base = header, .iov_len = frame_stdout_header(conn->frame.id, before + size, header)},
        {.iov_base = output->base, .iov_len = before},
        {.iov_base = (void *)(uintptr_t)text, .iov_len = size},
    };
    conn->stdout_sent = true;
    enum conn_result result =
        conn_write_parts(conn, parts, CONN_PARTS, own->request.limit.deadline);
    output->stream->wrNext = output->base;
    if (!libfcgi_was_written(&own->request, result))
        libfcgi_fail(output->stream, EPIPE);
    else if (log_pipe_active() && result == CONN_OK)
        request_sent(&own->request, before + size);
    return size;
}

/* Makes a closed stream writable again: output goes into the buffer and is discarded when that is
 * full. wasFCloseCalled stays set, so that closing it again writes nothing. */
static void libfcgi_mute_output(struct libfcgi_request *own, struct libfcgi_output *output)
{
    FCGX_Stream *stream = output->stream;
    if (stream == NULL)
        return;
    libfcgi_discard(own, output);
    stream->isClosed = 0;
    stream->FCGI_errno = 0;
    stream->stop = output->end;
    stream->rdNext = output->end;
}

static void libfcgi_mute(struct request *request)
{
    struct libfcgi_request *own = (struct libfcgi_request *)request;
    libfcgi_mute_output(own, &own->out);
    libfcgi_mute_output(own, &own->err);
}

/* At exit() the application's FCGX_Request may lie in a stack frame that has been left. */
static bool libfcgi_is_intact(const struct libfcgi_request *own)
{
    const FCGX_Request *fcgx = own->fcgx;
    return fcgx->out == own->out.stream && fcgx->err == own->err.stream && fcgx->in == own->in &&
           fcgx->ipcFd == own->request.conn->fd &&
           fcgx->requestId == (int)own->request.conn->frame.id && fcgx->nWriters >= 0 &&
           fcgx->nWriters <= 2;
}

/* Called once for a request: lifecycle.h responds once. */
static void libfcgi_end_response(struct request *request, bool disconnect)
{
    struct libfcgi_request *own = (struct libfcgi_request *)request;
    struct conn *conn = request->conn;
    if (!request->abandoned && !libfcgi_is_intact(own))
        conn_refuse(conn, NULL, FRAME_REQUEST_COMPLETE);
    else if (!request->abandoned) {
        own->sends = !request_is_mute(request) && !(request->status & OT_BIT_ABORTED);
        own->closing = true;
        /* A time limit has ended the application's part before it wrote anything. */
        if (own->sends && request->cut_off && !conn->stdout_sent && !own->out.stream->isClosed &&
            own->out.stream->wrNext == own->out.base)
            (void)libfcgi_real.FCGX_PutStr(hard_timeout_page, (int)strlen(hard_timeout_page),
                                           own->out.stream);
        conn->end_sent = own->sends; /* set first: hard_timeout must not end the response again */
        (void)FCGX_FClose(own->err.stream);
        (void)FCGX_FClose(own->out.stream);
        own->closing = false;
        /* After an FCGI_ABORT_REQUEST the web server is still connected and waits for the end. */
        if (!own->sends && conn->aborted && !conn->disconnected && !conn->broken)
            conn_refuse(conn, NULL, FRAME_REQUEST_COMPLETE);
    }
    libfcgi_mute(request);
    /* The descriptor's number may soon be another file's. */
    if (disconnect && libfcgi_is_intact(own))
        own->fcgx->ipcFd = -1;
}

/* Lets libfcgi free its part of a request and leave the connection open. */
static void libfcgi_release(FCGX_Request *fcgx)
{
    fcgx->ipcFd = -1;
    fcgx->keepConnection = 1;
    libfcgi_real.FCGX_Finish_r(fcgx);
}

static void libfcgi_free_own(struct libfcgi_request *own)
{
    params_trim(&own->params);
    if (libfcgi_spare == NULL) {
        libfcgi_spare = own;
        return;
    }
    params_free(&own->params);
    free(own);
}

static void libfcgi_free(struct request *request)
{
    struct libfcgi_request *own = (struct libfcgi_request *)request;
    FCGX_Request *fcgx = own->fcgx;
    if (fcgx != NULL && fcgx->in == own->in && fcgx->out == own->out.stream &&
        fcgx->err == own->err.stream)
        libfcgi_release(fcgx);
    libfcgi_free_own(own);
}

static const struct request_ops libfcgi_ops = {
    .end_response = libfcgi_end_response,
    .mute = libfcgi_mute,
    .free = libfcgi_free,
};

/* ---- input ---- */

static void libfcgi_fill(FCGX_Stream *stream)
{
    struct libfcgi_request *own = libfcgi_by_stream(stream);
    if (own == NULL) {
        libfcgi_real_fill(stream); /* in a forked child */
        return;
    }
    (void)request_safe_point(&own->request);
    own->fill(stream);
    request_input_came(&own->request);
    if (stream->FCGI_errno != 0)
        (void)request_safe_point(&own->request);
}

/* Takes note of the result of a read. Returns the error that the application must see, or 0. */
static int libfcgi_was_read(struct request *request, enum conn_result result)
{
    if (result == CONN_OK)
        return 0;
    if (request != NULL)
        request_io_result(request, result);
    return result == CONN_TIMEOUT ? ETIMEDOUT : ECONNRESET;
}

/* Reads the body without libfcgi, whose buffer is empty. Returns how much was read; 0 if libfcgi
 * must read the rest, or the stream has failed. */
static size_t libfcgi_read_body(struct libfcgi_request *own, char *into, size_t size)
{
    struct request *request = &own->request;
    size_t count = 0;
    (void)request_safe_point(request);
    if (!conn_may_read_body(request->conn))
        return 0;
    enum conn_result result =
        conn_read_body(request->conn, into, size, request->limit.deadline, &count);
    int error = libfcgi_was_read(request, result);
    request_input_came(request);
    if (error == 0)
        return count;
    libfcgi_fail(own->in, error);
    (void)request_safe_point(request);
    return 0;
}

/* ---- begin ---- */

/* Most names differ in the first bytes, so that a call of strncmp would cost more. Of a name that
 * comes twice the first value counts, as in libfcgi; *value is NULL before. */
static bool libfcgi_name_is(const char *entry, const char *name, size_t length, const char **value)
{
    for (size_t i = 0; i < length; i++)
        if (entry[i] != name[i])
            return false;
    if (*value == NULL)
        *value = entry + length;
    return true;
}

/* The settings of the web server for this request alone. A client cannot send these parameters: its
 * headers arrive as HTTP_.... */
static void libfcgi_read_overrides(struct request_info *info, const char *name, const char *text)
{
    char error[200];
    if (text != NULL && *text != '\0' &&
        !request_overrides_parse(text, &info->overrides, error, sizeof error))
        diagnostics_write("pool %s: %s %s: %s ignored: %s", worker_slot_pool(), info->method,
                          info->uri, name, error);
}

/* One pass over the parameters for all of them. */
static struct request_info libfcgi_read_params(char **params)
{
    struct request_info info = {.params = params};
    const char *script = NULL;
    const char *length = NULL;
    const char *value = NULL;
    const char *admin = NULL;
    const char *start = NULL;
    const char *mark = NULL;
    for (; params != NULL && *params != NULL; params++) {
        if (**params == 'R')
            (void)(libfcgi_name_is(*params, "REQUEST_METHOD=", 15, &info.method) ||
                   libfcgi_name_is(*params, "REQUEST_URI=", 12, &info.uri) ||
                   libfcgi_name_is(*params, "REMOTE_ADDR=", 12, &info.remote) ||
                   libfcgi_name_is(*params, "REMOTE_USER=", 12, &info.user));
        else if (**params == 'S')
            (void)libfcgi_name_is(*params, "SCRIPT_NAME=", 12, &script);
        else if (**params == 'C')
            (void)libfcgi_name_is(*params, "CONTENT_LENGTH=", 15, &length);
        else if (**params == 'O')
            (void)(libfcgi_name_is(*params, "OVERTIME_START=", 15, &start) ||
                   libfcgi_name_is(*params, "OVERTIME_VALUE=", 15, &value) ||
                   libfcgi_name_is(*params, "OVERTIME_ADMIN_VALUE=", 21, &admin) ||
                   libfcgi_name_is(*params, "OVERTIME_MARK=", 14, &mark));
    }
    if (info.method == NULL)
        info.method = "";
    if (info.uri == NULL || *info.uri == '\0')
        info.uri = script != NULL ? script : "";
    info.content_length = scalar_length(length);
    if (start != NULL)
        info.waited = histogram_since(start, clock_read_ns(CLOCK_REALTIME));
    info.mark = mark != NULL ? strtoull(mark, NULL, 10) : 0;
    libfcgi_read_overrides(&info, "OVERTIME_VALUE", value);
    unsigned before = info.overrides.set;
    info.overrides.set = 0;
    libfcgi_read_overrides(&info, "OVERTIME_ADMIN_VALUE", admin);
    info.locked = info.overrides.set;
    info.overrides.set |= before;
    return info;
}

static void libfcgi_take_output(struct libfcgi_output *output, FCGX_Stream *stream)
{
    output->stream = stream;
    output->base = stream->wrNext;
    output->end = stream->stop;
    output->empty = stream->emptyBuffProc;
    libfcgi_real_empty = output->empty;
    stream->emptyBuffProc = libfcgi_empty;
}

static void libfcgi_begin(struct libfcgi_request *own, FCGX_Request *fcgx, struct conn *conn)
{
    struct request_info info = libfcgi_read_params(fcgx->envp);
    own->fcgx = fcgx;
    own->in = fcgx->in;
    own->fill = fcgx->in->fillBuffProc;
    libfcgi_real_fill = own->fill;
    fcgx->in->fillBuffProc = libfcgi_fill;
    libfcgi_take_output(&own->out, fcgx->out);
    libfcgi_take_output(&own->err, fcgx->err);
    conn->request = &own->request;
    request_begin(&own->request, &libfcgi_ops, conn, &info);
}

/* Counts a request that does not reach the application. `params` is NULL if they could not be
 * read. */
static void libfcgi_count_dropped(const struct conn *conn, char **params, unsigned status)
{
    struct ot_record *record = worker_slot_record();
    struct request_details details = {.params = params};
    struct log_format_input input = log_entry_unknown();
    if (params != NULL)
        request_details_fill(&details, false, &input);
    log_entry_dropped(record, worker_slot_number(record), status, conn->since, &input);
}

static void libfcgi_refuse_params(struct conn *conn)
{
    diagnostics_write("pool %s: request refused: malformed parameters", worker_slot_pool());
    libfcgi_count_dropped(conn, NULL, 400);
    conn_refuse(conn, "400 Bad Request", FRAME_REQUEST_COMPLETE);
    wait_set_linger(&conn);
}

/* libfcgi adds the role to the parameters, but gets none of these: see params.h. */
static bool libfcgi_take_params(struct libfcgi_request *own, struct conn *conn)
{
    static const char *const roles[] = {"FCGI_ROLE=RESPONDER", "FCGI_ROLE=AUTHORIZER",
                                        "FCGI_ROLE=FILTER"};
    size_t count = 0;
    const char *role = roles[conn->frame.role - 1]; /* wait_set.c refuses any other role */
    const unsigned char *content = conn_take_params(conn, &count);
    return params_decode(&own->params, role, content, count);
}

/* drop_dead_on_arrival: true if the client left before its request began. */
static bool libfcgi_is_dead_on_arrival(FCGX_Request *fcgx, struct conn *conn)
{
    if (!worker_slot_settings()->drop_dead_on_arrival)
        return false;
    conn_check_peer(conn);
    if (!conn->disconnected)
        return false;
    struct request_info info = libfcgi_read_params(fcgx->envp);
    char method[OT_METHOD_MAX];
    char uri[OT_URI_MAX];
    record_text(method, sizeof method, info.method);
    record_text(uri, sizeof uri, info.uri);
    diagnostics_write("pool %s: %s %s dropped: client gone before the request began (499)",
                      worker_slot_pool(), method, uri);
    libfcgi_count_dropped(conn, fcgx->envp, 499);
    libfcgi_release(fcgx);
    wait_set_linger(&conn);
    return true;
}

/* Status and ping requests do not reach the application and are not counted. */
static bool libfcgi_answer_status(FCGX_Request *fcgx, struct conn *conn)
{
    char *response;
    size_t size;
    if (!status_handler_active() || !status_handler_compose(fcgx->envp, &response, &size))
        return false;
    uint64_t content_length = libfcgi_read_params(fcgx->envp).content_length;
    conn_reply(conn, response, size);
    free(response);
    libfcgi_release(fcgx);
    wait_set_end_request(&conn, conn->frame.keep, content_length);
    return true;
}

static void libfcgi_thread_ended(void)
{
    if (libfcgi_spare != NULL)
        params_free(&libfcgi_spare->params);
    free(libfcgi_spare);
    libfcgi_spare = NULL;
}

/* The worker was told to stop. Many programs end when accept fails in one thread, so that fails
 * only when no other thread has a request. (In a program with one thread, open requests are the
 * caller's own.) An accept loop that ignores the result must not spin: from the second refusal on,
 * exit if no other thread has a request, or slow the loop down. */
static void libfcgi_refuse_accept(void)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    worker_slot_state(OT_STATE_EXITING);
    if (libfcgi_refusals++ == 0) {
        if (__libc_single_threaded == 0)
            request_wait_for_others();
        return;
    }
    if (request_open_elsewhere() == 0)
        request_exit(OT_EXIT_NONE);
    (void)nanosleep(&pause, NULL);
}

/* ---- libfcgi's API ---- */

/* Ends the thread's request if it lasted until now. */
static void libfcgi_end_until_accept(void)
{
    struct request *request = request_current();
    if (request != NULL && request->until_accept)
        request_end(request);
}

LIBFCGI_EXPORT int FCGX_Accept_r(FCGX_Request *fcgx)
{
    libfcgi_end_until_accept();
    for (;;) {
        struct libfcgi_request *own = libfcgi_by_fcgx(fcgx);
        if (own != NULL)
            request_end(&own->request);
        request_detach();
        timer_return();
        process_hooks_start(libfcgi_thread_ended);
        /* libfcgi_begin sets its fields; its `params` keep their memory. */
        own = libfcgi_spare != NULL ? libfcgi_spare : calloc(1, sizeof *own);
        libfcgi_spare = NULL;
        if (own == NULL)
            return -ENOMEM;
        libfcgi_incoming = own;
        int result = libfcgi_real.FCGX_Accept_r(fcgx);
        libfcgi_incoming = NULL;
        struct conn *conn = result < 0 ? NULL : conn_find(fcgx->ipcFd);
        if (conn != NULL) {
            fcgx->envp = own->params.vector;
            if (!libfcgi_answer_status(fcgx, conn) && !libfcgi_is_dead_on_arrival(fcgx, conn)) {
                libfcgi_begin(own, fcgx, conn);
                return 0;
            }
        }
        libfcgi_free_own(own);
        if (conn == NULL)
            return result;
    }
}

LIBFCGI_EXPORT void FCGX_Finish_r(FCGX_Request *fcgx)
{
    struct libfcgi_request *own = fcgx == NULL ? NULL : libfcgi_by_fcgx(fcgx);
    if (own == NULL) {
        libfcgi_real.FCGX_Finish_r(fcgx);
        return;
    }
    process_hooks_start(libfcgi_thread_ended); /* this thread may serve without accepting */
    if (worker_slot_settings()->post_response_until_accept != 0 &&
        request_current() == &own->request && !own->request.in_shutdown) {
        /* The response ends, and libfcgi's part of the request. Nothing of the application's
         * FCGX_Request is used from here on. */
        (void)request_finish(&own->request);
        libfcgi_mute(&own->request);
        own->request.until_accept = true;
        own->fcgx = NULL;
        own->in = own->out.stream = own->err.stream = NULL;
        libfcgi_release(fcgx);
        return;
    }
    request_end(&own->request);
    timer_leave();
}

LIBFCGI_EXPORT void FCGX_Free(FCGX_Request *fcgx, int close)
{
    struct libfcgi_request *own = fcgx == NULL ? NULL : libfcgi_by_fcgx(fcgx);
    if (own == NULL) {
        libfcgi_real.FCGX_Free(fcgx, close);
        return;
    }
    own->request.abandoned = true;
    request_end(&own->request);
}

/* A safe point at a call that may be served from the stream's buffer alone. After an abort that the
 * request does not ignore, output fails at once. */
static void libfcgi_look(FCGX_Stream *stream)
{
    struct libfcgi_request *own = (struct libfcgi_request *)request_current();
    if (stream->emptyBuffProc != libfcgi_empty && stream->fillBuffProc != libfcgi_fill)
        return; /* no request's, or one that has not begun */
    if (own == NULL || !libfcgi_has_stream(&own->request, stream)) {
        /* Another thread took the request: finding it needs a lock. */
        uint64_t tick = clock_coarse_ns();
        own = tick != libfcgi_looked ? libfcgi_by_stream(stream) : NULL;
        libfcgi_looked = tick;
    }
    if (own == NULL || own->closing)
        return;
    (void)request_safe_point(&own->request);
    if ((own->request.status & OT_BIT_ABORTED) && !stream->isReader && !stream->isClosed &&
        !request_is_mute(&own->request)) {
        libfcgi_discard(own, stream == own->out.stream ? &own->out : &own->err);
        libfcgi_fail(stream, EPIPE);
    }
}

/* FCGX_PutS, FCGX_FPrintF, FCGX_VFPrintF, FCGX_GetLine and all of fcgi_stdio.h end up in these. */
LIBFCGI_EXPORT int FCGX_PutChar(int c, FCGX_Stream *stream)
{
    libfcgi_look(stream);
    return libfcgi_real.FCGX_PutChar(c, stream);
}

LIBFCGI_EXPORT int FCGX_GetChar(FCGX_Stream *stream)
{
    libfcgi_look(stream);
    return libfcgi_real.FCGX_GetChar(stream);
}

LIBFCGI_EXPORT int FCGX_HasSeenEOF(FCGX_Stream *stream)
{
    libfcgi_look(stream);
    return libfcgi_real.FCGX_HasSeenEOF(stream);
}

/* Sends a long string without copying it: libfcgi would send it in pieces of 8 KiB. */
LIBFCGI_EXPORT int FCGX_PutStr(const char *text, int size, FCGX_Stream *stream)
{
    struct libfcgi_request *own = size >= LIBFCGI_LONG ? libfcgi_by_stream(stream) : NULL;
    libfcgi_look(stream);
    if (own == NULL || stream != own->out.stream || stream->isClosed || own->closing ||
        stream->emptyBuffProc != libfcgi_empty)
        return libfcgi_real.FCGX_PutStr(text, size, stream);
    size_t left = (size_t)size;
    while (left > 0 && !stream->isClosed) {
        if (libfcgi_may_send(own, &own->out)) {
            left -= libfcgi_send_long(own, text + ((size_t)size - left), left);
        } else if (!stream->isClosed) {
            request_discard(&own->request, left);
            left = 0;
        }
        if (stream->isClosed)
            (void)request_safe_point(&own->request);
    }
    return stream->isClosed ? EOF : size;
}

/* Reads a long piece of the body in place: libfcgi would read it in pieces of 8 KiB. */
LIBFCGI_EXPORT int FCGX_GetStr(char *into, int size, FCGX_Stream *stream)
{
    struct libfcgi_request *own = size >= LIBFCGI_LONG ? libfcgi_by_stream(stream) : NULL;
    libfcgi_look(stream);
    if (own == NULL || stream != own->in || stream->fillBuffProc != libfcgi_fill)
        return libfcgi_real.FCGX_GetStr(into, size, stream);
    int done = 0;
    while (done < size && !stream->isClosed) {
        int left = size - done;
        ptrdiff_t buffered = stream->stop - stream->rdNext;
        int count = buffered > 0 ? libfcgi_real.FCGX_GetStr(
                                       into + done, buffered < left ? (int)buffered : left, stream)
                                 : (int)libfcgi_read_body(own, into + done, (size_t)left);
        if (count == 0)
            break;
        done += count;
    }
    if (done < size)
        done += libfcgi_real.FCGX_GetStr(into + done, size - done, stream);
    return done;
}

/* ---- libfcgi's OS layer ---- */

LIBFCGI_EXPORT int OS_Accept(int listen_sock, int fail_on_intr, const char *addresses)
{
    struct conn *conn = NULL;
    if (libfcgi_incoming == NULL)
        process_hooks_start(libfcgi_thread_ended); /* not called by FCGX_Accept_r */
    enum wait_set_result result = wait_set_next(listen_sock, addresses, fail_on_intr != 0, &conn);
    while (result == WAIT_SET_REQUEST && libfcgi_incoming != NULL &&
           !libfcgi_take_params(libfcgi_incoming, conn)) {
        libfcgi_refuse_params(conn);
        result = wait_set_next(listen_sock, addresses, fail_on_intr != 0, &conn);
    }
    switch (result) {
    case WAIT_SET_REQUEST:
        worker_slot_state(OT_STATE_READING);
        return conn->fd;
    case WAIT_SET_DRAINED:
        libfcgi_refuse_accept();
        errno = ESHUTDOWN;
        return -1;
    case WAIT_SET_INTERRUPTED:
        errno = EINTR;
        return -1;
    case WAIT_SET_FAILED:
    default:
        if (errno == ENOTSOCK)
            return libfcgi_real.OS_Accept(listen_sock, fail_on_intr, addresses);
        return -1;
    }
}

LIBFCGI_EXPORT int OS_Read(int fd, char *into, size_t size)
{
    struct conn *conn = conn_find(fd);
    size_t count = 0;
    if (conn == NULL && fd >= 0)
        return libfcgi_real.OS_Read(fd, into, size);
    if (conn == NULL) {
        /* After ot_finish_request there is no descriptor, but what was read stays readable. */
        struct request *current = request_current();
        if (current != NULL && current->conn != NULL && current->conn->fd < 0)
            conn_read_buffered(current->conn, into, size, &count);
        return (int)count;
    }
    struct request *request = conn->request;
    enum conn_result result =
        conn_read(conn, into, size, request != NULL ? request->limit.deadline : 0, &count);
    int error = libfcgi_was_read(request, result);
    if (error == 0)
        return (int)count;
    errno = error;
    return -1;
}

LIBFCGI_EXPORT int OS_Write(int fd, char *from, size_t size)
{
    struct conn *conn = conn_find(fd);
    if (conn == NULL)
        return fd < 0 ? (int)size : libfcgi_real.OS_Write(fd, from, size);
    struct request *request = conn->request;
    /* Set before the write: a 504 must not follow output. */
    conn->stdout_sent = conn->stdout_sent || (size > 1 && from[1] == FRAME_TYPE_STDOUT);
    enum conn_result result =
        conn_write(conn, from, size, request != NULL ? request->limit.deadline : 0);
    if (libfcgi_was_written(request, result))
        return (int)size;
    errno = result == CONN_TIMEOUT ? ETIMEDOUT : EPIPE;
    return -1;
}

/* libfcgi closes a connection here only if it cannot read a request header that we found complete:
 * without memory, or if something else has called its OS_Accept. */
LIBFCGI_EXPORT int OS_IpcClose(int fd, int shutdown)
{
    struct conn *conn = conn_find(fd);
    if (fd < 0)
        return 0;
    if (conn == NULL)
        return libfcgi_real.OS_IpcClose(fd, shutdown);
    if (conn->in_parent)
        conn_close_copy(&conn);
    else
        libfcgi_refuse_params(conn);
    return 0;
}

LIBFCGI_EXPORT int OS_IsFcgi(int sock)
{
    return wait_set_has(sock) ? 1 : libfcgi_real.OS_IsFcgi(sock);
}

LIBFCGI_EXPORT void OS_ShutdownPending(void)
{
    graceful_stop_begin(OT_EXIT_NONE);
    libfcgi_real.OS_ShutdownPending();
}

/* ---- functions that are exported only to be linked ---- */

/* Debian's linker, and others, drop a library from which a program needs no symbol (--as-needed).
 * Programs that accept by FCGI_Accept or FCGX_Accept would lose this one in silence, as only
 * libfcgi calls the functions above. */
LIBFCGI_EXPORT int FCGI_Accept(void)
{
    return libfcgi_real.FCGI_Accept();
}

LIBFCGI_EXPORT void FCGI_Finish(void)
{
    libfcgi_real.FCGI_Finish();
}

LIBFCGI_EXPORT int FCGX_Accept(FCGX_Stream **in, FCGX_Stream **out, FCGX_Stream **err,
                               FCGX_ParamArray *envp)
{
    return libfcgi_real.FCGX_Accept(in, out, err, envp);
}

LIBFCGI_EXPORT void FCGX_Finish(void)
{
    libfcgi_real.FCGX_Finish();
}

LIBFCGI_EXPORT int FCGX_Init(void)
{
    return libfcgi_real.FCGX_Init();
}

LIBFCGI_EXPORT int FCGX_InitRequest(FCGX_Request *request, int sock, int flags)
{
    return libfcgi_real.FCGX_InitRequest(request, sock, flags);
}

/* ---- ot_run: the accept loop to which a bailout can unwind ---- */

typedef int libfcgi_handler(struct FCGX_Request *, void *);

/* Calls the handler once, in a frame of its own, to which a bailout jumps back. A handler that was
 * left in this way counts as having returned 0. */
static int libfcgi_call(libfcgi_handler *handler, FCGX_Request *fcgx, void *argument)
{
    sigjmp_buf here;
    struct request *request = request_current();
    if (sigsetjmp(here, 0) != 0)
        return 0;
    if (request != NULL)
        request->run_jump = &here;
    int result = handler(fcgx, argument);
    request = request_current();
    if (request != NULL)
        request->run_jump = NULL;
    return result;
}

LIBFCGI_EXPORT int ot_run(libfcgi_handler *handler, void *argument)
{
    /* In the thread's storage, not on the heap, so that pthread_exit in a handler leaks nothing. */
    static _Thread_local FCGX_Request fcgx;
    int result = 0;
    if (libfcgi_by_fcgx(&fcgx) != NULL) {
        errno = EBUSY; /* ot_run inside a handler of ot_run */
        return -1;
    }
    if (FCGX_Init() != 0 || FCGX_InitRequest(&fcgx, STDIN_FILENO, 0) != 0) {
        errno = ENOMEM;
        return -1;
    }
    while (result == 0) {
        int accepted = FCGX_Accept_r(&fcgx);
        if (accepted == -ESHUTDOWN)
            return 0;
        if (accepted != 0) {
            errno = accepted < 0 && accepted > -4096 ? -accepted : EIO;
            return -1;
        }
        result = libfcgi_call(handler, &fcgx, argument);
        libfcgi_end_until_accept();
        struct libfcgi_request *own = libfcgi_by_fcgx(&fcgx);
        if (own != NULL)
            request_end(&own->request);
    }
    return result;
}
