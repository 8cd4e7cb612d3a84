/* newsletter.c: the demo application. Answers "accepted" at once, then sends the newsletter.
 *
 *   GET  /                a page with a form
 *   POST /send            n=COUNT; answers with a job's id, then writes COUNT messages
 *   GET  /progress?job=ID how many messages are written
 *
 * A message is a file in SPOOL/ID/, where a mail server would pick it up. Run by `make demo`.
 *
 * usage: newsletter SPOOL
 */
#include "sapi-shim/overtime.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    COUNT_MAX = 100000,
    BODY_MAX = 64,
    ID_MAX = 40
};

struct job {
    char id[ID_MAX];
    int directory; /* descriptor of SPOOL/ID */
    int progress;  /* descriptor of SPOOL/ID/progress, which holds "SENT TOTAL" */
    unsigned total;
};

static void answer(FCGX_Request *request, const char *status, const char *type, const char *body)
{
    FCGX_FPrintF(request->out,
                 "Status: %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\n\r\n%s", status,
                 type, body);
}

static int refuse(FCGX_Request *request, const char *status, const char *reason)
{
    answer(request, status, "text/plain; charset=utf-8", reason);
    return 0;
}

static const char *param(FCGX_Request *request, const char *name)
{
    const char *value = FCGX_GetParam(name, request->envp);
    return value == NULL ? "" : value;
}

/* The job */

static int job_note(const struct job *job, unsigned sent)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%6u %6u\n", sent, job->total);
    return pwrite(job->progress, text, (size_t)length, 0) == length ? 0 : -1;
}

/* A shutdown function: called at the request's end, however it ends. */
static void job_close(void *argument)
{
    struct job *job = argument;
    close(job->progress);
    close(job->directory);
    free(job);
}

static struct job *job_open(const char *spool, unsigned total)
{
    static atomic_uint number;
    char path[4096];
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->total = total;
    (void)snprintf(job->id, sizeof job->id, "%llx-%x-%x", (unsigned long long)time(NULL),
                   (unsigned)getpid(), atomic_fetch_add(&number, 1));
    int length = snprintf(path, sizeof path, "%s/%s", spool, job->id);
    job->directory = -1;
    if (length > 0 && length < (int)sizeof path && mkdir(path, 0755) == 0)
        job->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    job->progress = openat(job->directory, "progress", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (job->progress >= 0 && job_note(job, 0) == 0 &&
        ot_register_shutdown_function(job_close, job))
        return job;
    job_close(job);
    return NULL;
}

/* Writes one message under a temporary name, so that the folder has only complete messages. */
static int job_send(const struct job *job, unsigned number)
{
    char name[32];
    char text[256];
    const struct timespec delivery = {.tv_nsec = 5000000};
    (void)snprintf(name, sizeof name, "%06u.eml", number);
    int length = snprintf(text, sizeof text,
                          "To: subscriber%u@example.org\nSubject: News\n\nDear subscriber %u ...\n",
                          number, number);
    int fd = openat(job->directory, "next", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, text, (size_t)length);
    if (close(fd) != 0 || written != length)
        return -1;
    nanosleep(&delivery, NULL); /* the mail server's share of the work */
    return renameat(job->directory, "next", job->directory, name);
}

/* The handlers of the paths */

static int send_newsletter(FCGX_Request *request, const char *spool)
{
    char body[BODY_MAX + 1] = "";
    char *end = NULL;
    if (strtoul(param(request, "CONTENT_LENGTH"), NULL, 10) > BODY_MAX)
        return refuse(request, "413 Content Too Large", "The form holds one number.\n");
    if (FCGX_GetStr(body, BODY_MAX, request->in) < 3 || strncmp(body, "n=", 2) != 0)
        return refuse(request, "400 Bad Request", "Send n=COUNT.\n");
    unsigned long total = strtoul(body + 2, &end, 10);
    if (body[2] < '0' || body[2] > '9' || *end != '\0' || total < 1 || total > COUNT_MAX)
        return refuse(request, "400 Bad Request", "The number of addresses is 1 to 100000.\n");
    struct job *job = job_open(spool, (unsigned)total);
    if (job == NULL)
        return refuse(request, "500 Internal Server Error",
                      "Cannot write into the spool folder.\n");

    FCGX_FPrintF(request->out,
                 "Status: 202 Accepted\r\nContent-Type: application/json\r\n\r\n"
                 "{\"status\": \"accepted\", \"job\": \"%s\", \"total\": %u}\n",
                 job->id, job->total);
    ot_finish_request(); /* the visitor has the response; post-response work begins */
    ot_ignore_user_abort(1);
    ot_set_time_limit(3600); /* at most an hour; without this no limit */
    for (unsigned sent = 1; sent <= job->total; sent++) {
        char label[64];
        (void)snprintf(label, sizeof label, "mail %u of %u", sent, job->total);
        ot_set_label(label);
        if (job_send(job, sent) != 0 || job_note(job, sent) != 0) {
            fprintf(stderr, "job %s stopped at %s: %s\n", job->id, label, strerror(errno));
            break;
        }
    }
    return 0;
}

static int show_progress(FCGX_Request *request, const char *spool)
{
    const char *id = param(request, "QUERY_STRING");
    char path[4096];
    char text[128];
    unsigned sent = 0;
    unsigned total = 0;
    id = strncmp(id, "job=", 4) == 0 ? id + 4 : "";
    if (id[0] == '\0' || strlen(id) >= ID_MAX || strspn(id, "0123456789abcdef-") != strlen(id))
        return refuse(request, "400 Bad Request", "Ask for /progress?job=ID.\n");
    int length = snprintf(path, sizeof path, "%s/%s/progress", spool, id);
    FILE *file = length < (int)sizeof path ? fopen(path, "re") : NULL;
    if (file == NULL)
        return refuse(request, "404 Not Found", "No such job.\n");
    int found = fscanf(file, "%6u %6u", &sent, &total);
    (void)fclose(file);
    if (found != 2)
        return refuse(request, "500 Internal Server Error", "The job's progress is unreadable.\n");
    (void)snprintf(text, sizeof text, "{\"sent\": %u, \"total\": %u, \"done\": %s}\n", sent, total,
                   sent == total ? "true" : "false");
    answer(request, "200 OK", "application/json", text);
    return 0;
}

static int show_page(FCGX_Request *request, const char *spool);

static int handle(FCGX_Request *request, void *spool)
{
    static const struct {
        const char *method;
        const char *path;
        int (*act)(FCGX_Request *request, const char *spool);
    } routes[] = {
        {"GET", "/", show_page},
        {"POST", "/send", send_newsletter},
        {"GET", "/progress", show_progress},
    };
    const char *uri = param(request, "REQUEST_URI");
    size_t length = strcspn(uri, "?");

    for (size_t at = 0; at < sizeof routes / sizeof routes[0]; at++) {
        if (strlen(routes[at].path) != length || strncmp(uri, routes[at].path, length) != 0)
            continue;
        if (strcmp(param(request, "REQUEST_METHOD"), routes[at].method) == 0)
            return routes[at].act(request, spool);
        return refuse(request, "405 Method Not Allowed", "This method is not allowed here.\n");
    }
    return refuse(request, "404 Not Found", "Nothing here.\n");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: newsletter SPOOL\n");
        return 64;
    }
    return ot_run(handle, argv[1]) == 0 ? 0 : 70;
}

/* The page, one line per array element. */
/* clang-format off */
static const char *const page[] = {
    "<!doctype html>",
    "<html lang='en'>",
    "<meta charset='utf-8'>",
    "<meta name='viewport' content='width=device-width, initial-scale=1'>",
    "<meta name='color-scheme' content='light dark'>",
    "<link rel='icon' href='data:,'>",
    "<title>Newsletter</title>",
    "<style>",
    "  :root { --ground: #f6f5f2; --card: #fff; --ink: #1d1d1b; --soft: #6b6862; --line: #e2dfd8;",
    "          --accent: #0b6e5f; --on-accent: #fff; --wrong: #b3261e; }",
    "  @media (prefers-color-scheme: dark) {",
    "    :root { --ground: #151614; --card: #1f211e; --ink: #ecebe6; --soft: #9c9a93; --line: #33352f;",
    "            --accent: #4cc3ae; --on-accent: #06251f; --wrong: #ff8a80; } }",
    "  * { box-sizing: border-box; }",
    "  body { margin: 0; padding: clamp(1rem, 6vw, 4rem) 1rem; background: var(--ground);",
    "         color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }",
    "  main { max-width: 36rem; margin: auto; }",
    "  h1 { margin: 0 0 .25rem; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.02em; }",
    "  p { margin: 0; color: var(--soft); }",
    "  form, li { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }",
    "  form { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin: 1.5rem 0;",
    "         padding: 1rem 1.25rem; }",
    "  label { display: flex; flex: 4 1 14rem; gap: .75rem; align-items: center; }",
    "  input, button { font: inherit; padding: .5rem .75rem; border-radius: .5rem; }",
    "  input { flex: 1; min-width: 5rem; border: 1px solid var(--line); background: var(--ground);",
    "          color: inherit; font-variant-numeric: tabular-nums; }",
    "  button { flex: 1 0 auto; border: 0; padding-inline: 1.25rem; background: var(--accent);",
    "           color: var(--on-accent); font-weight: 600; cursor: pointer; }",
    "  :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }",
    "  ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .75rem; }",
    "  li { padding: 1rem 1.25rem; }",
    "  li div { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; }",
    "  small { color: var(--soft); font-size: .875rem; font-variant-numeric: tabular-nums; }",
    "  progress { appearance: none; display: block; width: 100%; height: .5rem; margin: .6rem 0 .5rem;",
    "             border: 0; border-radius: 1rem; overflow: hidden; background: var(--line); }",
    "  ::-webkit-progress-bar { background: var(--line); }",
    "  ::-webkit-progress-value { background: var(--accent); transition: width .2s linear; }",
    "  ::-moz-progress-bar { background: var(--accent); }",
    "  .wrong { color: var(--wrong); }",
    "</style>",
    "<main>",
    "  <h1>Send a newsletter</h1>",
    "  <p>The answer comes at once. The worker goes on sending after it.</p>",
    "  <form action='/send' method='post'>",
    "    <label>Addresses <input name='n' type='number' min='1' max='100000' value='300' required></label>",
    "    <button>Send</button>",
    "  </form>",
    "  <ul aria-live='polite'></ul>",
    "</main>",
    "<script>",
    "  const form = document.querySelector('form'), list = document.querySelector('ul');",
    "  const pause = ms => new Promise(done => setTimeout(done, ms));",
    "  const seconds = from => ((performance.now() - from) / 1000).toFixed(1) + ' s';",
    "  async function json(url, options) {",
    "    const response = await fetch(url, options);",
    "    if (!response.ok) throw new Error(await response.text());",
    "    return response.json();",
    "  }",
    "  async function send(event) {",
    "    event.preventDefault();",
    "    const item = document.createElement('li');",
    "    item.innerHTML = '<div><strong>Sending \\u2026</strong><small></small></div>'",
    "      + '<progress value=0></progress><div><small></small><small></small></div>';",
    "    const [answered, sent, time] = item.querySelectorAll('small');",
    "    const [head, bar] = item.querySelectorAll('strong, progress');",
    "    list.prepend(item);",
    "    const start = performance.now();",
    "    try {",
    "      const job = await json('/send', { method: 'POST', body: new URLSearchParams(new FormData(form)) });",
    "      answered.textContent = 'answered in ' + Math.round(performance.now() - start) + ' ms';",
    "      head.textContent = 'Accepted, sending';",
    "      bar.max = job.total;",
    "      for (let now = {}; !now.done; await pause(150)) {",
    "        now = await json('/progress?job=' + job.job);",
    "        bar.value = now.sent;",
    "        sent.textContent = now.sent + ' of ' + now.total + ' sent';",
    "        time.textContent = seconds(start);",
    "      }",
    "      head.textContent = 'Sent';",
    "    } catch (error) {",
    "      head.textContent = error.message;",
    "      head.className = 'wrong';",
    "      bar.remove();",
    "    }",
    "  }",
    "  form.addEventListener('submit', send);",
    "</script>",
};
/* clang-format on */

static int show_page(FCGX_Request *request, const char *spool)
{
    (void)spool;
    answer(request, "200 OK", "text/html; charset=utf-8", "");
    for (size_t line = 0; line < sizeof page / sizeof page[0]; line++)
        FCGX_FPrintF(request->out, "%s\n", page[line]);
    return 0;
}
