/* libfcgi.c: stands between libfcgi and the application.
 *
 * The only file that includes libfcgi and touches the fields it calls private. It exports the
 * libfcgi functions that a request's beginning and end pass through, and the functions of libfcgi's
 * OS layer that touch connections; libfcgi itself calls all of these through the PLT, so that they
 * are seen here whoever calls. Protocol work is libfcgi's: the originals are called for it. Makes
 * no decision about a request: request.c does.
 */
#include "sapi-shim/access_log/log_pipe.h"
#include "sapi-shim/access_log/request_details.h"
#include "sapi-shim/api/process_hooks.h"
#include "sapi-shim/api/reply.h"
#include "sapi-shim/api/wire.h"
#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/connection/wait_set.h"
#include "sapi-shim/protocol/params.h"
#include "sapi-shim/request/request.h"
#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/status/status_handler.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcgiapp.h>
#include <fcgios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIBFCGI_EXPORT __attribute__((visibility("default")))

enum {
    LIBFCGI_LONG = 16384 /* bytes of a string that is worth a call of its own */
};

/* A writer of libfcgi's and the buffer it writes into. */
struct libfcgi_output {
    FCGX_Stream *stream;
    unsigned char *base; /* first byte of content */
    unsigned char *end;
    void (*empty)(FCGX_Stream *, int);
};

struct libfcgi {
    struct request request; /* first, so that one is the other */
    FCGX_Request *fcgx;
    FCGX_Stream *in;
    void (*fill)(FCGX_Stream *);
    struct libfcgi_output out;
    struct libfcgi_output err;
    struct params params;
    struct request_details detail; /* for the access log */
    bool closing; /* the response is being completed: no safe point, no change of course */
    bool real;    /* ... by libfcgi, as nothing stands against it */
};

static struct {
    int (*accept_r)(FCGX_Request *);
    void (*finish_r)(FCGX_Request *);
    void (*free_request)(FCGX_Request *, int);
    int (*os_accept)(int, int, const char *);
    int (*os_read)(int, char *, size_t);
    int (*os_write)(int, char *, size_t);
    int (*put_str)(const char *, int, FCGX_Stream *);
    int (*get_str)(char *, int, FCGX_Stream *);
    int (*os_ipc_close)(int, int);
    int (*os_is_fcgi)(int);
    void (*os_shutdown_pending)(void);
} libfcgi_real;

/* libfcgi's own, as every stream of its making has them. */
static void (*libfcgi_libfcgi_empty)(FCGX_Stream *, int);
static void (*libfcgi_libfcgi_fill)(FCGX_Stream *);

static _Thread_local struct libfcgi *libfcgi_spare;  /* the last one freed: no malloc per request */
static _Thread_local struct libfcgi *libfcgi_coming; /* for the request that libfcgi waits for */
static _Thread_local unsigned
    libfcgi_refusals; /* calls to accept since the worker was told to stop */

static void *libfcgi_symbol(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) {
        diagnostics_write(
            "libfcgi's %s was not found; link with -lovertime before -lfcgi, the shared one", name);
        _exit(EXIT_FAILURE);
    }
    return symbol;
}

/* POSIX gives dlsym's result to functions this way; ISO C has no conversion for it. */
#define LIBFCGI_FIND(field, name)                                                                  \
    do {                                                                                           \
        void *symbol_ = libfcgi_symbol(name);                                                      \
        memcpy(&libfcgi_real.field, &symbol_, sizeof symbol_);                                     \
    } while (0)

__attribute__((constructor)) static void libfcgi_init(void)
{
    LIBFCGI_FIND(accept_r, "FCGX_Accept_r");
    LIBFCGI_FIND(finish_r, "FCGX_Finish_r");
    LIBFCGI_FIND(free_request, "FCGX_Free");
    LIBFCGI_FIND(os_accept, "OS_Accept");
    LIBFCGI_FIND(os_read, "OS_Read");
    LIBFCGI_FIND(os_write, "OS_Write");
    LIBFCGI_FIND(put_str, "FCGX_PutStr");
    LIBFCGI_FIND(get_str, "FCGX_GetStr");
    LIBFCGI_FIND(os_ipc_close, "OS_IpcClose");
    LIBFCGI_FIND(os_is_fcgi, "OS_IsFcgi");
    LIBFCGI_FIND(os_shutdown_pending, "OS_ShutdownPending");
}

/* ---- from libfcgi's objects to ours ---- */

static bool libfcgi_has_fcgx(const struct request *request, const void *fcgx)
{
    return ((const struct libfcgi *)request)->fcgx == fcgx;
}

static bool libfcgi_has_stream(const struct request *request, const void *stream)
{
    const struct libfcgi *libfcgi = (const struct libfcgi *)request;
    return libfcgi->in == stream || libfcgi->out.stream == stream || libfcgi->err.stream == stream;
}

static struct libfcgi *libfcgi_find(bool (*match)(const struct request *, const void *),
                                    const void *object)
{
    struct request *mine = request_current();
    if (mine != NULL && match(mine, object))
        return (struct libfcgi *)mine;
    return (struct libfcgi *)request_search(match, object);
}

/* ---- output ---- */

static struct libfcgi_output *libfcgi_output_of(struct libfcgi *libfcgi, const FCGX_Stream *stream)
{
    return stream == libfcgi->out.stream ? &libfcgi->out : &libfcgi->err;
}

/* Drops what the application has put into the buffer. */
static void libfcgi_swallow(struct libfcgi *libfcgi, struct libfcgi_output *output)
{
    FCGX_Stream *stream = output->stream;
    if (stream->wrNext > output->base)
        request_discard(&libfcgi->request, (size_t)(stream->wrNext - output->base));
    stream->wrNext = output->base;
}

/* Makes the stream fail from now on, as libfcgi does after an error of its own. */
static void libfcgi_fail(FCGX_Stream *stream, int error)
{
    if (stream->FCGI_errno == 0)
        stream->FCGI_errno = error;
    stream->isClosed = 1;
}

/* On its way to the client, as far as libfcgi can. */
static void libfcgi_send(struct libfcgi *libfcgi, struct libfcgi_output *output, int do_close)
{
    FCGX_Stream *stream = output->stream;
    size_t count = stream->wrNext > output->base ? (size_t)(stream->wrNext - output->base) : 0;
    bool counts = count > 0 && output == &libfcgi->out && log_pipe_on();
    if (counts)
        request_details_output(&libfcgi->detail, (const char *)output->base, count,
                               (log_pipe_needs() & LOG_FORMAT_NEEDS_HEAD) != 0);
    output->empty(stream, do_close);
    /* Of an ignored abort libfcgi is not told. */
    if (counts && stream->FCGI_errno == 0 && !libfcgi->request.conn->disconnected)
        request_sent(&libfcgi->request, count, libfcgi->detail.head.status);
}

/* The last of the response: libfcgi may come back here for the records that end it. */
static void libfcgi_empty_last(struct libfcgi *libfcgi, struct libfcgi_output *output, int do_close)
{
    if (libfcgi->real)
        libfcgi_send(libfcgi, output, do_close);
    else
        libfcgi_swallow(libfcgi, output);
}

/* A safe point. True if output still goes to the client; otherwise what is in the buffer is
 * dropped, and the stream may have been made to fail. */
static bool libfcgi_may_send(struct libfcgi *libfcgi, struct libfcgi_output *output)
{
    struct request *request = &libfcgi->request;
    (void)request_safe_point(request);
    if (!request_is_mute(request) && !(request->status & OT_BIT_ABORTED))
        return true;
    libfcgi_swallow(libfcgi, output);
    if (!request_is_mute(request))
        libfcgi_fail(output->stream, EPIPE);
    return false;
}

static void libfcgi_empty(FCGX_Stream *stream, int do_close)
{
    struct libfcgi *libfcgi = libfcgi_find(libfcgi_has_stream, stream);
    if (libfcgi == NULL) {
        libfcgi_libfcgi_empty(stream, do_close); /* a forked child: libfcgi's way */
        return;
    }
    struct libfcgi_output *output = libfcgi_output_of(libfcgi, stream);
    if (libfcgi->closing) {
        libfcgi_empty_last(libfcgi, output, do_close);
        return;
    }
    if (!libfcgi_may_send(libfcgi, output))
        return;
    libfcgi_send(libfcgi, output, do_close);
    if (stream->isClosed)
        (void)request_safe_point(&libfcgi->request);
}

/* What becomes of the request when this was the result of a write; false if the application is to
 * know that it failed. */
static bool libfcgi_written(struct request *request, enum conn_result result)
{
    if (request != NULL && result == CONN_CLOSED)
        request_aborted(request);
    if (request != NULL && result == CONN_TIMEOUT)
        request_late(request);
    /* The application may have asked not to be bothered. */
    return result == CONN_OK || (request != NULL && request_is_mute(request));
}

/* One record of what is in the buffer and of `text`, which does not pass through it. Returns how
 * much of `text` that was. */
static size_t libfcgi_send_long(struct libfcgi *libfcgi, const char *text, size_t size)
{
    struct libfcgi_output *output = &libfcgi->out;
    struct conn *conn = libfcgi->request.conn;
    unsigned char header[FRAME_HEADER];
    size_t before = (size_t)(output->stream->wrNext - output->base);
    size_t most = FRAME_CONTENT_MAX - before;
    size = size < most ? size : most;
    if (log_pipe_on()) {
        bool keep = (log_pipe_needs() & LOG_FORMAT_NEEDS_HEAD) != 0;
        request_details_output(&libfcgi->detail, (const char *)output->base, before, keep);
        request_details_output(&libfcgi->detail, text, size, keep);
    }
    struct iovec parts[CONN_PARTS] = {
        {.iov_base = header, .iov_len = frame_stdout_header(conn->frame.id, before + size, header)},
        {.iov_base = output->base, .iov_len = before},
        {.iov_base = (void *)(uintptr_t)text, .iov_len = size},
    };
    conn->stdout_sent = true;
    enum conn_result result =
        conn_write_parts(conn, parts, CONN_PARTS, request_deadline(&libfcgi->request));
    output->stream->wrNext = output->base;
    if (!libfcgi_written(&libfcgi->request, result))
        libfcgi_fail(output->stream, EPIPE);
    else if (log_pipe_on() && result == CONN_OK)
        request_sent(&libfcgi->request, before + size, libfcgi->detail.head.status);
    return size;
}

/* As FCGX_PutStr, for a string that is worth it. */
static int libfcgi_put_long(struct libfcgi *libfcgi, const char *text, size_t size)
{
    FCGX_Stream *stream = libfcgi->out.stream;
    size_t done = 0;
    while (done < size && !stream->isClosed) {
        if (libfcgi_may_send(libfcgi, &libfcgi->out)) {
            done += libfcgi_send_long(libfcgi, text + done, size - done);
        } else if (!stream->isClosed) {
            request_discard(&libfcgi->request, size - done);
            done = size;
        }
        if (stream->isClosed)
            (void)request_safe_point(&libfcgi->request);
    }
    return stream->isClosed ? EOF : (int)size;
}

/* Opens a writer that libfcgi holds for closed: what is written goes into the buffer and, when that
 * is full, nowhere. wasFCloseCalled stays, so that closing it again writes nothing. */
static void libfcgi_mute_output(struct libfcgi *libfcgi, struct libfcgi_output *output)
{
    FCGX_Stream *stream = output->stream;
    if (stream == NULL)
        return;
    libfcgi_swallow(libfcgi, output);
    stream->isClosed = 0;
    stream->FCGI_errno = 0;
    stream->stop = output->end;
    stream->rdNext = output->end;
}

static void libfcgi_mute(struct request *request)
{
    struct libfcgi *libfcgi = (struct libfcgi *)request;
    libfcgi_mute_output(libfcgi, &libfcgi->out);
    libfcgi_mute_output(libfcgi, &libfcgi->err);
}

/* At exit() the application's request object may lie in a stack frame that is gone. */
static bool libfcgi_intact(const struct libfcgi *libfcgi)
{
    const FCGX_Request *r = libfcgi->fcgx;
    return r->out == libfcgi->out.stream && r->err == libfcgi->err.stream && r->in == libfcgi->in &&
           r->ipcFd == libfcgi->request.conn->fd &&
           r->requestId == (int)libfcgi->request.conn->frame.id && r->nWriters >= 0 &&
           r->nWriters <= 2;
}

/* Never twice for a request: lifecycle.h sends it once. */
static void libfcgi_complete(struct request *request)
{
    struct libfcgi *libfcgi = (struct libfcgi *)request;
    struct conn *conn = request->conn;
    if (!libfcgi_intact(libfcgi)) {
        conn_refuse(conn, NULL, FRAME_REQUEST_COMPLETE);
        return;
    }
    libfcgi->real = !request_is_mute(request) && !(request->status & OT_BIT_ABORTED);
    libfcgi->closing = true;
    conn->end_sent =
        libfcgi->real; /* before it is: the hard_timeout answer must not end it twice */
    (void)FCGX_FClose(libfcgi->err.stream);
    (void)FCGX_FClose(libfcgi->out.stream);
    libfcgi->closing = false;
    /* With an FCGI_ABORT_REQUEST the web server is still there and waits for the end. */
    if (!libfcgi->real && conn->aborted && !conn->disconnected && !conn->broken)
        conn_refuse(conn, NULL, FRAME_REQUEST_COMPLETE);
}

/* The number may be another file's from here on. */
static void libfcgi_disconnect(struct request *request)
{
    struct libfcgi *libfcgi = (struct libfcgi *)request;
    if (libfcgi_intact(libfcgi))
        libfcgi->fcgx->ipcFd = -1;
}

static void libfcgi_describe(struct request *request, struct log_format_facts *facts)
{
    struct libfcgi *libfcgi = (struct libfcgi *)request;
    request_details_fill(&libfcgi->detail, request->entry.sent > 0, facts);
}

static void libfcgi_free(struct libfcgi *libfcgi)
{
    params_trim(&libfcgi->params);
    if (libfcgi_spare == NULL) {
        libfcgi_spare = libfcgi;
        return;
    }
    params_free(&libfcgi->params);
    free(libfcgi);
}

static void libfcgi_let_go(struct request *request)
{
    struct libfcgi *libfcgi = (struct libfcgi *)request;
    request_details_end(&libfcgi->detail);
    FCGX_Request *r = libfcgi->fcgx;
    if (r->in == libfcgi->in && r->out == libfcgi->out.stream && r->err == libfcgi->err.stream) {
        r->ipcFd = -1;
        r->keepConnection = 1; /* nothing is left to close */
        libfcgi_real.finish_r(r);
    }
    libfcgi_free(libfcgi);
}

static const struct request_codec libfcgi_codec = {
    .complete = libfcgi_complete,
    .mute = libfcgi_mute,
    .disconnect = libfcgi_disconnect,
    .let_go = libfcgi_let_go,
    .describe = libfcgi_describe,
};

/* ---- input ---- */

static void libfcgi_fill(FCGX_Stream *stream)
{
    struct libfcgi *libfcgi = libfcgi_find(libfcgi_has_stream, stream);
    if (libfcgi == NULL) {
        libfcgi_libfcgi_fill(stream); /* a forked child: libfcgi's way */
        return;
    }
    (void)request_safe_point(&libfcgi->request);
    libfcgi->fill(stream);
    if (stream->FCGI_errno != 0)
        (void)request_safe_point(&libfcgi->request);
}

/* What becomes of the request when this was the result of a read; what the application is to know
 * of it, 0 = all is well. */
static int libfcgi_was_read(struct request *request, enum conn_result result)
{
    if (request != NULL && result == CONN_CLOSED)
        request_aborted(request);
    if (request != NULL && result == CONN_TIMEOUT)
        request_late(request);
    return result == CONN_OK ? 0 : result == CONN_TIMEOUT ? ETIMEDOUT : ECONNRESET;
}

/* Past libfcgi, which has nothing left to give: how much was read, 0 where it has to be asked, or
 * the stream has failed. */
static size_t libfcgi_read_body(struct libfcgi *libfcgi, char *into, size_t size)
{
    struct request *request = &libfcgi->request;
    size_t count = 0;
    (void)request_safe_point(request);
    if (!conn_may_read_body(request->conn))
        return 0;
    enum conn_result result =
        conn_read_body(request->conn, into, size, request_deadline(request), &count);
    int error = libfcgi_was_read(request, result);
    if (error == 0)
        return count;
    libfcgi_fail(libfcgi->in, error);
    (void)request_safe_point(request);
    return 0;
}

/* As FCGX_GetStr, where there is room for so much that it is worth it. */
static int libfcgi_get_long(struct libfcgi *libfcgi, char *into, size_t size)
{
    FCGX_Stream *stream = libfcgi->in;
    size_t done = 0;
    while (done < size && !stream->isClosed) {
        size_t there = stream->stop > stream->rdNext ? (size_t)(stream->stop - stream->rdNext) : 0;
        size_t left = size - done;
        size_t count = there > 0 ? (size_t)libfcgi_real.get_str(
                                       into + done, (int)(there < left ? there : left), stream)
                                 : libfcgi_read_body(libfcgi, into + done, left);
        if (count == 0)
            break;
        done += count;
    }
    if (done < size)
        done += (size_t)libfcgi_real.get_str(into + done, (int)(size - done), stream);
    return (int)done;
}

/* ---- begin ---- */

/* Nearly always they differ within a few bytes: less than what a call of strncmp costs. */
static bool libfcgi_name_is(const char *entry, const char *name, size_t length, const char **value)
{
    for (size_t i = 0; i < length; i++)
        if (entry[i] != name[i])
            return false;
    *value = entry + length;
    return true;
}

/* What the web server sets for this one request. A client cannot: its headers come as HTTP_.... */
static void libfcgi_values(struct request_facts *facts, const char *name, const char *text)
{
    char error[200];
    if (*text != '\0' && !request_overrides_parse(text, &facts->values, error, sizeof error))
        diagnostics_write("pool %s: %s %s: %s ignored: %s", worker_slot_pool(), facts->method,
                          facts->uri, name, error);
}

/* One pass over the parameters instead of one for each. */
static struct request_facts libfcgi_facts(char **envp)
{
    struct request_facts facts = {.method = "", .uri = ""};
    const char *script = "";
    const char *length = "";
    const char *value = "";
    const char *admin = "";
    const char *start = "";
    const char *mark = "";
    for (; envp != NULL && *envp != NULL; envp++) {
        if (**envp == 'R')
            (void)(libfcgi_name_is(*envp, "REQUEST_METHOD=", 15, &facts.method) ||
                   libfcgi_name_is(*envp, "REQUEST_URI=", 12, &facts.uri) ||
                   libfcgi_name_is(*envp, "REMOTE_ADDR=", 12, &facts.remote) ||
                   libfcgi_name_is(*envp, "REMOTE_USER=", 12, &facts.user));
        else if (**envp == 'S')
            (void)libfcgi_name_is(*envp, "SCRIPT_NAME=", 12, &script);
        else if (**envp == 'C')
            (void)libfcgi_name_is(*envp, "CONTENT_LENGTH=", 15, &length);
        else if (**envp == 'O')
            (void)(libfcgi_name_is(*envp, "OVERTIME_START=", 15, &start) ||
                   libfcgi_name_is(*envp, "OVERTIME_VALUE=", 15, &value) ||
                   libfcgi_name_is(*envp, "OVERTIME_ADMIN_VALUE=", 21, &admin) ||
                   libfcgi_name_is(*envp, "OVERTIME_MARK=", 14, &mark));
    }
    if (*facts.uri == '\0')
        facts.uri = script;
    facts.content_length = strtoull(length, NULL, 10);
    if (*start != '\0')
        facts.waited = histogram_since(start, clock_read_ns(CLOCK_REALTIME));
    facts.mark = strtoull(mark, NULL, 10);
    libfcgi_values(&facts, "OVERTIME_VALUE", value);
    unsigned before = facts.values.set;
    facts.values.set = 0;
    libfcgi_values(&facts, "OVERTIME_ADMIN_VALUE", admin);
    facts.locked = facts.values.set;
    facts.values.set |= before;
    return facts;
}

static void libfcgi_take_output(struct libfcgi_output *output, FCGX_Stream *stream)
{
    output->stream = stream;
    output->base = stream->wrNext;
    output->end = stream->stop;
    output->empty = stream->emptyBuffProc;
    libfcgi_libfcgi_empty = output->empty;
    stream->emptyBuffProc = libfcgi_empty;
}

static void libfcgi_begin(struct libfcgi *libfcgi, FCGX_Request *r, struct conn *conn)
{
    struct request_facts facts = libfcgi_facts(r->envp);
    libfcgi->fcgx = r;
    libfcgi->detail.params = r->envp;
    libfcgi->in = r->in;
    libfcgi->fill = r->in->fillBuffProc;
    libfcgi_libfcgi_fill = libfcgi->fill;
    r->in->fillBuffProc = libfcgi_fill;
    libfcgi_take_output(&libfcgi->out, r->out);
    libfcgi_take_output(&libfcgi->err, r->err);
    conn->request = &libfcgi->request;
    request_begin(&libfcgi->request, &libfcgi_codec, conn, &facts);
}

static struct libfcgi *libfcgi_alloc(void)
{
    struct libfcgi *libfcgi = libfcgi_spare;
    struct params params = {.vector = NULL};
    libfcgi_spare = NULL;
    if (libfcgi == NULL)
        libfcgi = malloc(sizeof *libfcgi);
    else
        params = libfcgi->params;
    if (libfcgi != NULL)
        *libfcgi = (struct libfcgi){.params = params};
    return libfcgi;
}

static void libfcgi_discard(FCGX_Request *r, struct conn *conn)
{
    r->ipcFd = -1;
    r->keepConnection = 1;
    libfcgi_real.finish_r(r);
    wait_set_linger(&conn);
}

/* `params` is NULL where they could not be read. */
static void libfcgi_count_dropped(const struct conn *conn, char **params, unsigned status)
{
    struct ot_record *record = worker_slot_record();
    struct request_details detail = {.params = params};
    struct log_format_facts facts = log_entry_unknown();
    if (params != NULL)
        request_details_fill(&detail, false, &facts);
    log_entry_dropped(record, worker_slot_number(record), status, conn->since, &facts);
}

static void libfcgi_refuse_params(struct conn *conn)
{
    diagnostics_write("pool %s: request refused: malformed parameters", worker_slot_pool());
    libfcgi_count_dropped(conn, NULL, 400);
    conn_refuse(conn, "400 Bad Request", FRAME_REQUEST_COMPLETE);
    wait_set_linger(&conn);
}

/* libfcgi puts the role before the parameters, and is given none of them: see params.h. */
static bool libfcgi_take_params(struct libfcgi *libfcgi, struct conn *conn)
{
    static const char *const roles[] = {"FCGI_ROLE=RESPONDER", "FCGI_ROLE=AUTHORIZER",
                                        "FCGI_ROLE=FILTER"};
    size_t count = 0;
    const char *role = roles[conn->frame.role - 1]; /* wait_set.c lets no other through */
    const unsigned char *content = conn_take_params(conn, &count);
    return params_decode(&libfcgi->params, role, content, count) == PARAMS_OK;
}

/* A client that is gone before its request began; only where the pool asks for it. */
static bool libfcgi_dead_on_arrival(FCGX_Request *r, struct conn *conn)
{
    if (!worker_slot_settings()->drop_dead_on_arrival)
        return false;
    conn_check_peer(conn);
    if (!conn->disconnected)
        return false;
    struct request_facts facts = libfcgi_facts(r->envp);
    char method[OT_METHOD_MAX];
    char uri[OT_URI_MAX];
    record_text(method, sizeof method, facts.method);
    record_text(uri, sizeof uri, facts.uri);
    diagnostics_write("pool %s: %s %s dropped: client gone before the request began (499)",
                      worker_slot_pool(), method, uri);
    libfcgi_count_dropped(conn, r->envp, 499);
    libfcgi_discard(r, conn);
    return true;
}

/* Status and ping never reach the application, nor do they count as its requests. */
static bool libfcgi_answered(FCGX_Request *r, struct conn *conn)
{
    char *response;
    size_t size;
    if (!status_handler_on() || !status_handler_compose(r->envp, &response, &size))
        return false;
    uint64_t announced = libfcgi_facts(r->envp).content_length;
    reply_send(conn, response, size);
    free(response);
    r->ipcFd = -1;
    r->keepConnection = 1;
    libfcgi_real.finish_r(r);
    wait_set_end_request(&conn, conn->frame.keep, announced);
    return true;
}

static void libfcgi_thread_end(void)
{
    if (libfcgi_spare != NULL)
        params_free(&libfcgi_spare->params);
    free(libfcgi_spare);
    libfcgi_spare = NULL;
}

/* An accept loop that does not look at the result must not spin once the worker is told to stop. */
static void libfcgi_stopped(void)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    worker_slot_state(OT_STATE_EXITING);
    if (libfcgi_refusals++ == 0)
        return;
    if (request_open_elsewhere() == 0)
        request_exit(OT_EXIT_UNSAID);
    (void)nanosleep(&pause, NULL);
}

/* ---- libfcgi's API ---- */

LIBFCGI_EXPORT int FCGX_Accept_r(FCGX_Request *r)
{
    for (;;) {
        struct libfcgi *open = libfcgi_find(libfcgi_has_fcgx, r);
        if (open != NULL)
            request_end(&open->request);
        request_let_pass();
        process_hooks_start(libfcgi_thread_end);
        struct libfcgi *libfcgi = libfcgi_alloc();
        if (libfcgi == NULL)
            return -ENOMEM;
        libfcgi_coming = libfcgi;
        int result = libfcgi_real.accept_r(r);
        libfcgi_coming = NULL;
        struct conn *conn = result < 0 ? NULL : conn_find(r->ipcFd);
        if (conn != NULL)
            r->envp = libfcgi->params.vector;
        if (conn == NULL || libfcgi_answered(r, conn) || libfcgi_dead_on_arrival(r, conn)) {
            libfcgi_free(libfcgi);
            if (conn == NULL)
                return result;
            continue;
        }
        libfcgi_begin(libfcgi, r, conn);
        return 0;
    }
}

LIBFCGI_EXPORT void FCGX_Finish_r(FCGX_Request *r)
{
    struct libfcgi *libfcgi = r == NULL ? NULL : libfcgi_find(libfcgi_has_fcgx, r);
    if (libfcgi == NULL) {
        libfcgi_real.finish_r(r);
        return;
    }
    process_hooks_start(
        libfcgi_thread_end); /* this thread may be one that serves and never accepts */
    request_end(&libfcgi->request);
}

LIBFCGI_EXPORT void FCGX_Free(FCGX_Request *r, int close)
{
    struct libfcgi *libfcgi = r == NULL ? NULL : libfcgi_find(libfcgi_has_fcgx, r);
    if (libfcgi == NULL) {
        libfcgi_real.free_request(r, close);
        return;
    }
    libfcgi->request.abandoned = true;
    request_end(&libfcgi->request);
}

/* A long string would be copied into libfcgi's buffer, and leave it, in pieces of 8 KiB. */
LIBFCGI_EXPORT int FCGX_PutStr(const char *text, int size, FCGX_Stream *stream)
{
    struct libfcgi *libfcgi =
        size >= LIBFCGI_LONG ? libfcgi_find(libfcgi_has_stream, stream) : NULL;
    if (libfcgi == NULL || stream != libfcgi->out.stream || stream->isClosed || libfcgi->closing ||
        stream->emptyBuffProc != libfcgi_empty)
        return libfcgi_real.put_str(text, size, stream);
    return libfcgi_put_long(libfcgi, text, (size_t)size);
}

/* A long piece of the body would come through libfcgi's buffer, in pieces of 8 KiB. */
LIBFCGI_EXPORT int FCGX_GetStr(char *into, int size, FCGX_Stream *stream)
{
    struct libfcgi *libfcgi =
        size >= LIBFCGI_LONG ? libfcgi_find(libfcgi_has_stream, stream) : NULL;
    if (libfcgi == NULL || stream != libfcgi->in || stream->fillBuffProc != libfcgi_fill)
        return libfcgi_real.get_str(into, size, stream);
    return libfcgi_get_long(libfcgi, into, (size_t)size);
}

/* ---- libfcgi's OS layer ---- */

/* Waits for a request whose parameters can be read. */
static enum wait_set_result libfcgi_wait(int listen_sock, const char *addresses,
                                         bool tell_interrupts, struct conn **conn)
{
    for (;;) {
        enum wait_set_result result = wait_set_next(listen_sock, addresses, tell_interrupts, conn);
        if (result != WAIT_SET_REQUEST || libfcgi_coming == NULL ||
            libfcgi_take_params(libfcgi_coming, *conn))
            return result;
        libfcgi_refuse_params(*conn);
    }
}

LIBFCGI_EXPORT int OS_Accept(int listen_sock, int fail_on_intr, const char *addresses)
{
    struct conn *conn = NULL;
    switch (libfcgi_wait(listen_sock, addresses, fail_on_intr != 0, &conn)) {
    case WAIT_SET_REQUEST:
        worker_slot_state(OT_STATE_READING);
        return conn->fd;
    case WAIT_SET_DRAINED:
        libfcgi_stopped();
        errno = ESHUTDOWN;
        return -1;
    case WAIT_SET_INTERRUPTED:
        errno = EINTR;
        return -1;
    case WAIT_SET_FAILED:
    default:
        if (errno == ENOTSOCK)
            return libfcgi_real.os_accept(listen_sock, fail_on_intr, addresses);
        return -1;
    }
}

/* After ot_finish_request the request has no descriptor, but what was read stays readable. */
static int libfcgi_read_rest(char *into, size_t size)
{
    struct request *request = request_current();
    size_t count = 0;
    if (request != NULL && request->conn != NULL && request->conn->fd < 0)
        conn_read_buffered(request->conn, into, size, &count);
    return (int)count;
}

LIBFCGI_EXPORT int OS_Read(int fd, char *into, size_t size)
{
    struct conn *conn = conn_find(fd);
    if (conn == NULL)
        return fd < 0 ? libfcgi_read_rest(into, size) : libfcgi_real.os_read(fd, into, size);
    size_t count = 0;
    struct request *request = conn->request;
    enum conn_result result =
        conn_read(conn, into, size, request != NULL ? request_deadline(request) : 0, &count);
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
        return fd < 0 ? (int)size : libfcgi_real.os_write(fd, from, size);
    struct request *request = conn->request;
    /* Before it is sent: the hard_timeout answer must not come behind output. */
    conn->stdout_sent = conn->stdout_sent || (size > 1 && from[1] == FRAME_TYPE_STDOUT);
    enum conn_result result =
        conn_write(conn, from, size, request != NULL ? request_deadline(request) : 0);
    if (libfcgi_written(request, result))
        return (int)size;
    errno = result == CONN_TIMEOUT ? ETIMEDOUT : EPIPE;
    return -1;
}

/* Only libfcgi closes a connection here, when it cannot read a request header that we found whole:
 * without memory, or where its own OS_Accept was asked by others. */
LIBFCGI_EXPORT int OS_IpcClose(int fd, int shutdown)
{
    struct conn *conn = conn_find(fd);
    if (fd < 0)
        return 0;
    if (conn == NULL)
        return libfcgi_real.os_ipc_close(fd, shutdown);
    if (conn->in_parent) {
        conn_close_copy(&conn);
        return 0;
    }
    libfcgi_refuse_params(conn);
    return 0;
}

LIBFCGI_EXPORT int OS_IsFcgi(int sock)
{
    return wait_set_has(sock) ? 1 : libfcgi_real.os_is_fcgi(sock);
}

LIBFCGI_EXPORT void OS_ShutdownPending(void)
{
    graceful_stop_begin(OT_EXIT_UNSAID);
    libfcgi_real.os_shutdown_pending();
}

/* ---- for run.c ---- */

/* The thread's own, so that nothing of it is left behind when a handler calls pthread_exit. */
static _Thread_local FCGX_Request libfcgi_own;

struct FCGX_Request *libfcgi_thread_request(void)
{
    if (libfcgi_find(libfcgi_has_fcgx, &libfcgi_own) != NULL) {
        errno = EBUSY;
        return NULL;
    }
    if (FCGX_Init() != 0 || FCGX_InitRequest(&libfcgi_own, STDIN_FILENO, 0) != 0) {
        errno = ENOMEM;
        return NULL;
    }
    return &libfcgi_own;
}

int libfcgi_accept(struct FCGX_Request *request)
{
    int result = FCGX_Accept_r(request);
    if (result == 0)
        return 0;
    errno = result < 0 && result > -4096 ? -result : EIO;
    return -1;
}

void libfcgi_finish(struct FCGX_Request *request)
{
    struct libfcgi *libfcgi = libfcgi_find(libfcgi_has_fcgx, request);
    if (libfcgi != NULL)
        request_end(&libfcgi->request);
}
