/* top.c: see top.h. */
#include "fpm/ctl/top.h"

#include "fpm/control/control_proto.h"
#include "fpm/ctl/client.h"
#include "fpm/ctl/status_read.h"
#include "fpm/ctl/top_screen.h"
#include "fpm/ctl/top_view.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
    TOP_INTERVAL_MIN = 100,
    TOP_INTERVAL_MAX = 86400000,
    TOP_ERROR = 512
};

const char top_more[] =
    "Keys: q quit, p pause, s < > sort by another column, r reverse, / filter by pool, state,\n"
    "URI or label, arrows and page keys scroll, 1 to 9 seconds between looks, h help.\n"
    "Letters of the bar: # serving, + post-response, % the same above its budget, ~ shutdown\n"
    "functions, ^ starting, x exiting, ? unknown, . idle; blank is what pm.max_children and\n"
    "post_response.max_children leave.\n"
    "For programs, `overtimectl --json status` and `workers` have the same.\n";

struct top {
    const struct options *call;
    const char *socket;
    struct status_read now, before; /* the last two readings; *before is empty after the first */
    int64_t read_at, read_before;   /* ms, 0 = never */
    struct top_view view;
    char error[TOP_ERROR]; /* why there is no newer reading, "" = there is one */
    long interval;         /* ms */
    bool paused, editing, helping, done;
    size_t matching; /* workers that match the filter */
};

long top_interval(const struct options *call, long otherwise)
{
    const char *text = options_value(call, 'i');
    char *end = NULL;
    if (text == NULL)
        return otherwise;
    errno = 0;
    double number = strtod(text, &end);
    bool sane = end != text && errno == 0 && *text >= '0' && *text <= '9';
    if (sane && strcmp(end, "ms") != 0)
        number *= 1000;
    if (sane && (strcmp(end, "ms") == 0 || strcmp(end, "s") == 0 || *end == '\0') &&
        number >= TOP_INTERVAL_MIN && number <= TOP_INTERVAL_MAX)
        return (long)number;
    fprintf(stderr,
            "overtimectl: --interval \"%.32s\": a time from 100ms to 86400s, as 500ms or 2s\n",
            text);
    return -1;
}

/* ---- readings ---- */

static int top_fetch(struct top *top, const char *verb,
                     int (*read)(struct status_read *, const char *, char *, size_t),
                     struct status_read *data)
{
    struct client_words words = {
        .verb = verb,
        .switches = {CONTROL_JSON},
        .argc = top->call->argc,
        .argv = top->call->argv,
    };
    char *answer = NULL;
    int status = client_fetch(top->socket, &words, &answer, top->error, sizeof top->error);
    if (status == EX_OK && read(data, answer, top->error, sizeof top->error) != 0)
        status = OPTIONS_FAILED;
    free(answer);
    return status;
}

/* Reads the status, which replaces the last reading; returns an exit status. */
static int top_look(struct top *top)
{
    struct status_read data = {0};
    int status = top_fetch(top, CONTROL_STATUS, status_read_status, &data);
    if (status == EX_OK)
        status = top_fetch(top, CONTROL_WORKERS, status_read_workers, &data);
    if (status != EX_OK) {
        status_read_free(&data);
        return status;
    }
    top->error[0] = '\0';
    status_read_free(&top->before);
    top->before = top->now;
    top->read_before = top->read_at;
    top->now = data;
    top->read_at = clock_ms();
    return EX_OK;
}

/* ---- frames ---- */

static void top_print(void *context, enum top_style style, const char *text)
{
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    fprintf(context, "%.*s\n", (int)length, text);
}

/* Shows the last reading, with the time of day. Returns the number of workers that match. */
static size_t top_show(struct top *top, const struct status_read *before, top_put_fn *put,
                       void *context)
{
    char clock[16] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (localtime_r(&now, &parts) != NULL)
        (void)strftime(clock, sizeof clock, "%H:%M:%S", &parts);
    top->view.clock = clock;
    size_t matching = top_view_frame(&top->now, before, &top->view, put, context);
    top->view.clock = "";
    return matching;
}

#ifdef HAVE_NCURSESW

static void top_help(void)
{
    static const char *const lines[] = {
        "q        quit",
        "p        pause and go on",
        "s > <    sort by the next column, by the one before",
        "r        reverse the order",
        "/        show only workers whose pool, state, URI or label has this text",
        "arrows, page up and down, home, end    scroll the workers",
        "1 to 9   seconds between two looks",
        "h ?      this; any key goes back",
        "",
        "Letters of a pool's bar, one for each worker:",
        "  # serving          a response is open",
        "  + post-response    works on after the response",
        "  ~ shutdown         runs shutdown functions",
        "  ^ starting   x exiting   ? without the library   . idle",
        "  blank              may still be started: pm.max_children + post_response.max_children",
        "",
        "FOR is the time in the state, AGE the request's age, CPU the worker's processor time.",
        "50% IN, 99% IN: half, 99 of 100 of the answers since the last look came within this time.",
    };
    top_screen_put(NULL, TOP_TITLE, "overtimectl top: help");
    top_screen_put(NULL, TOP_PLAIN, "");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        top_screen_put(NULL, TOP_PLAIN, lines[i]);
}

static void top_draw(struct top *top)
{
    char note[TOP_ERROR + 128];
    struct top_view *view = &top->view;
    view->note = note;
    view->alert = *top->error != '\0';
    view->lines = top_screen_lines();
    view->seconds = (double)(top->read_at - top->read_before) / 1000;
    if (top->editing)
        snprintf(note, sizeof note, "filter: %s_   (Enter keeps it, Esc clears it)", view->filter);
    else if (view->alert)
        snprintf(note, sizeof note, "%s; trying again, this is what it was", top->error);
    else
        snprintf(note, sizeof note, "%severy %g s, by %s%s%s%s; h for help",
                 top->paused ? "PAUSED; " : "", (double)top->interval / 1000,
                 top_view_column(view->sort), view->reverse ? ", reversed" : "",
                 *view->filter != '\0' ? ", filter: " : "", view->filter);
    top_screen_begin();
    if (top->helping)
        top_help();
    else
        top->matching =
            top_show(top, top->read_before != 0 ? &top->before : NULL, top_screen_put, NULL);
    view->note = NULL;
    top_screen_end();
}

/* ---- keys ---- */

/* Moves the first worker that is shown. */
static void top_scroll(struct top *top, int key)
{
    long page = (long)top_screen_lines() / 2,
         last = top->matching > 0 ? (long)top->matching - 1 : 0;
    const struct {
        int key;
        long by;
    } keys[] = {{TOP_KEY_UP, -1},          {TOP_KEY_DOWN, 1},     {TOP_KEY_PAGE_UP, -page},
                {TOP_KEY_PAGE_DOWN, page}, {TOP_KEY_HOME, -last}, {TOP_KEY_END, last}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].key == key) {
            long first = (long)top->view.first + keys[i].by;
            top->view.first = first < 0 ? 0 : (size_t)(first > last ? last : first);
        }
}

static void top_press(struct top *top, int key)
{
    char *filter = top->view.filter;
    size_t length = strlen(filter);
    unsigned sort = (unsigned)top->view.sort;
    if (key == TOP_KEY_QUIT || (key == 'q' && !top->helping && !top->editing))
        top->done = true;
    else if (key == TOP_KEY_RESIZE)
        return;
    else if (top->helping)
        top->helping = false;
    else if (top->editing) {
        top->editing = key != TOP_KEY_ENTER && key != TOP_KEY_ESCAPE;
        if (key == TOP_KEY_ESCAPE)
            *filter = '\0';
        if (key == TOP_KEY_BACKSPACE && length > 0)
            filter[length - 1] = '\0';
        if (key >= ' ' && key < 127 && length + 1 < sizeof top->view.filter) {
            filter[length] = (char)key;
            filter[length + 1] = '\0';
        }
        top->view.first = 0;
    } else if (key == 'p' || key == ' ')
        top->paused = !top->paused;
    else if (key == 's' || key == '>' || key == TOP_KEY_RIGHT)
        top->view.sort = (enum top_column)((sort + 1) % TOP_COLUMNS);
    else if (key == '<' || key == TOP_KEY_LEFT)
        top->view.sort = (enum top_column)((sort + TOP_COLUMNS - 1) % TOP_COLUMNS);
    else if (key == 'r')
        top->view.reverse = !top->view.reverse;
    else if (key == '/')
        top->editing = true;
    else if (key == 'h' || key == '?')
        top->helping = true;
    else if (key >= '1' && key <= '9')
        top->interval = (long)(key - '0') * 1000;
    else
        top_scroll(top, key);
}

/* Runs until the user quits. Returns an exit status. */
static int top_live(struct top *top)
{
    int64_t due = clock_ms() + top->interval;
    if (top_screen_open(top->error, sizeof top->error) != 0)
        return OPTIONS_FAILED;
    while (!top->done) {
        top_draw(top);
        int64_t left = due - clock_ms();
        int key = top_screen_key(left > 0 ? (int)left : 0);
        if (key != TOP_KEY_NONE)
            top_press(top, key);
        if (clock_ms() + top->interval < due)
            due = clock_ms() + top->interval;
        if (top->done || clock_ms() < due)
            continue;
        if (!top->paused)
            (void)top_look(top);
        due = clock_ms() + top->interval;
    }
    top_screen_close();
    return EX_OK;
}

#else

static int top_live(struct top *top)
{
    snprintf(top->error, sizeof top->error,
             "this program was built without ncurses; `overtimectl top --once` prints one look");
    return OPTIONS_FAILED;
}

#endif

int top_run(const struct options *call)
{
    struct top top = {.call = call, .socket = options_socket(call)};
    top.view.sort = TOP_BY_AGE;
    top.interval = top_interval(call, 1000);
    if (top.interval < 0)
        return EX_USAGE;
    int status = top_look(&top);
    if (status == EX_OK && options_has(call, '1')) {
        (void)top_show(&top, NULL, top_print, stdout);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            snprintf(top.error, sizeof top.error, "cannot write: %s", strerror(errno));
            status = OPTIONS_FAILED;
        }
    } else if (status == EX_OK)
        status = top_live(&top);
    if (status != EX_OK)
        fprintf(stderr, "overtimectl: %s\n", top.error);
    status_read_free(&top.now);
    status_read_free(&top.before);
    return status;
}
