/* status_handler.c: see status_handler.h. */
#include "sapi-shim/status/status_handler.h"

#include "sapi-shim/protocol/params.h"
#include "sapi-shim/status/status_metrics.h"
#include "sapi-shim/status/status_page.h"
#include "sapi-shim/status/status_write.h"
#include "sapi-shim/util/listen_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

/* The page loads nothing from elsewhere and sends requests to its own address only. */
#define STATUS_HANDLER_POLICY                                                                      \
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "                     \
    "script-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'self'\r\n"

static struct {
    struct status_source sources[STATUS_HANDLER_BOARDS];
    size_t count;
    int listen_fd;
    bool alone;
    char status_path[OT_PATH_MAX];
    char ping_path[OT_PATH_MAX];
    char ping_response[OT_PATH_MAX];
} status_handler_set;

static const void *_Atomic status_handler_ready; /* not NULL: status or ping are configured */

void status_handler_open(const struct status_source *sources, size_t count, int listen_fd,
                         const struct status_handler_paths *alone)
{
    status_handler_set.listen_fd = listen_fd;
    status_handler_set.alone = alone != NULL;
    status_handler_set.count = MIN(count, STATUS_HANDLER_BOARDS);
    if (count == 0)
        return;
    memcpy(status_handler_set.sources, sources, status_handler_set.count * sizeof *sources);
    const struct ot_board *board = sources[0].board;
    const struct status_handler_paths shared = {board->status_path, board->ping_path,
                                                board->ping_response};
    const struct status_handler_paths *paths = alone != NULL ? alone : &shared;
    snprintf(status_handler_set.status_path, OT_PATH_MAX, "%.*s", OT_PATH_MAX - 1, paths->status);
    snprintf(status_handler_set.ping_path, OT_PATH_MAX, "%.*s", OT_PATH_MAX - 1, paths->ping);
    snprintf(status_handler_set.ping_response, OT_PATH_MAX, "%.*s", OT_PATH_MAX - 1,
             paths->response);
    if (alone != NULL || *status_handler_set.status_path != '\0' ||
        *status_handler_set.ping_path != '\0')
        status_handler_ready = &status_handler_set;
}

bool status_handler_active(void)
{
    return status_handler_ready != NULL;
}

void status_handler_after_fork(void)
{
    status_handler_ready = NULL;
}

/* ---- the request ---- */

/* The path is that of SCRIPT_NAME and PATH_INFO together, since front ends divide it as they like:
 * `/status/42` is not `/status`. */
struct status_handler_request {
    const char *path;
    size_t length;
    const char *info; /* the rest of the path */
    const char *query;
    bool head; /* no body */
};

static const char *status_handler_param(char *const *params, const char *name)
{
    const char *value = params_get(params, name, strlen(name));
    return value != NULL ? value : "";
}

static struct status_handler_request status_handler_read(char *const *params)
{
    const char *uri = status_handler_param(params, "REQUEST_URI");
    struct status_handler_request request = {
        .path = status_handler_param(params, "SCRIPT_NAME"),
        .info = status_handler_param(params, "PATH_INFO"),
        .query = status_handler_param(params, "QUERY_STRING"),
        .head = strcmp(status_handler_param(params, "REQUEST_METHOD"), "HEAD") == 0,
    };
    request.length = strlen(request.path);
    /* Some configurations give the whole path as both. */
    if (strcmp(request.path, request.info) == 0 && request.length == strcspn(uri, "?") &&
        strncmp(request.path, uri, request.length) == 0)
        request.info = "";
    if (request.length == 0 && *request.info == '\0') {
        request.path = uri;
        request.length = strcspn(uri, "?");
        if (*request.query == '\0' && uri[request.length] == '?')
            request.query = uri + request.length + 1;
    }
    return request;
}

static bool status_handler_is(const struct status_handler_request *request, const char *path)
{
    return *path != '\0' && strncmp(path, request->path, request->length) == 0 &&
           strcmp(path + request->length, request->info) == 0;
}

/* Does the query have this word between ampersands, with or without a value? */
static bool status_handler_has_word(const char *query, const char *word)
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

/* ---- responses ---- */

static void status_handler_page(FILE *out, const struct status_report *report)
{
    (void)fwrite(status_page, 1, status_page_size, out);
}

struct status_handler_format {
    const char *word; /* in the query; NULL = the default */
    const char *type;
    const char *more; /* more lines of the head */
    void (*write)(FILE *out, const struct status_report *report);
    bool numbers; /* needs the present status */
};

static const struct status_handler_format status_handler_formats[] = {
    {"json", "application/json", "", status_write_json, true},
    {"xml", "text/xml; charset=utf-8", "", status_write_xml, true},
    {"html", "text/html; charset=utf-8", STATUS_HANDLER_POLICY, status_handler_page, false},
    {"openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8", "",
     status_metrics, true},
    {NULL, "text/plain; charset=utf-8", "", status_write_text, true},
};

static void status_handler_head(FILE *out, const char *status, const char *type, const char *more)
{
    fprintf(out,
            "Status: %s\r\nContent-Type: %s\r\nX-Content-Type-Options: nosniff\r\n%s"
            "Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
            "Cache-Control: no-cache, no-store, must-revalidate, max-age=0\r\n\r\n",
            status, type, more);
}

/* Reads the listen queue by the socket, otherwise by its inode number. False if neither works: then
 * the status shows what the manager saw last. */
static bool status_handler_queue(struct status_queue *queue)
{
    struct listen_queue lookup = LISTEN_QUEUE_NONE;
    struct listen_queue_state state = {0};
    struct ot_pool_stats stats;
    bool known;
    if (status_handler_set.listen_fd >= 0)
        known = listen_queue_look(&lookup, status_handler_set.listen_fd, &state) == 0;
    else
        known = status_stats(&status_handler_set.sources[0], &stats) && stats.listen_inode != 0 &&
                listen_queue_look_by_number(&lookup, (uint32_t)stats.listen_inode, &state) == 0;
    listen_queue_close(&lookup);
    *queue = (struct status_queue){.waiting = state.waiting, .backlog = state.backlog};
    return known;
}

static void status_handler_status(FILE *out, const struct status_handler_request *request)
{
    const struct status_handler_format *format = status_handler_formats;
    while (format->word != NULL && !status_handler_has_word(request->query, format->word))
        format++;
    status_handler_head(out, "200 OK", format->type, format->more);
    if (request->head)
        return;
    if (!format->numbers) {
        format->write(out, NULL);
        return;
    }
    struct status_pool pool;
    struct status_queue queue;
    struct status_report report = {.pool = &pool};
    bool known = status_handler_queue(&queue);
    status_pool(&status_handler_set.sources[0], NULL, known ? &queue : NULL, &pool);
    if (status_handler_has_word(request->query, "full"))
        (void)status_collect(status_handler_set.sources, status_handler_set.count, &report);
    format->write(out, &report);
    free(report.workers);
}

bool status_handler_compose(char *const *params, char **response, size_t *size)
{
    struct status_handler_request request = status_handler_read(params);
    bool status = status_handler_is(&request, status_handler_set.status_path);
    bool ping = status_handler_is(&request, status_handler_set.ping_path);
    if (!status && !ping && !status_handler_set.alone)
        return false;
    *response = NULL;
    FILE *out = open_memstream(response, size);
    if (out == NULL)
        return false;
    if (status) {
        status_handler_status(out, &request);
    } else {
        status_handler_head(out, ping ? "200 OK" : "404 Not Found", "text/plain; charset=utf-8",
                            "");
        if (!request.head)
            fputs(ping ? status_handler_set.ping_response : "Not found.\n", out);
    }
    if (fclose(out) == 0)
        return true;
    free(*response);
    return false;
}
