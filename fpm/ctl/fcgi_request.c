/* fcgi_request.c: see fcgi_request.h. */
#include "fpm/ctl/fcgi_request.h"

#include "fpm/control/control_proto.h"
#include "fpm/ctl/client.h"
#include "fpm/ctl/fcgi_client.h"
#include "fpm/ctl/pool_client.h"
#include "fpm/ctl/response.h"
#include "fpm/util/error.h"
#include "fpm/util/version.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    FCGI_REQUEST_SECONDS = 60, /* until the answer and the end of the request, by default */
    FCGI_REQUEST_BODY_MAX = 256 << 20
};

const char fcgi_request_more[] =
    "Connects to the pool as a web server does. The answer goes to standard output, headers "
    "first;\n"
    "then standard error says the status, the time until the answer was complete, the time until\n"
    "the worker was done (after its post-response work and its shutdown functions), and which\n"
    "worker it was. Without the library in the worker the last two are unknown.\n"
    "PATH may have a query string. With a body the method is POST; any parameter can be replaced:\n"
    "    overtimectl request www '/a?b=c' -p REQUEST_METHOD=PUT -p HTTP_HOST=example.org -d -\n"
    "Exit status 0 when a complete answer came, whatever its status.\n";

struct fcgi_request {
    const struct options *call;
    const char *pool, *path;
    struct fcgi_client_bytes body;
    uint64_t limit;    /* ns, 0 = none */
    uint64_t began;    /* CLOCK_MONOTONIC, ns */
    uint64_t answered; /* 0 = not yet */
    struct pool_client target;
    struct pool_client_trail trail;
    struct fcgi_client_answer codec;
    struct response response;
    char error[ERROR_SIZE + POOL_CLIENT_REMARK];
};

__attribute__((format(printf, 3, 4))) static int
fcgi_request_fail(struct fcgi_request *request, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(request->error, sizeof request->error, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- the command line ---- */

/* Takes the body from the option or from standard input. */
static int fcgi_request_take_body(struct fcgi_request *request)
{
    const char *data = options_value(request->call, 'd');
    struct fcgi_client_bytes *body = &request->body;
    if (data != NULL && strcmp(data, "-") != 0)
        fcgi_client_add(body, data, strlen(data));
    while (data != NULL && strcmp(data, "-") == 0 && !body->failed) {
        char part[65536];
        ssize_t got = read(STDIN_FILENO, part, sizeof part);
        if (got == 0)
            break;
        if (got > 0)
            fcgi_client_add(body, part, (size_t)got);
        else if (errno != EINTR)
            return fcgi_request_fail(request, OPTIONS_FAILED, "cannot read standard input: %s",
                                     strerror(errno));
        if (body->size > FCGI_REQUEST_BODY_MAX)
            return fcgi_request_fail(request, OPTIONS_FAILED,
                                     "the body on standard input is larger than %d MiB",
                                     FCGI_REQUEST_BODY_MAX >> 20);
    }
    return !body->failed ? 0 : fcgi_request_fail(request, OPTIONS_FAILED, "out of memory");
}

static int fcgi_request_check(struct fcgi_request *request)
{
    const char *timeout = options_value(request->call, 't');
    double seconds = FCGI_REQUEST_SECONDS;
    if (*request->path != '/')
        return fcgi_request_fail(request, EX_USAGE, "PATH begins with a slash, not \"%.32s\"",
                                 request->path);
    for (size_t i = 0; i < request->call->given_count; i++) {
        const struct options_given *given = &request->call->given[i];
        if (given->letter != 'p')
            continue;
        const char *equal = strchr(given->value, '=');
        if (equal == NULL || equal == given->value)
            return fcgi_request_fail(request, EX_USAGE, "--param is NAME=VALUE, not \"%.64s\"",
                                     given->value);
        if (strncmp(given->value, CONTROL_MARK "=", strlen(CONTROL_MARK "=")) == 0)
            return fcgi_request_fail(request, EX_USAGE, CONTROL_MARK " is set by the manager");
    }
    if (timeout != NULL) {
        char *end;
        seconds = strtod(timeout, &end);
        if (end == timeout || *end != '\0' || !isfinite(seconds) || seconds < 0 || seconds > 1e6)
            return fcgi_request_fail(request, EX_USAGE,
                                     "--timeout is a number of seconds, not \"%.32s\"", timeout);
    }
    request->limit = (uint64_t)(seconds * 1e9);
    return fcgi_request_take_body(request);
}

/* ---- the request ---- */

/* The last value that was given for a parameter; NULL = none. */
static const char *fcgi_request_given(const struct fcgi_request *request, const char *name,
                                      size_t length)
{
    const char *value = NULL;
    for (size_t i = 0; i < request->call->given_count; i++) {
        const struct options_given *given = &request->call->given[i];
        if (given->letter == 'p' && strncmp(given->value, name, length) == 0 &&
            given->value[length] == '=')
            value = given->value + length + 1;
    }
    return value;
}

static struct fcgi_client_bytes fcgi_request_compose(const struct fcgi_request *request)
{
    bool posts = options_has(request->call, 'd');
    struct fcgi_client_bytes params = {0}, out = {.failed = true};
    char length[24] = "", *script = strndup(request->path, strcspn(request->path, "?"));
    const char *query = strchr(request->path, '?');
    if (script == NULL)
        return out;
    if (posts)
        snprintf(length, sizeof length, "%zu", request->body.size);
    const struct {
        const char *name, *value;
    } usual[] = {
        {"QUERY_STRING", query != NULL ? query + 1 : ""},
        {"REQUEST_METHOD", posts ? "POST" : "GET"},
        {"CONTENT_TYPE", posts ? "application/x-www-form-urlencoded" : ""},
        {"CONTENT_LENGTH", length},
        {"SCRIPT_NAME", script},
        {"SCRIPT_FILENAME", script},
        {"DOCUMENT_URI", script},
        {"DOCUMENT_ROOT", "/"},
        {"REQUEST_URI", request->path},
        {"REQUEST_SCHEME", "http"},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"GATEWAY_INTERFACE", "CGI/1.1"},
        {"SERVER_SOFTWARE", "overtimectl/" OVERTIME_VERSION},
        {"REMOTE_ADDR", "127.0.0.1"},
        {"REMOTE_PORT", "0"},
        {"SERVER_ADDR", "127.0.0.1"},
        {"SERVER_PORT", "80"},
        {"SERVER_NAME", "localhost"},
        {"REDIRECT_STATUS", "200"},
        {"HTTP_HOST", "localhost"},
        {CONTROL_MARK, request->target.mark},
    };
    const size_t count = sizeof usual / sizeof *usual;

    /* The usual parameters, with given values where there are any, then the other given ones. */
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(usual[i].name);
        const char *given = fcgi_request_given(request, usual[i].name, size);
        fcgi_client_param(&params, usual[i].name, size, given != NULL ? given : usual[i].value);
    }
    for (size_t i = 0; i < request->call->given_count; i++) {
        const char *text = request->call->given[i].value;
        if (request->call->given[i].letter != 'p')
            continue;
        size_t size = strcspn(text, "="), known = 0;
        while (known < count &&
               (strlen(usual[known].name) != size || strncmp(usual[known].name, text, size) != 0))
            known++;
        if (known == count && fcgi_request_given(request, text, size) == text + size + 1)
            fcgi_client_param(&params, text, size, text + size + 1);
    }
    out = fcgi_client_request(&params, request->body.bytes, request->body.size);
    free(params.bytes);
    free(script);
    return out;
}

/* Returns 0 to continue, or an exit status. */
static int fcgi_request_receive(struct fcgi_request *request, int fd)
{
    char data[65536];
    ssize_t got = recv(fd, data, sizeof data, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got > 0) {
        fcgi_client_feed(&request->codec, data, (size_t)got);
        if (request->codec.fault != NULL)
            return fcgi_request_fail(request, OPTIONS_FAILED, "%s", request->codec.fault);
        return 0;
    }
    const char *how = got == 0 ? "was closed" : strerror(errno);
    if (request->response.total == 0)
        return fcgi_request_fail(
            request, OPTIONS_FAILED,
            "no answer: the connection %s%s; the manager's log may say why%s",
            got == 0 ? "" : "failed: ", how,
            request->target.is_tcp
                ? ", and `listen.allowed_clients` whether this machine may connect"
                : "");
    return fcgi_request_fail(request, OPTIONS_FAILED,
                             "the answer broke off: the connection %s%s after %" PRIu64 " bytes",
                             got == 0 ? "" : "failed: ", how, request->response.total);
}

/* Sends and receives at the same time, until the end of the request has come. */
static int fcgi_request_exchange(struct fcgi_request *request, int fd,
                                 struct fcgi_client_bytes *out)
{
    uint64_t deadline = request->limit == 0 ? 0 : request->began + request->limit;
    size_t sent = 0;
    int status = 0;
    while (status == 0 && !request->codec.complete) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        if (sent < out->size)
            poller.events |= POLLOUT;
        int ready = poll(&poller, 1, clock_timeout_ms(deadline, clock_ns()));
        if (ready == 0)
            return fcgi_request_fail(
                request, OPTIONS_FAILED,
                "no complete answer within %.9g s (--timeout); `overtimectl workers %s` shows what "
                "the workers do",
                (double)request->limit / 1e9, request->pool);
        if (ready > 0 && (poller.revents & POLLOUT)) {
            /* An application that answers early need not read to the end. */
            ssize_t count =
                send(fd, out->bytes + sent, out->size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (count >= 0)
                sent += (size_t)count;
            else if (errno != EAGAIN && errno != EINTR)
                sent = out->size;
        }
        if (ready > 0 && (poller.revents & ~POLLOUT))
            status = fcgi_request_receive(request, fd);
    }
    return status;
}

/* Sends the request and reads the whole response. */
static int fcgi_request_talk(struct fcgi_request *request)
{
    static const struct fcgi_client_events events = {response_output, response_error};
    const struct response *response = &request->response;
    struct fcgi_client_bytes out = fcgi_request_compose(request);
    int fd = -1, status = 0;
    request->codec = (struct fcgi_client_answer){.events = &events, .context = &request->response};
    if (out.failed)
        status = fcgi_request_fail(request, OPTIONS_FAILED, "out of memory");
    request->began = (int64_t)clock_ns();
    if (status == 0) {
        fd = pool_client_connect(&request->target, request->limit, request->error,
                                 sizeof request->error);
        status = fd < 0 ? OPTIONS_FAILED : fcgi_request_exchange(request, fd, &out);
    }
    if (fd >= 0)
        (void)close(fd);
    free(out.bytes);
    if (status != 0)
        return status;
    request->answered = (int64_t)clock_ns();
    const char *method = fcgi_request_given(request, "REQUEST_METHOD", 14);
    bool headless = method != NULL && strcmp(method, "HEAD") == 0;
    if (request->codec.protocol_status != 0)
        return fcgi_request_fail(request, OPTIONS_FAILED, "the application refused: %s",
                                 fcgi_client_refusal(request->codec.protocol_status));
    if (response->too_long)
        return fcgi_request_fail(
            request, OPTIONS_FAILED,
            "the answer is longer than %d MiB; without --json it is passed on as it comes",
            RESPONSE_KEPT_MAX >> 20);
    if (response->head != 0 && response->promised >= 0 && !headless &&
        (uint64_t)response->promised > response->total - response->head)
        return fcgi_request_fail(request, OPTIONS_FAILED,
                                 "the answer is too short: %" PRIu64
                                 " bytes, but its Content-Length says %" PRId64,
                                 response->total - response->head, response->promised);
    return 0;
}

/* ---- the report ---- */

static double fcgi_request_ms(const struct fcgi_request *request, uint64_t at)
{
    return at < request->began ? 0 : round((double)(at - request->began) / 1e3) / 1e3;
}

static void fcgi_request_report(const struct fcgi_request *request)
{
    const struct pool_client_trail *trail = &request->trail;
    if (request->response.status != 0)
        fprintf(stderr, "status: %u\n", request->response.status);
    else
        fprintf(stderr, "status: unknown: the answer has no head\n");
    if (request->codec.app_status != 0)
        fprintf(stderr, "exit status: %" PRIu32 "\n", request->codec.app_status);
    fprintf(stderr, "answer: %.3f ms\n", fcgi_request_ms(request, request->answered));
    if (trail->ended_at != 0)
        fprintf(stderr, "done: %.3f ms%s%s\n", fcgi_request_ms(request, trail->ended_at),
                *trail->remark != '\0' ? "; " : "", trail->remark);
    else
        fprintf(stderr, "done: unknown: %s\n", trail->remark);
    if (trail->pid > 0)
        fprintf(stderr, "worker: %d\n", (int)trail->pid);
    else
        fprintf(stderr, "worker: unknown\n");
}

static void fcgi_request_report_json(const struct fcgi_request *request)
{
    const struct pool_client_trail *trail = &request->trail;
    json_t *status = request->response.status != 0 ? json_integer(request->response.status) : NULL;
    json_t *worker = trail->pid > 0 ? json_integer(trail->pid) : NULL, *done = NULL;
    if (trail->ended_at != 0)
        done = json_real(fcgi_request_ms(request, trail->ended_at));
    json_t *out = json_pack(
        "{s:s, s:o, s:I, s:f, s:o, s:s, s:s, s:o}", "pool", request->pool, "status",
        status != NULL ? status : json_null(), "exit_status", (json_int_t)request->codec.app_status,
        "answer_ms", fcgi_request_ms(request, request->answered), "done_ms",
        done != NULL ? done : json_null(), "done", pool_client_outcome(trail), "remark",
        trail->remark, "worker", worker != NULL ? worker : json_null());
    response_json(&request->response, out);
    client_print(out);
}

static int fcgi_request_do(struct fcgi_request *request)
{
    struct pool_client_trail *trail = &request->trail;
    int status = fcgi_request_check(request);
    if (status == 0)
        status = pool_client_find(&request->target, options_socket(request->call), request->pool,
                                  request->error, sizeof request->error);
    if (status != 0)
        return status;
    response_open(&request->response, options_has(request->call, 'R'));
    status = fcgi_request_talk(request);
    response_end(&request->response);
    (void)fflush(stdout);
    if (status != 0) {
        /* The manager may know why no answer came. */
        size_t used = strlen(request->error);
        pool_client_follow(&request->target, 1, trail);
        if (trail->outcome == POOL_CLIENT_DIED)
            snprintf(request->error + used, sizeof request->error - used,
                     "; worker %d ended before it had answered: see the manager's log",
                     (int)trail->pid);
        return status;
    }
    pool_client_follow(&request->target, request->limit == 0 ? 0 : request->began + request->limit,
                       trail);
    /* The worker stamps the end and we the answer, which we may notice later than that. */
    if (trail->ended_at != 0 && trail->ended_at < request->answered)
        trail->ended_at = request->answered;
    if (options_has(request->call, 'j'))
        fcgi_request_report_json(request);
    else
        fcgi_request_report(request);
    if (fflush(stdout) != 0 || ferror(stdout))
        return fcgi_request_fail(request, OPTIONS_FAILED, "cannot write: %s", strerror(errno));
    return EX_OK;
}

int fcgi_request_run(const struct options *call)
{
    struct fcgi_request request = {
        .call = call,
        .pool = call->argv[0],
        .path = call->argv[1],
        .response.keep = options_has(call, 'j'),
    };
    int status = fcgi_request_do(&request);
    if (status != EX_OK)
        fprintf(stderr, "overtimectl: %s\n", request.error);
    response_free(&request.response);
    free(request.body.bytes);
    return status;
}
