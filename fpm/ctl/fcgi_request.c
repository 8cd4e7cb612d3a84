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
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    FCGI_REQUEST_SECONDS = 60, /* until an answer and the request's end, if nothing else is said */
    FCGI_REQUEST_BODY_MAX = 256 << 20
};

const char fcgi_request_more[] =
    "Connects to the pool as a web server does. The answer goes to standard output, headers "
    "first;\n"
    "then standard error says the status, the time until the answer was complete, the time until\n"
    "the worker was done (behind its work after the response and its shutdown functions), and "
    "which\n"
    "worker it was. Without the library in the worker the last two are unknown.\n"
    "PATH may have a query string. With a body the method is POST; any parameter can be replaced:\n"
    "    overtimectl request www '/a?b=c' -p REQUEST_METHOD=PUT -p HTTP_HOST=example.org -d -\n"
    "Exit status 0 when a complete answer came, whatever its status.\n";

struct fcgi_request {
    const struct options *call;
    const char *pool, *path;
    char *body;
    size_t body_size;
    int64_t limit;    /* ns, 0 = none */
    int64_t began;    /* CLOCK_MONOTONIC, ns */
    int64_t answered; /* 0 = not (yet) */
    struct pool_client target;
    struct pool_client_trail trail;
    struct fcgi_client_answer codec;
    struct response answer;
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

/* ---- what was asked for ---- */

static int fcgi_request_read_input(struct fcgi_request *request)
{
    size_t room = 0;
    ssize_t got = 1;
    while (got > 0) {
        if (request->body_size == room) {
            room = room == 0 ? 65536 : room * 2;
            char *grown = room > FCGI_REQUEST_BODY_MAX ? NULL : realloc(request->body, room);
            if (grown == NULL)
                return fcgi_request_fail(request, OPTIONS_FAILED,
                                         "the body on standard input is larger than %d MiB",
                                         FCGI_REQUEST_BODY_MAX >> 21);
            request->body = grown;
        }
        got = read(STDIN_FILENO, request->body + request->body_size, room - request->body_size);
        request->body_size += got > 0 ? (size_t)got : 0;
        if (got < 0 && errno == EINTR)
            got = 1;
    }
    return got == 0 ? 0
                    : fcgi_request_fail(request, OPTIONS_FAILED, "cannot read standard input: %s",
                                        strerror(errno));
}

static int fcgi_request_take_body(struct fcgi_request *request)
{
    const char *data = options_value(request->call, 'd');
    if (data == NULL)
        return 0;
    if (strcmp(data, "-") == 0)
        return fcgi_request_read_input(request);
    request->body = strdup(data);
    request->body_size = strlen(data);
    return request->body != NULL ? 0 : fcgi_request_fail(request, OPTIONS_FAILED, "out of memory");
}

static int fcgi_request_take_limit(struct fcgi_request *request)
{
    const char *text = options_value(request->call, 't');
    char *end;
    double seconds = FCGI_REQUEST_SECONDS;
    if (text != NULL) {
        seconds = strtod(text, &end);
        if (end == text || *end != '\0' || !isfinite(seconds) || seconds < 0 || seconds > 1e6)
            return fcgi_request_fail(request, EX_USAGE,
                                     "--timeout is a number of seconds, not \"%.32s\"", text);
    }
    request->limit = (int64_t)(seconds * 1e9);
    return 0;
}

static int fcgi_request_check(struct fcgi_request *request)
{
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
        if (strncmp(given->value, "OVERTIME_MARK=", 14) == 0)
            return fcgi_request_fail(request, EX_USAGE, "OVERTIME_MARK is set by the manager");
    }
    int status = fcgi_request_take_limit(request);
    return status != 0 ? status : fcgi_request_take_body(request);
}

/* ---- the request ---- */

/* The value that was given for a parameter, the last one; NULL = none. */
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

struct fcgi_request_param {
    const char *name, *value;
};

/* What is sent unless it is given, and then what is given. */
static void fcgi_request_params(const struct fcgi_request *request,
                                const struct fcgi_request_param *usual, size_t count,
                                struct fcgi_client_bytes *out)
{
    const struct options *call = request->call;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(usual[i].name);
        const char *given = fcgi_request_given(request, usual[i].name, length);
        fcgi_client_param(out, usual[i].name, length, given != NULL ? given : usual[i].value);
    }
    for (size_t i = 0; i < call->given_count; i++) {
        const char *text = call->given[i].value;
        if (call->given[i].letter != 'p')
            continue;
        size_t length = strcspn(text, "="), known = 0;
        while (known < count && (strlen(usual[known].name) != length ||
                                 strncmp(usual[known].name, text, length) != 0))
            known++;
        if (known == count && fcgi_request_given(request, text, length) == text + length + 1)
            fcgi_client_param(out, text, length, text + length + 1);
    }
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
        snprintf(length, sizeof length, "%zu", request->body_size);
    const struct fcgi_request_param usual[] = {
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
    fcgi_request_params(request, usual, sizeof usual / sizeof *usual, &params);
    out = fcgi_client_request(&params, request->body, request->body_size);
    free(params.bytes);
    free(script);
    return out;
}

/* Milliseconds left for poll(), -1 = no limit. */
static int fcgi_request_left(const struct fcgi_request *request)
{
    if (request->limit == 0)
        return -1;
    int64_t left = (request->began + request->limit - (int64_t)clock_ns()) / CLOCK_NS_PER_MS;
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* Sends what the socket takes. Who answers early need not read to the end. */
static void fcgi_request_send(int fd, struct fcgi_client_bytes *out, size_t *sent)
{
    ssize_t count = send(fd, out->bytes + *sent, out->size - *sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0)
        *sent += (size_t)count;
    else if (errno != EAGAIN && errno != EINTR)
        *sent = out->size;
}

/* Returns 0 to go on, or an exit status. */
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
    if (request->answer.total == 0)
        return fcgi_request_fail(
            request, OPTIONS_FAILED,
            "no answer: the connection %s%s; the manager's log may say why%s",
            got == 0 ? "" : "failed: ", how,
            request->target.is_tcp ? ", and `listen.allowed_clients` whether we may ask" : "");
    return fcgi_request_fail(request, OPTIONS_FAILED,
                             "the answer broke off: the connection %s%s behind %" PRIu64 " bytes",
                             got == 0 ? "" : "failed: ", how, request->answer.total);
}

/* Both ways at once, until the end of the request came. */
static int fcgi_request_exchange(struct fcgi_request *request, int fd,
                                 struct fcgi_client_bytes *out)
{
    size_t sent = 0;
    int status = 0;
    while (status == 0 && !request->codec.complete) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        if (sent < out->size)
            poller.events |= POLLOUT;
        int ready = poll(&poller, 1, fcgi_request_left(request));
        if (ready == 0)
            return fcgi_request_fail(
                request, OPTIONS_FAILED,
                "no complete answer within %.9g s (--timeout); `overtimectl workers %s` shows what "
                "the workers do",
                (double)request->limit / 1e9, request->pool);
        if (ready > 0 && (poller.revents & POLLOUT))
            fcgi_request_send(fd, out, &sent);
        if (ready > 0 && (poller.revents & ~POLLOUT))
            status = fcgi_request_receive(request, fd);
    }
    return status;
}

/* Is what came an answer, and whole? */
static int fcgi_request_judge(struct fcgi_request *request)
{
    const struct response *answer = &request->answer;
    const char *method = fcgi_request_given(request, "REQUEST_METHOD", 14);
    bool headless = method != NULL && strcmp(method, "HEAD") == 0;
    if (request->codec.protocol_status != 0)
        return fcgi_request_fail(request, OPTIONS_FAILED, "the application refused: %s",
                                 fcgi_client_refusal(request->codec.protocol_status));
    if (answer->too_long)
        return fcgi_request_fail(request, OPTIONS_FAILED,
                                 "the answer is longer than %d MiB; without --json it is passed on",
                                 RESPONSE_KEPT_MAX >> 20);
    if (answer->head != 0 && answer->promised >= 0 && !headless &&
        (uint64_t)answer->promised > response_body(answer))
        return fcgi_request_fail(request, OPTIONS_FAILED,
                                 "the answer is too short: %" PRIu64
                                 " bytes, but its Content-Length says %" PRId64,
                                 response_body(answer), answer->promised);
    return 0;
}

static int fcgi_request_talk(struct fcgi_request *request)
{
    static const struct fcgi_client_events events = {response_output, response_error};
    struct fcgi_client_bytes out = fcgi_request_compose(request);
    int fd = -1, status = 0;
    request->codec = (struct fcgi_client_answer){.events = &events, .context = &request->answer};
    if (out.failed)
        status = fcgi_request_fail(request, OPTIONS_FAILED, "out of memory");
    request->began = (int64_t)clock_ns();
    if (status == 0) {
        fd = pool_client_connect(&request->target, request->limit, request->error,
                                 sizeof request->error);
        status = fd < 0 ? OPTIONS_FAILED : fcgi_request_exchange(request, fd, &out);
    }
    if (status == 0)
        request->answered = (int64_t)clock_ns();
    if (status == 0)
        status = fcgi_request_judge(request);
    if (fd >= 0)
        (void)close(fd);
    free(out.bytes);
    return status;
}

/* ---- what there is to tell ---- */

static double fcgi_request_ms(const struct fcgi_request *request, int64_t at)
{
    return (double)(at - request->began) / 1e6;
}

static void fcgi_request_tell(const struct fcgi_request *request)
{
    const struct pool_client_trail *trail = &request->trail;
    (void)fflush(stdout);
    fprintf(stderr, "status: ");
    if (request->answer.status != 0)
        fprintf(stderr, "%u\n", request->answer.status);
    else
        fprintf(stderr, "unknown: the answer has no head\n");
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

static void fcgi_request_tell_json(const struct fcgi_request *request)
{
    const struct pool_client_trail *trail = &request->trail;
    fputs("{\"pool\": ", stdout);
    escape_json(stdout, request->pool);
    if (request->answer.status != 0)
        printf(", \"status\": %u", request->answer.status);
    else
        fputs(", \"status\": null", stdout);
    printf(", \"exit_status\": %" PRIu32 ", \"answer_ms\": %.3f", request->codec.app_status,
           fcgi_request_ms(request, request->answered));
    if (trail->ended_at != 0)
        printf(", \"done_ms\": %.3f", fcgi_request_ms(request, trail->ended_at));
    else
        fputs(", \"done_ms\": null", stdout);
    printf(", \"done\": \"%s\", \"remark\": ", pool_client_outcome(trail));
    escape_json(stdout, trail->remark);
    if (trail->pid > 0)
        printf(", \"worker\": %d, ", (int)trail->pid);
    else
        fputs(", \"worker\": null, ", stdout);
    response_json(&request->answer, stdout);
    fputs("}\n", stdout);
}

/* An answer that did not come may have a reason that the manager knows. */
static void fcgi_request_tell_death(struct fcgi_request *request)
{
    size_t used = strlen(request->error);
    pool_client_follow(&request->target, 1, &request->trail);
    if (request->trail.outcome == POOL_CLIENT_DIED)
        snprintf(request->error + used, sizeof request->error - used,
                 "; worker %d ended in the midst of it: see the manager's log",
                 (int)request->trail.pid);
}

static int fcgi_request_do(struct fcgi_request *request)
{
    const char *socket = options_value(request->call, 's');
    int status = fcgi_request_check(request);
    if (status != 0)
        return status;
    status = pool_client_find(&request->target, socket != NULL ? socket : CONTROL_DEFAULT,
                              request->pool, request->error, sizeof request->error);
    if (status != 0)
        return status;
    status = fcgi_request_talk(request);
    if (status != 0) {
        (void)fflush(stdout);
        fcgi_request_tell_death(request);
        return status;
    }
    (void)fflush(stdout);
    pool_client_follow(&request->target, request->limit == 0 ? 0 : request->began + request->limit,
                       &request->trail);
    /* It is stamped there and the answer here, where its end may be noticed later. */
    if (request->trail.ended_at != 0 && request->trail.ended_at < request->answered)
        request->trail.ended_at = request->answered;
    if (options_has(request->call, 'j'))
        fcgi_request_tell_json(request);
    else
        fcgi_request_tell(request);
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
        .answer.keep = options_has(call, 'j'),
    };
    int status = fcgi_request_do(&request);
    if (status != EX_OK)
        fprintf(stderr, "overtimectl: %s\n", request.error);
    response_free(&request.answer);
    free(request.body);
    return status;
}
