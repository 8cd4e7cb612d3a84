/* answer.c: see answer.h. */
#include "sapi-shim/answer.h"
#include "sapi-shim/queue.h"
#include "sapi-shim/status.h"
#include "sapi-shim/status_json.h"
#include "sapi-shim/status_metrics.h"
#include "sapi-shim/status_page.h"
#include "sapi-shim/status_text.h"
#include "sapi-shim/status_xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nobody else's script, style or picture is let in; the page asks its own address alone. */
#define ANSWER_POLICY                                                                              \
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "                     \
    "script-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'self'\r\n"

static struct {
    struct status_source sources[ANSWER_BOARDS];
    size_t count;
    int listen_fd;
    bool alone;
    char status_path[OT_PATH_MAX];
    char ping_path[OT_PATH_MAX];
    char ping_response[OT_PATH_MAX];
} answer_set;

static const void *_Atomic answer_ready; /* not NULL: there is something to answer */

void answer_from(const struct answer_board *boards, size_t count, int listen_fd, bool alone)
{
    answer_set.listen_fd = listen_fd;
    answer_set.alone = alone;
    for (size_t i = 0; i < count && answer_set.count < ANSWER_BOARDS; i++)
        answer_set.count +=
            status_open(boards[i].board, boards[i].size, &answer_set.sources[answer_set.count]);
    if (answer_set.count == 0)
        return;
    const struct ot_board *board = answer_set.sources[0].board;
    memcpy(answer_set.status_path, board->status_path, sizeof answer_set.status_path - 1);
    memcpy(answer_set.ping_path, board->ping_path, sizeof answer_set.ping_path - 1);
    memcpy(answer_set.ping_response, board->ping_response, sizeof answer_set.ping_response - 1);
    if (alone || *answer_set.status_path != '\0' || *answer_set.ping_path != '\0')
        answer_ready = &answer_set;
}

bool answer_on(void)
{
    return answer_ready != NULL;
}

void answer_after_fork(void)
{
    answer_ready = NULL;
}

/* ---- what is asked for ---- */

struct answer_question {
    const char *path;
    size_t length;
    const char *query;
    bool head; /* the body is not wanted */
};

static const char *answer_param(char *const *params, const char *name)
{
    size_t length = strlen(name);
    for (; params != NULL && *params != NULL; params++)
        if (strncmp(*params, name, length) == 0 && (*params)[length] == '=')
            return *params + length + 1;
    return "";
}

static struct answer_question answer_read(char *const *params)
{
    const char *uri = answer_param(params, "REQUEST_URI");
    struct answer_question question = {
        .path = answer_param(params, "SCRIPT_NAME"),
        .query = answer_param(params, "QUERY_STRING"),
        .head = strcmp(answer_param(params, "REQUEST_METHOD"), "HEAD") == 0,
    };
    question.length = strlen(question.path);
    if (question.length == 0) {
        question.path = uri;
        question.length = strcspn(uri, "?");
        if (*question.query == '\0' && uri[question.length] == '?')
            question.query = uri + question.length + 1;
    }
    return question;
}

static bool answer_is(const struct answer_question *question, const char *path)
{
    return *path != '\0' && strlen(path) == question->length &&
           memcmp(path, question->path, question->length) == 0;
}

/* One of the words between ampersands; what stands behind an equals sign does not count. */
static bool answer_asks(const char *query, const char *word)
{
    size_t length = strlen(word);
    while (*query != '\0') {
        size_t whole = strcspn(query, "&");
        size_t name = strcspn(query, "&=");
        if (name == length && memcmp(query, word, length) == 0)
            return true;
        query += whole + (query[whole] == '&');
    }
    return false;
}

/* ---- answers ---- */

static void answer_page(FILE *out, const struct status_report *report)
{
    (void)report;
    (void)fwrite(status_page, 1, status_page_size, out);
}

struct answer_format {
    const char *word; /* in the query; NULL: without one */
    const char *type;
    const char *more; /* further lines of the head */
    void (*write)(FILE *out, const struct status_report *report);
    bool numbers; /* shows what is now */
};

static const struct answer_format answer_formats[] = {
    {"json", "application/json", "", status_json, true},
    {"xml", "text/xml; charset=utf-8", "", status_xml, true},
    {"html", "text/html; charset=utf-8", ANSWER_POLICY, answer_page, false},
    {"openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8", "",
     status_metrics, true},
    {NULL, "text/plain; charset=utf-8", "", status_text, true},
};

static const struct answer_format *answer_format(const char *query)
{
    const struct answer_format *format = answer_formats;
    while (format->word != NULL && !answer_asks(query, format->word))
        format++;
    return format;
}

static void answer_head(FILE *out, const char *status, const char *type, const char *more)
{
    fprintf(out,
            "Status: %s\r\nContent-Type: %s\r\nX-Content-Type-Options: nosniff\r\n%s"
            "Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
            "Cache-Control: no-cache, no-store, must-revalidate, max-age=0\r\n\r\n",
            status, type, more);
}

/* How many wait now: by the socket, else by its number, else as the manager saw it last. */
static bool answer_queue(struct status_queue *queue)
{
    struct queue asked = QUEUE_NONE;
    struct queue_state state = {0};
    struct ot_facts facts;
    bool told;
    if (answer_set.listen_fd >= 0)
        told = queue_look(&asked, answer_set.listen_fd, &state) == 0;
    else
        told = status_facts(&answer_set.sources[0], &facts) && facts.listen_inode != 0 &&
               queue_look_by_number(&asked, (uint32_t)facts.listen_inode, &state) == 0;
    queue_close(&asked);
    *queue = (struct status_queue){.waiting = state.waiting, .backlog = state.backlog};
    return told;
}

static void answer_numbers(FILE *out, const struct answer_format *format, bool full)
{
    struct status_pool pool;
    struct status_queue queue;
    struct status_report report = {.pool = &pool};
    bool told = answer_queue(&queue);
    status_pool(&answer_set.sources[0], NULL, told ? &queue : NULL, &pool);
    if (full)
        (void)status_collect(answer_set.sources, answer_set.count, &report);
    format->write(out, &report);
    free(report.workers);
}

static void answer_status(FILE *out, const struct answer_question *question)
{
    const struct answer_format *format = answer_format(question->query);
    answer_head(out, "200 OK", format->type, format->more);
    if (question->head)
        return;
    if (format->numbers)
        answer_numbers(out, format, answer_asks(question->query, "full"));
    else
        format->write(out, NULL);
}

static void answer_write(FILE *out, const struct answer_question *question, bool status, bool ping)
{
    static const char type[] = "text/plain; charset=utf-8";
    if (status) {
        answer_status(out, question);
    } else {
        answer_head(out, ping ? "200 OK" : "404 Not Found", type, "");
        if (!question->head)
            fputs(ping ? answer_set.ping_response : "Not found.\n", out);
    }
}

bool answer_compose(char *const *params, char **response, size_t *size)
{
    struct answer_question question = answer_read(params);
    bool status = answer_is(&question, answer_set.status_path);
    bool ping = answer_is(&question, answer_set.ping_path);
    if (!status && !ping && !answer_set.alone)
        return false;
    *response = NULL;
    FILE *out = open_memstream(response, size);
    if (out == NULL)
        return false;
    answer_write(out, &question, status, ping);
    if (fclose(out) == 0)
        return true;
    free(*response);
    return false;
}
