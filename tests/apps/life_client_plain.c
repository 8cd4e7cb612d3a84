/* life_client_plain.c: many clients that send random requests to tests/apps/life.c and
 * behave as clients do: wait for the response, leave early, abort, leave bodies unread, keep
 * connections.
 *
 * Each request is on its own connection or on a kept one, never before the previous response is
 * complete. Every response is checked byte for byte: that it belongs to the request, one
 * END_REQUEST of zeroes, nothing after it. At the end it prints one line with numbers that the
 * manager's counts must equal.
 *
 * usage: life_client_plain unix:PATH|tcp:PORT REQUESTS PROCESSES SEED
 * Exit 0 if every response was right, 1 with a line for each wrong one, 70 if it could not run.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROCESSES_MAX = 64,
    WRONG_MAX = 20,      /* lines about errors, per process */
    ANSWER_LIMIT = 60000 /* ms for an answer */
};

/* What one process has done; added up by the parent. */
struct tally {
    uint64_t sent;      /* requests that were sent completely: each must reach the application */
    uint64_t answered;  /* complete responses */
    uint64_t left;      /* connections closed before the answer was complete */
    uint64_t aborts;    /* FCGI_ABORT_REQUEST sent */
    uint64_t functions; /* shutdown functions that these requests register */
    uint64_t retried;   /* sent again because the kept connection was closed just then */
    uint64_t time_outs; /* requests that work longer than their limit */
    uint64_t wrong;     /* wrong responses */
};

struct client {
    struct tally *tally;
    const char *address;
    unsigned number;
    uint64_t random;
    int fd;
    unsigned char in[65536];
    size_t in_count;
};

struct plan {
    char query[512];
    char token[48]; /* the answer's text */
    size_t body;
    bool keep;
    bool leaves; /* closes at once, or after the first bytes */
    bool aborts; /* sends FCGI_ABORT_REQUEST after the request */
    bool late;   /* its time limit ends it */
    bool exact;  /* nothing ends it early: its finish and its functions are certain */
    bool finishes;
    unsigned functions;
};

/* xorshift64: the same seed, the same requests. */
static uint64_t draw(struct client *client, uint64_t below)
{
    client->random ^= client->random << 13;
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    return client->random % below;
}

static bool one_in(struct client *client, uint64_t times)
{
    return draw(client, times) == 0;
}

__attribute__((format(printf, 3, 4))) static void
wrong(struct client *client, const struct plan *plan, const char *format, ...)
{
    char text[256];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (client->tally->wrong++ < WRONG_MAX)
        fprintf(stderr, "wrong: %s: %s\n", plan->query, text);
}

/* ---- the connection ---- */

static int dial(const char *address)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in net;
    } to = {0};
    socklen_t size = sizeof to.net;
    bool local = strncmp(address, "unix:", 5) == 0;

    if (local) {
        to.local.sun_family = AF_UNIX;
        (void)snprintf(to.local.sun_path, sizeof to.local.sun_path, "%s", address + 5);
        size = sizeof to.local;
    } else {
        to.net.sin_family = AF_INET;
        to.net.sin_port = htons((uint16_t)strtoul(address + 4, NULL, 10));
        to.net.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &to.any, size) != 0) {
        fprintf(stderr, "cannot connect to %s: %s\n", address, strerror(errno));
        exit(70);
    }
    return fd;
}

static void hang_up(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->in_count = 0;
}

/* All of it, or false when the other side has closed. */
static bool send_all(const struct client *client, const unsigned char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t n = send(client->fd, bytes, count, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        count -= (size_t)n;
    }
    return true;
}

/* True if more came; false at the end of the stream or of the time limit. */
static bool receive(struct client *client)
{
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};

    if (client->in_count == sizeof client->in || poll(&wait, 1, ANSWER_LIMIT) <= 0)
        return false;
    ssize_t n =
        recv(client->fd, client->in + client->in_count, sizeof client->in - client->in_count, 0);
    if (n <= 0)
        return false;
    client->in_count += (size_t)n;
    return true;
}

/* ---- the request ---- */

static size_t put_header(unsigned char *out, unsigned char type, size_t content)
{
    const unsigned char header[8] = {
        1, type, 0, 1, (unsigned char)(content >> 8), (unsigned char)(content & 0xff), 0, 0};
    memcpy(out, header, sizeof header);
    return sizeof header;
}

/* Names and values here are shorter than 128 bytes, except the query. */
static size_t put_pair(unsigned char *out, const char *name, const char *value)
{
    size_t at = 0;
    size_t length = strlen(value);

    out[at++] = (unsigned char)strlen(name);
    if (length > 127) {
        out[at++] = 0x80;
        out[at++] = 0;
        out[at++] = (unsigned char)(length >> 8);
    }
    out[at++] = (unsigned char)(length & 0xff);
    memcpy(out + at, name, strlen(name));
    at += strlen(name);
    memcpy(out + at, value, length);
    return at + length;
}

static size_t put_request(unsigned char *out, const struct plan *plan)
{
    char length[32];
    unsigned char params[1024];
    size_t count = 0;

    (void)snprintf(length, sizeof length, "%zu", plan->body);
    count += put_pair(params + count, "REQUEST_METHOD", plan->body > 0 ? "POST" : "GET");
    count += put_pair(params + count, "QUERY_STRING", plan->query);
    count += put_pair(params + count, "REQUEST_URI", plan->token);
    count += put_pair(params + count, "CONTENT_LENGTH", length);
    size_t at = put_header(out, 1, 8);
    const unsigned char begin[8] = {0, 1, plan->keep, 0, 0, 0, 0, 0};
    memcpy(out + at, begin, sizeof begin);
    at += sizeof begin;
    at += put_header(out + at, 4, count);
    memcpy(out + at, params, count);
    at += count;
    at += put_header(out + at, 4, 0);
    if (plan->body > 0) {
        at += put_header(out + at, 5, plan->body);
        /* Looks like the records of a response, if it is misread. */
        for (size_t i = 0; i < plan->body; i++)
            out[at + i] = (unsigned char)("\1\3\0\1\0\10\0\0"[i % 8]);
        at += plan->body;
    }
    return at + put_header(out + at, 5, 0);
}

__attribute__((format(printf, 2, 3))) static void add(struct plan *plan, const char *format, ...)
{
    size_t used = strlen(plan->query);
    va_list list;

    va_start(list, format);
    (void)vsnprintf(plan->query + used, sizeof plan->query - used, format, list);
    va_end(list);
}

static void plan_functions(struct client *client, struct plan *plan)
{
    plan->functions = (unsigned)draw(client, 4);
    for (unsigned i = 0; i < plan->functions; i++)
        add(plan, "&later=:f");
    if (plan->functions > 0 && one_in(client, 8)) {
        add(plan, "&later=finish:f");
        plan->functions++;
    }
    if (one_in(client, 16)) {
        add(plan, "&later=late:f"); /* registers one more when it runs */
        plan->functions += 2;
    }
}

static void plan_request(struct client *client, struct plan *plan)
{
    *plan = (struct plan){.keep = true};
    (void)snprintf(plan->token, sizeof plan->token, "/%u.%llu", client->number,
                   (unsigned long long)client->tally->sent);
    plan->leaves = one_in(client, 8);
    plan->keep = !plan->leaves && one_in(client, 2);
    plan->aborts = !plan->leaves && one_in(client, 16);
    plan->late = !plan->leaves && !plan->aborts && one_in(client, 200);
    plan->exact = !plan->leaves && !plan->aborts && !plan->late;
    plan->body = one_in(client, 4) ? 1 + draw(client, 20000) : 0;
    /* A client that has left would end the request at the first function that is registered. */
    bool ignores = one_in(client, 2);
    add(plan, "id=%s&ignore=%d", plan->token, plan->leaves || ignores);
    if (!plan->late)
        add(plan, "&limit=60");
    if (!plan->aborts) /* it may come before the request begins, which then never does */
        plan_functions(client, plan);
    if (plan->leaves && !ignores)
        add(plan, "&ignore=0");
    if (plan->body > 0 && one_in(client, 2))
        add(plan, "&read=all");
    add(plan, "&text=%s", plan->token);
    if (plan->aborts || one_in(client, 4))
        add(plan, "&flush");
    if (plan->late)
        add(plan, "&spin=100000");
    else if (!plan->exact || one_in(client, 10))
        add(plan, "&spin=%u", (unsigned)draw(client, plan->exact ? 3 : 10));
    plan->finishes = one_in(client, 4);
    if (plan->finishes)
        add(plan, "&finish&text=late&flush");
}

/* ---- the answer ---- */

enum outcome {
    ANSWER_OVER,   /* the connection cannot be used again */
    ANSWER_KEPT,   /* it can carry another request */
    ANSWER_NOTHING /* it ended before the first byte */
};

static void check_answer(struct client *client, const struct plan *plan, char *text, bool zero)
{
    const char *body = strstr(text, "\r\n\r\n");

    if (!zero)
        wrong(client, plan, "END_REQUEST is not all zeroes");
    if (plan->exact && (body == NULL || strcmp(body + 4, plan->token) != 0))
        wrong(client, plan, "the answer is \"%s\"", text);
    if (client->in_count > 0)
        wrong(client, plan, "%zu bytes after END_REQUEST", client->in_count);
    client->tally->answered++;
}

/* Takes the records of one answer. */
static enum outcome read_answer(struct client *client, const struct plan *plan)
{
    char text[256] = "";
    size_t used = 0;
    bool any = false;

    for (;;) {
        size_t content = (size_t)(client->in[4] << 8 | client->in[5]);
        size_t size = 8 + content + client->in[6];
        if (client->in_count < 8 || client->in_count < size) {
            if (receive(client))
                continue;
            if (!any && client->in_count == 0)
                return ANSWER_NOTHING;
            wrong(client, plan, "the connection ended within the answer, after %zu bytes", used);
            return ANSWER_OVER;
        }
        unsigned char type = client->in[1];
        if (type == 6 && content > 0 && used + content < sizeof text) {
            memcpy(text + used, client->in + 8, content);
            used += content;
        }
        bool zero = content == 8 && memcmp(client->in + 8, "\0\0\0\0\0\0\0\0", 8) == 0;
        client->in_count -= size;
        memmove(client->in, client->in + size, client->in_count);
        any = true;
        if (type != 3)
            continue;
        check_answer(client, plan, text, zero);
        return plan->keep && client->in_count == 0 ? ANSWER_KEPT : ANSWER_OVER;
    }
}

/* The response is complete: further bytes on this connection are an error. */
static void check_silence(struct client *client, const struct plan *plan)
{
    if (!plan->keep && receive(client))
        wrong(client, plan, "%zu bytes after END_REQUEST", client->in_count);
}

/* A kept connection may have been closed in the meantime. */
static void connect_if_needed(struct client *client, const struct plan *plan)
{
    char byte = 0;

    if (client->fd >= 0 &&
        (plan->leaves || recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0))
        hang_up(client);
    if (client->fd < 0)
        client->fd = dial(client->address);
}

static bool send_request(struct client *client, const struct plan *plan)
{
    static const unsigned char abort_record[8] = {1, 2, 0, 1};
    unsigned char bytes[32768];
    size_t count = put_request(bytes, plan);

    if (!send_all(client, bytes, count))
        return false;
    /* At once, or when the application is at work; too late where the request is over by then. */
    if (plan->aborts && one_in(client, 2))
        (void)receive(client);
    if (plan->aborts)
        (void)send_all(client, abort_record, sizeof abort_record);
    return true;
}

static void tell(struct client *client, const struct plan *plan)
{
    struct tally *tally = client->tally;

    tally->sent++;
    tally->left += plan->leaves;
    tally->aborts += plan->aborts;
    tally->time_outs += plan->late;
    tally->functions += plan->functions;
}

static void live(struct client *client)
{
    struct plan plan;
    enum outcome outcome = ANSWER_NOTHING;

    plan_request(client, &plan);
    /* As web servers do: a request without an answer on a kept connection is sent again on a new
     * one. */
    while (outcome == ANSWER_NOTHING) {
        bool kept = client->fd >= 0;
        connect_if_needed(client, &plan);
        bool out = send_request(client, &plan);
        if (plan.leaves)
            break;
        outcome = out || !kept ? read_answer(client, &plan) : ANSWER_NOTHING;
        if (outcome == ANSWER_NOTHING && !kept) {
            wrong(client, &plan, "no answer on a new connection");
            return;
        }
        client->tally->retried += outcome == ANSWER_NOTHING;
        if (outcome == ANSWER_NOTHING)
            hang_up(client);
    }
    tell(client, &plan);
    if (plan.leaves && one_in(client, 2))
        (void)receive(client);
    if (outcome == ANSWER_OVER)
        check_silence(client, &plan);
    if (outcome != ANSWER_KEPT)
        hang_up(client);
}

static int run(struct client *client, uint64_t requests)
{
    for (uint64_t i = 0; i < requests; i++)
        live(client);
    hang_up(client);
    return client->tally->wrong == 0 ? 0 : 1;
}

static void print(const struct tally *tallies, unsigned count)
{
    struct tally sum = {0};

    for (unsigned i = 0; i < count; i++) {
        sum.sent += tallies[i].sent;
        sum.answered += tallies[i].answered;
        sum.left += tallies[i].left;
        sum.aborts += tallies[i].aborts;
        sum.functions += tallies[i].functions;
        sum.retried += tallies[i].retried;
        sum.time_outs += tallies[i].time_outs;
        sum.wrong += tallies[i].wrong;
    }
    printf("sent=%llu answered=%llu left=%llu aborts=%llu functions=%llu "
           "time_outs=%llu retried=%llu wrong=%llu\n",
           (unsigned long long)sum.sent, (unsigned long long)sum.answered,
           (unsigned long long)sum.left, (unsigned long long)sum.aborts,
           (unsigned long long)sum.functions, (unsigned long long)sum.time_outs,
           (unsigned long long)sum.retried, (unsigned long long)sum.wrong);
}

int main(int argc, char **argv)
{
    static struct client client;
    unsigned processes = argc == 5 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    int result = 0;

    if (processes < 1 || processes > PROCESSES_MAX) {
        fprintf(stderr, "usage: life_client_plain unix:PATH|tcp:PORT REQUESTS PROCESSES SEED\n");
        return 64;
    }
    uint64_t requests = strtoull(argv[2], NULL, 10) / processes;
    struct tally *tallies = mmap(NULL, sizeof *tallies * PROCESSES_MAX, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tallies == MAP_FAILED)
        return 70;
    for (unsigned number = 0; number < processes; number++) {
        pid_t child = fork();
        if (child < 0)
            return 70;
        if (child > 0)
            continue;
        client.tally = &tallies[number];
        client.address = argv[1];
        client.number = number;
        client.fd = -1;
        client.random = (strtoull(argv[4], NULL, 10) + number + 1) * 0x9e3779b97f4a7c15u;
        _exit(run(&client, requests));
    }
    for (unsigned number = 0; number < processes; number++) {
        int status = 0;
        if (wait(&status) < 0 || !WIFEXITED(status))
            result = 70;
        else if (WEXITSTATUS(status) > result)
            result = WEXITSTATUS(status);
    }
    print(tallies, processes);
    return result;
}
