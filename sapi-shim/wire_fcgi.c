/* wire_fcgi.c: stands between libfcgi and the application.
 *
 * The only file that includes libfcgi and touches the fields it calls private. It exports the
 * libfcgi functions that a request's beginning and end pass through, and the functions of libfcgi's
 * OS layer that touch connections; libfcgi itself calls all of these through the PLT, so that they
 * are seen here whoever calls. Protocol work is libfcgi's: the originals are called for it. Makes
 * no decision about a request: request.c does.
 */
#include "sapi-shim/access.h"
#include "sapi-shim/answer.h"
#include "sapi-shim/board.h"
#include "sapi-shim/clock.h"
#include "sapi-shim/detail.h"
#include "sapi-shim/drain.h"
#include "sapi-shim/measure.h"
#include "sapi-shim/note.h"
#include "sapi-shim/params.h"
#include "sapi-shim/process.h"
#include "sapi-shim/reply.h"
#include "sapi-shim/request.h"
#include "sapi-shim/slot.h"
#include "sapi-shim/wait.h"
#include "sapi-shim/wire.h"

#include <fcgiapp.h>
#include <fcgios.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WIRE_EXPORT __attribute__((visibility("default")))

enum {
    WIRE_LONG = 16384 /* bytes of a string that is worth a call of its own */
};

/* A writer of libfcgi's and the buffer it writes into. */
struct wire_output {
    FCGX_Stream *stream;
    unsigned char *base; /* first byte of content */
    unsigned char *end;
    void (*empty)(FCGX_Stream *, int);
};

struct wire {
    struct request request; /* first, so that one is the other */
    FCGX_Request *fcgx;
    FCGX_Stream *in;
    void (*fill)(FCGX_Stream *);
    struct wire_output out;
    struct wire_output err;
    struct params params;
    struct detail detail; /* for the access log */
    bool closing;         /* the response is being completed: no safe point, no change of course */
    bool real;            /* ... by libfcgi, as nothing stands against it */
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
} wire_real;

/* libfcgi's own, as every stream of its making has them. */
static void (*wire_libfcgi_empty)(FCGX_Stream *, int);
static void (*wire_libfcgi_fill)(FCGX_Stream *);

static _Thread_local struct wire *wire_spare;  /* the last one freed: no malloc per request */
static _Thread_local struct wire *wire_coming; /* for the request that libfcgi waits for */
static _Thread_local unsigned wire_refusals; /* calls to accept since the worker was told to stop */

static void *wire_symbol(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) {
        note("libfcgi's %s was not found; link with -lovertime before -lfcgi, the shared one",
             name);
        _exit(EXIT_FAILURE);
    }
    return symbol;
}

/* POSIX gives dlsym's result to functions this way; ISO C has no conversion for it. */
#define WIRE_FIND(field, name)                                                                     \
    do {                                                                                           \
        void *symbol_ = wire_symbol(name);                                                         \
        memcpy(&wire_real.field, &symbol_, sizeof symbol_);                                        \
    } while (0)

__attribute__((constructor)) static void wire_init(void)
{
    WIRE_FIND(accept_r, "FCGX_Accept_r");
    WIRE_FIND(finish_r, "FCGX_Finish_r");
    WIRE_FIND(free_request, "FCGX_Free");
    WIRE_FIND(os_accept, "OS_Accept");
    WIRE_FIND(os_read, "OS_Read");
    WIRE_FIND(os_write, "OS_Write");
    WIRE_FIND(put_str, "FCGX_PutStr");
    WIRE_FIND(get_str, "FCGX_GetStr");
    WIRE_FIND(os_ipc_close, "OS_IpcClose");
    WIRE_FIND(os_is_fcgi, "OS_IsFcgi");
    WIRE_FIND(os_shutdown_pending, "OS_ShutdownPending");
}

/* ---- from libfcgi's objects to ours ---- */

static bool wire_has_fcgx(const struct request *request, const void *fcgx)
{
    return ((const struct wire *)request)->fcgx == fcgx;
}

static bool wire_has_stream(const struct request *request, const void *stream)
{
    const struct wire *wire = (const struct wire *)request;
    return wire->in == stream || wire->out.stream == stream || wire->err.stream == stream;
}

static struct wire *wire_find(bool (*match)(const struct request *, const void *),
                              const void *object)
{
    struct request *mine = request_current();
    if (mine != NULL && match(mine, object))
        return (struct wire *)mine;
    return (struct wire *)request_search(match, object);
}

/* ---- output ---- */

static struct wire_output *wire_output_of(struct wire *wire, const FCGX_Stream *stream)
{
    return stream == wire->out.stream ? &wire->out : &wire->err;
}

/* Drops what the application has put into the buffer. */
static void wire_swallow(struct wire *wire, struct wire_output *output)
{
    FCGX_Stream *stream = output->stream;
    if (stream->wrNext > output->base)
        request_discard(&wire->request, (size_t)(stream->wrNext - output->base));
    stream->wrNext = output->base;
}

/* Makes the stream fail from now on, as libfcgi does after an error of its own. */
static void wire_fail(FCGX_Stream *stream, int error)
{
    if (stream->FCGI_errno == 0)
        stream->FCGI_errno = error;
    stream->isClosed = 1;
}

/* On its way to the client, as far as libfcgi can. */
static void wire_send(struct wire *wire, struct wire_output *output, int do_close)
{
    FCGX_Stream *stream = output->stream;
    size_t count = stream->wrNext > output->base ? (size_t)(stream->wrNext - output->base) : 0;
    bool counts = count > 0 && output == &wire->out && access_on();
    if (counts)
        detail_output(&wire->detail, (const char *)output->base, count,
                      (access_needs() & FORMAT_NEEDS_HEAD) != 0);
    output->empty(stream, do_close);
    /* Of an ignored abort libfcgi is not told. */
    if (counts && stream->FCGI_errno == 0 && !wire->request.conn->gone)
        request_sent(&wire->request, count, wire->detail.head.status);
}

/* The last of the response: libfcgi may come back here for the records that end it. */
static void wire_empty_last(struct wire *wire, struct wire_output *output, int do_close)
{
    if (wire->real)
        wire_send(wire, output, do_close);
    else
        wire_swallow(wire, output);
}

/* A safe point. True if output still goes to the client; otherwise what is in the buffer is
 * dropped, and the stream may have been made to fail. */
static bool wire_may_send(struct wire *wire, struct wire_output *output)
{
    struct request *request = &wire->request;
    (void)request_safe_point(request);
    if (!request_is_mute(request) && !(request->status & OT_BIT_ABORTED))
        return true;
    wire_swallow(wire, output);
    if (!request_is_mute(request))
        wire_fail(output->stream, EPIPE);
    return false;
}

static void wire_empty(FCGX_Stream *stream, int do_close)
{
    struct wire *wire = wire_find(wire_has_stream, stream);
    if (wire == NULL) {
        wire_libfcgi_empty(stream, do_close); /* a forked child: libfcgi's way */
        return;
    }
    struct wire_output *output = wire_output_of(wire, stream);
    if (wire->closing) {
        wire_empty_last(wire, output, do_close);
        return;
    }
    if (!wire_may_send(wire, output))
        return;
    wire_send(wire, output, do_close);
    if (stream->isClosed)
        (void)request_safe_point(&wire->request);
}

/* What becomes of the request when this was the result of a write; false if the application is to
 * know that it failed. */
static bool wire_written(struct request *request, enum conn_result result)
{
    if (request != NULL && result == CONN_GONE)
        request_aborted(request);
    if (request != NULL && result == CONN_LATE)
        request_late(request);
    /* The application may have asked not to be bothered. */
    return result == CONN_OK || (request != NULL && request_is_mute(request));
}

/* One record of what is in the buffer and of `text`, which does not pass through it. Returns how
 * much of `text` that was. */
static size_t wire_send_long(struct wire *wire, const char *text, size_t size)
{
    struct wire_output *output = &wire->out;
    struct conn *conn = wire->request.conn;
    unsigned char header[FRAME_HEADER];
    size_t before = (size_t)(output->stream->wrNext - output->base);
    size_t most = FRAME_CONTENT_MAX - before;
    size = size < most ? size : most;
    if (access_on()) {
        bool keep = (access_needs() & FORMAT_NEEDS_HEAD) != 0;
        detail_output(&wire->detail, (const char *)output->base, before, keep);
        detail_output(&wire->detail, text, size, keep);
    }
    struct iovec parts[CONN_PARTS] = {
        {.iov_base = header, .iov_len = frame_stdout_header(conn->frame.id, before + size, header)},
        {.iov_base = output->base, .iov_len = before},
        {.iov_base = (void *)(uintptr_t)text, .iov_len = size},
    };
    conn->sent_any = true;
    enum conn_result result =
        conn_write_parts(conn, parts, CONN_PARTS, request_deadline(&wire->request));
    output->stream->wrNext = output->base;
    if (!wire_written(&wire->request, result))
        wire_fail(output->stream, EPIPE);
    else if (access_on() && result == CONN_OK)
        request_sent(&wire->request, before + size, wire->detail.head.status);
    return size;
}

/* As FCGX_PutStr, for a string that is worth it. */
static int wire_put_long(struct wire *wire, const char *text, size_t size)
{
    FCGX_Stream *stream = wire->out.stream;
    size_t done = 0;
    while (done < size && !stream->isClosed) {
        if (wire_may_send(wire, &wire->out)) {
            done += wire_send_long(wire, text + done, size - done);
        } else if (!stream->isClosed) {
            request_discard(&wire->request, size - done);
            done = size;
        }
        if (stream->isClosed)
            (void)request_safe_point(&wire->request);
    }
    return stream->isClosed ? EOF : (int)size;
}

/* Opens a writer that libfcgi holds for closed: what is written goes into the buffer and, when that
 * is full, nowhere. wasFCloseCalled stays, so that closing it again writes nothing. */
static void wire_mute_output(struct wire *wire, struct wire_output *output)
{
    FCGX_Stream *stream = output->stream;
    if (stream == NULL)
        return;
    wire_swallow(wire, output);
    stream->isClosed = 0;
    stream->FCGI_errno = 0;
    stream->stop = output->end;
    stream->rdNext = output->end;
}

static void wire_mute(struct request *request)
{
    struct wire *wire = (struct wire *)request;
    wire_mute_output(wire, &wire->out);
    wire_mute_output(wire, &wire->err);
}

/* At exit() the application's request object may lie in a stack frame that is gone. */
static bool wire_intact(const struct wire *wire)
{
    const FCGX_Request *r = wire->fcgx;
    return r->out == wire->out.stream && r->err == wire->err.stream && r->in == wire->in &&
           r->ipcFd == wire->request.conn->fd &&
           r->requestId == (int)wire->request.conn->frame.id && r->nWriters >= 0 &&
           r->nWriters <= 2;
}

/* Never twice for a request: lifecycle.h sends it once. */
static void wire_complete(struct request *request)
{
    struct wire *wire = (struct wire *)request;
    struct conn *conn = request->conn;
    if (!wire_intact(wire)) {
        conn_refuse(conn, NULL, FRAME_REQUEST_COMPLETE);
        return;
    }
    wire->real = !request_is_mute(request) && !(request->status & OT_BIT_ABORTED);
    wire->closing = true;
    conn->ended = wire->real; /* before it is: the emergency answer must not end it twice */
    (void)FCGX_FClose(wire->err.stream);
    (void)FCGX_FClose(wire->out.stream);
    wire->closing = false;
    /* With an FCGI_ABORT_REQUEST the web server is still there and waits for the end. */
    if (!wire->real && conn->aborted && !conn->gone && !conn->broken)
        conn_refuse(conn, NULL, FRAME_REQUEST_COMPLETE);
}

/* The number may be another file's from here on. */
static void wire_disconnect(struct request *request)
{
    struct wire *wire = (struct wire *)request;
    if (wire_intact(wire))
        wire->fcgx->ipcFd = -1;
}

static void wire_describe(struct request *request, struct format_facts *facts)
{
    struct wire *wire = (struct wire *)request;
    detail_fill(&wire->detail, request->entry.sent > 0, facts);
}

static void wire_free(struct wire *wire)
{
    params_trim(&wire->params);
    if (wire_spare == NULL) {
        wire_spare = wire;
        return;
    }
    params_free(&wire->params);
    free(wire);
}

static void wire_let_go(struct request *request)
{
    struct wire *wire = (struct wire *)request;
    detail_end(&wire->detail);
    FCGX_Request *r = wire->fcgx;
    if (r->in == wire->in && r->out == wire->out.stream && r->err == wire->err.stream) {
        r->ipcFd = -1;
        r->keepConnection = 1; /* nothing is left to close */
        wire_real.finish_r(r);
    }
    wire_free(wire);
}

static const struct request_codec wire_codec = {
    .complete = wire_complete,
    .mute = wire_mute,
    .disconnect = wire_disconnect,
    .let_go = wire_let_go,
    .describe = wire_describe,
};

/* ---- input ---- */

static void wire_fill(FCGX_Stream *stream)
{
    struct wire *wire = wire_find(wire_has_stream, stream);
    if (wire == NULL) {
        wire_libfcgi_fill(stream); /* a forked child: libfcgi's way */
        return;
    }
    (void)request_safe_point(&wire->request);
    wire->fill(stream);
    if (stream->FCGI_errno != 0)
        (void)request_safe_point(&wire->request);
}

/* What becomes of the request when this was the result of a read; what the application is to know
 * of it, 0 = all is well. */
static int wire_was_read(struct request *request, enum conn_result result)
{
    if (request != NULL && result == CONN_GONE)
        request_aborted(request);
    if (request != NULL && result == CONN_LATE)
        request_late(request);
    return result == CONN_OK ? 0 : result == CONN_LATE ? ETIMEDOUT : ECONNRESET;
}

/* Past libfcgi, which has nothing left to give: how much was read, 0 where it has to be asked, or
 * the stream has failed. */
static size_t wire_read_body(struct wire *wire, char *into, size_t size)
{
    struct request *request = &wire->request;
    size_t count = 0;
    (void)request_safe_point(request);
    if (!conn_may_read_body(request->conn))
        return 0;
    enum conn_result result =
        conn_read_body(request->conn, into, size, request_deadline(request), &count);
    int error = wire_was_read(request, result);
    if (error == 0)
        return count;
    wire_fail(wire->in, error);
    (void)request_safe_point(request);
    return 0;
}

/* As FCGX_GetStr, where there is room for so much that it is worth it. */
static int wire_get_long(struct wire *wire, char *into, size_t size)
{
    FCGX_Stream *stream = wire->in;
    size_t done = 0;
    while (done < size && !stream->isClosed) {
        size_t there = stream->stop > stream->rdNext ? (size_t)(stream->stop - stream->rdNext) : 0;
        size_t left = size - done;
        size_t count =
            there > 0
                ? (size_t)wire_real.get_str(into + done, (int)(there < left ? there : left), stream)
                : wire_read_body(wire, into + done, left);
        if (count == 0)
            break;
        done += count;
    }
    if (done < size)
        done += (size_t)wire_real.get_str(into + done, (int)(size - done), stream);
    return (int)done;
}

/* ---- begin ---- */

/* Nearly always they differ within a few bytes: less than what a call of strncmp costs. */
static bool wire_name_is(const char *entry, const char *name, size_t length, const char **value)
{
    for (size_t i = 0; i < length; i++)
        if (entry[i] != name[i])
            return false;
    *value = entry + length;
    return true;
}

/* What the web server sets for this one request. A client cannot: its headers come as HTTP_.... */
static void wire_values(struct request_facts *facts, const char *name, const char *text)
{
    char error[200];
    if (*text != '\0' && !values_parse(text, &facts->values, error, sizeof error))
        note("pool %s: %s %s: %s ignored: %s", board_pool(), facts->method, facts->uri, name,
             error);
}

/* One pass over the parameters instead of one for each. */
static struct request_facts wire_facts(char **envp)
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
            (void)(wire_name_is(*envp, "REQUEST_METHOD=", 15, &facts.method) ||
                   wire_name_is(*envp, "REQUEST_URI=", 12, &facts.uri) ||
                   wire_name_is(*envp, "REMOTE_ADDR=", 12, &facts.remote) ||
                   wire_name_is(*envp, "REMOTE_USER=", 12, &facts.user));
        else if (**envp == 'S')
            (void)wire_name_is(*envp, "SCRIPT_NAME=", 12, &script);
        else if (**envp == 'C')
            (void)wire_name_is(*envp, "CONTENT_LENGTH=", 15, &length);
        else if (**envp == 'O')
            (void)(wire_name_is(*envp, "OVERTIME_START=", 15, &start) ||
                   wire_name_is(*envp, "OVERTIME_VALUE=", 15, &value) ||
                   wire_name_is(*envp, "OVERTIME_ADMIN_VALUE=", 21, &admin) ||
                   wire_name_is(*envp, "OVERTIME_MARK=", 14, &mark));
    }
    if (*facts.uri == '\0')
        facts.uri = script;
    facts.content_length = strtoull(length, NULL, 10);
    if (*start != '\0')
        facts.waited = measure_since(start, clock_read(CLOCK_REALTIME));
    facts.mark = strtoull(mark, NULL, 10);
    wire_values(&facts, "OVERTIME_VALUE", value);
    unsigned before = facts.values.set;
    facts.values.set = 0;
    wire_values(&facts, "OVERTIME_ADMIN_VALUE", admin);
    facts.locked = facts.values.set;
    facts.values.set |= before;
    return facts;
}

static void wire_take_output(struct wire_output *output, FCGX_Stream *stream)
{
    output->stream = stream;
    output->base = stream->wrNext;
    output->end = stream->stop;
    output->empty = stream->emptyBuffProc;
    wire_libfcgi_empty = output->empty;
    stream->emptyBuffProc = wire_empty;
}

static void wire_begin(struct wire *wire, FCGX_Request *r, struct conn *conn)
{
    struct request_facts facts = wire_facts(r->envp);
    wire->fcgx = r;
    wire->detail.params = r->envp;
    wire->in = r->in;
    wire->fill = r->in->fillBuffProc;
    wire_libfcgi_fill = wire->fill;
    r->in->fillBuffProc = wire_fill;
    wire_take_output(&wire->out, r->out);
    wire_take_output(&wire->err, r->err);
    conn->owner = wire;
    request_begin(&wire->request, &wire_codec, conn, &facts);
}

static struct wire *wire_alloc(void)
{
    struct wire *wire = wire_spare;
    struct params params = {.vector = NULL};
    wire_spare = NULL;
    if (wire == NULL)
        wire = malloc(sizeof *wire);
    else
        params = wire->params;
    if (wire != NULL)
        *wire = (struct wire){.params = params};
    return wire;
}

static void wire_discard(FCGX_Request *r, struct conn *conn)
{
    r->ipcFd = -1;
    r->keepConnection = 1;
    wire_real.finish_r(r);
    wait_park(&conn);
}

/* `params` is NULL where they could not be read. */
static void wire_count_dropped(const struct conn *conn, char **params, unsigned status)
{
    struct ot_record *record = board_record();
    struct detail detail = {.params = params};
    struct format_facts facts = entry_unknown();
    if (params != NULL)
        detail_fill(&detail, false, &facts);
    entry_dropped(record, board_number(record), status, conn->since, &facts);
}

static void wire_refuse_params(struct conn *conn)
{
    note("pool %s: request refused: malformed parameters", board_pool());
    wire_count_dropped(conn, NULL, 400);
    conn_refuse(conn, "400 Bad Request", FRAME_REQUEST_COMPLETE);
    wait_park(&conn);
}

/* libfcgi puts the role before the parameters, and is given none of them: see params.h. */
static bool wire_take_params(struct wire *wire, struct conn *conn)
{
    static const char *const roles[] = {"FCGI_ROLE=RESPONDER", "FCGI_ROLE=AUTHORIZER",
                                        "FCGI_ROLE=FILTER"};
    size_t count = 0;
    const char *role = roles[conn->frame.role - 1]; /* wait.c lets no other through */
    const unsigned char *content = conn_take_params(conn, &count);
    return params_decode(&wire->params, role, content, count) == PARAMS_OK;
}

/* A client that is gone before its request began; only where the pool asks for it. */
static bool wire_dead_on_arrival(FCGX_Request *r, struct conn *conn)
{
    if (!board_settings()->drop_dead_on_arrival)
        return false;
    conn_look(conn);
    if (!conn->gone)
        return false;
    struct request_facts facts = wire_facts(r->envp);
    char method[OT_METHOD_MAX];
    char uri[OT_URI_MAX];
    slot_text(method, sizeof method, facts.method);
    slot_text(uri, sizeof uri, facts.uri);
    note("pool %s: %s %s dropped: client gone before the request began (499)", board_pool(), method,
         uri);
    wire_count_dropped(conn, r->envp, 499);
    wire_discard(r, conn);
    return true;
}

/* Status and ping never reach the application, nor do they count as its requests. */
static bool wire_answered(FCGX_Request *r, struct conn *conn)
{
    char *response;
    size_t size;
    if (!answer_on() || !answer_compose(r->envp, &response, &size))
        return false;
    uint64_t announced = wire_facts(r->envp).content_length;
    reply_send(conn, response, size);
    free(response);
    r->ipcFd = -1;
    r->keepConnection = 1;
    wire_real.finish_r(r);
    reply_end(&conn, announced);
    return true;
}

static void wire_thread_end(void)
{
    if (wire_spare != NULL)
        params_free(&wire_spare->params);
    free(wire_spare);
    wire_spare = NULL;
}

/* An accept loop that does not look at the result must not spin once the worker is told to stop. */
static void wire_stopped(void)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    board_state(OT_STATE_EXITING);
    if (wire_refusals++ == 0)
        return;
    if (request_open_elsewhere() == 0)
        request_exit(OT_EXIT_UNSAID);
    (void)nanosleep(&pause, NULL);
}

/* ---- libfcgi's API ---- */

WIRE_EXPORT int FCGX_Accept_r(FCGX_Request *r)
{
    for (;;) {
        struct wire *open = wire_find(wire_has_fcgx, r);
        if (open != NULL)
            request_end(&open->request);
        request_let_pass();
        process_start(wire_thread_end);
        struct wire *wire = wire_alloc();
        if (wire == NULL)
            return -ENOMEM;
        wire_coming = wire;
        int result = wire_real.accept_r(r);
        wire_coming = NULL;
        struct conn *conn = result < 0 ? NULL : conn_find(r->ipcFd);
        if (conn != NULL)
            r->envp = wire->params.vector;
        if (conn == NULL || wire_answered(r, conn) || wire_dead_on_arrival(r, conn)) {
            wire_free(wire);
            if (conn == NULL)
                return result;
            continue;
        }
        wire_begin(wire, r, conn);
        return 0;
    }
}

WIRE_EXPORT void FCGX_Finish_r(FCGX_Request *r)
{
    struct wire *wire = r == NULL ? NULL : wire_find(wire_has_fcgx, r);
    if (wire == NULL) {
        wire_real.finish_r(r);
        return;
    }
    process_start(wire_thread_end); /* this thread may be one that serves and never accepts */
    request_end(&wire->request);
}

WIRE_EXPORT void FCGX_Free(FCGX_Request *r, int close)
{
    struct wire *wire = r == NULL ? NULL : wire_find(wire_has_fcgx, r);
    if (wire == NULL) {
        wire_real.free_request(r, close);
        return;
    }
    wire->request.abandoned = true;
    request_end(&wire->request);
}

/* A long string would be copied into libfcgi's buffer, and leave it, in pieces of 8 KiB. */
WIRE_EXPORT int FCGX_PutStr(const char *text, int size, FCGX_Stream *stream)
{
    struct wire *wire = size >= WIRE_LONG ? wire_find(wire_has_stream, stream) : NULL;
    if (wire == NULL || stream != wire->out.stream || stream->isClosed || wire->closing ||
        stream->emptyBuffProc != wire_empty)
        return wire_real.put_str(text, size, stream);
    return wire_put_long(wire, text, (size_t)size);
}

/* A long piece of the body would come through libfcgi's buffer, in pieces of 8 KiB. */
WIRE_EXPORT int FCGX_GetStr(char *into, int size, FCGX_Stream *stream)
{
    struct wire *wire = size >= WIRE_LONG ? wire_find(wire_has_stream, stream) : NULL;
    if (wire == NULL || stream != wire->in || stream->fillBuffProc != wire_fill)
        return wire_real.get_str(into, size, stream);
    return wire_get_long(wire, into, (size_t)size);
}

/* ---- libfcgi's OS layer ---- */

/* Waits for a request whose parameters can be read. */
static enum wait_result wire_wait(int listen_sock, const char *addresses, bool tell_interrupts,
                                  struct conn **conn)
{
    for (;;) {
        enum wait_result result = wait_next(listen_sock, addresses, tell_interrupts, conn);
        if (result != WAIT_REQUEST || wire_coming == NULL || wire_take_params(wire_coming, *conn))
            return result;
        wire_refuse_params(*conn);
    }
}

WIRE_EXPORT int OS_Accept(int listen_sock, int fail_on_intr, const char *addresses)
{
    struct conn *conn = NULL;
    switch (wire_wait(listen_sock, addresses, fail_on_intr != 0, &conn)) {
    case WAIT_REQUEST:
        board_state(OT_STATE_READING);
        return conn->fd;
    case WAIT_DRAINED:
        wire_stopped();
        errno = ESHUTDOWN;
        return -1;
    case WAIT_INTERRUPTED:
        errno = EINTR;
        return -1;
    case WAIT_FAILED:
    default:
        if (errno == ENOTSOCK)
            return wire_real.os_accept(listen_sock, fail_on_intr, addresses);
        return -1;
    }
}

/* After ot_finish_request the request has no descriptor, but what was read stays readable. */
static int wire_read_rest(char *into, size_t size)
{
    struct request *request = request_current();
    size_t count = 0;
    if (request != NULL && request->conn != NULL && request->conn->fd < 0)
        conn_read_rest(request->conn, into, size, &count);
    return (int)count;
}

WIRE_EXPORT int OS_Read(int fd, char *into, size_t size)
{
    struct conn *conn = conn_find(fd);
    if (conn == NULL)
        return fd < 0 ? wire_read_rest(into, size) : wire_real.os_read(fd, into, size);
    size_t count = 0;
    struct request *request = conn->owner;
    enum conn_result result =
        conn_read(conn, into, size, request != NULL ? request_deadline(request) : 0, &count);
    int error = wire_was_read(request, result);
    if (error == 0)
        return (int)count;
    errno = error;
    return -1;
}

WIRE_EXPORT int OS_Write(int fd, char *from, size_t size)
{
    struct conn *conn = conn_find(fd);
    if (conn == NULL)
        return fd < 0 ? (int)size : wire_real.os_write(fd, from, size);
    struct request *request = conn->owner;
    /* Before it is sent: the emergency answer must not come behind output. */
    conn->sent_any = conn->sent_any || (size > 1 && from[1] == FRAME_TYPE_STDOUT);
    enum conn_result result =
        conn_write(conn, from, size, request != NULL ? request_deadline(request) : 0);
    if (wire_written(request, result))
        return (int)size;
    errno = result == CONN_LATE ? ETIMEDOUT : EPIPE;
    return -1;
}

/* Only libfcgi closes a connection here, when it cannot read a request header that we found whole:
 * without memory, or where its own OS_Accept was asked by others. */
WIRE_EXPORT int OS_IpcClose(int fd, int shutdown)
{
    struct conn *conn = conn_find(fd);
    if (fd < 0)
        return 0;
    if (conn == NULL)
        return wire_real.os_ipc_close(fd, shutdown);
    if (conn_is_parents(conn)) {
        conn_forget(&conn);
        return 0;
    }
    wire_refuse_params(conn);
    return 0;
}

WIRE_EXPORT int OS_IsFcgi(int sock)
{
    return wait_has(sock) ? 1 : wire_real.os_is_fcgi(sock);
}

WIRE_EXPORT void OS_ShutdownPending(void)
{
    drain_begin(OT_EXIT_UNSAID);
    wire_real.os_shutdown_pending();
}

/* ---- for run.c ---- */

/* The thread's own, so that nothing of it is left behind when a handler calls pthread_exit. */
static _Thread_local FCGX_Request wire_own;

struct FCGX_Request *wire_thread_request(void)
{
    if (wire_find(wire_has_fcgx, &wire_own) != NULL) {
        errno = EBUSY;
        return NULL;
    }
    if (FCGX_Init() != 0 || FCGX_InitRequest(&wire_own, STDIN_FILENO, 0) != 0) {
        errno = ENOMEM;
        return NULL;
    }
    return &wire_own;
}

int wire_accept(struct FCGX_Request *request)
{
    int result = FCGX_Accept_r(request);
    if (result == 0)
        return 0;
    errno = result < 0 && result > -4096 ? -result : EIO;
    return -1;
}

void wire_finish(struct FCGX_Request *request)
{
    struct wire *wire = wire_find(wire_has_fcgx, request);
    if (wire != NULL)
        request_end(&wire->request);
}
