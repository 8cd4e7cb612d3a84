/* steps.h: the small language in which tests control the test applications.
 *
 * A request's query string is a list of steps, `name=value` joined by '&', carried out in order:
 * "id=a&read=100&text=hello&finish&wait=go". What happens is appended to the file `journal` in the
 * directory that is the application's argument, one line per event: `PID ID EVENT DETAIL`. A step
 * `wait=FILE` holds the application until the test makes FILE there, so no test needs to sleep.
 *
 * These are the steps for any libfcgi program; an application adds its own in a table. Included
 * once by each test application, therefore everything is static.
 */
#ifndef STEPS_H
#define STEPS_H

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum {
    STEPS_WAIT_LIMIT = 120 /* seconds; then the application ends itself */
};

/* The request that the steps act on. */
struct visit {
    FCGX_Stream *in;
    FCGX_Stream *out;
    FCGX_ParamArray envp;
    FCGX_Request *request; /* NULL with FCGX_Accept */
    char id[64];
    bool headed; /* response headers are written */
};

struct step {
    const char *name;
    void (*act)(struct visit *visit, const char *value);
};

static const char *steps_directory;
static atomic_uint steps_requests;

static inline void path_in_directory(char *path, size_t size, const char *name)
{
    int length = snprintf(path, size, "%s/%s", steps_directory, name);
    if (length < 0 || (size_t)length >= size) {
        fprintf(stderr, "path too long: %s\n", name);
        _exit(70);
    }
}

/* One line in the journal, by one write, so that lines of several processes do not mix. */
__attribute__((format(printf, 2, 3))) static inline void journal(const char *id, const char *format,
                                                                 ...)
{
    char path[PATH_MAX];
    char text[2048];
    char line[2200];
    va_list list;

    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (length < 0)
        _exit(70);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\n')
            *at = ' ';
    length =
        snprintf(line, sizeof line, "%d %s %s\n", (int)getpid(), id[0] == '\0' ? "-" : id, text);
    path_in_directory(path, sizeof path, "journal");
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || length < 0 || write(fd, line, (size_t)length) != length) {
        fprintf(stderr, "cannot write %s: %s\n", path, strerror(errno));
        _exit(70);
    }
    close(fd);
}

static inline void wait_for_file(const char *name)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    char path[PATH_MAX];
    time_t end = time(NULL) + STEPS_WAIT_LIMIT;

    path_in_directory(path, sizeof path, name);
    while (access(path, F_OK) != 0) {
        if (time(NULL) > end) {
            fprintf(stderr, "nobody made %s\n", path);
            _exit(70);
        }
        nanosleep(&pause, NULL);
    }
}

static inline void head(struct visit *visit)
{
    if (visit->headed)
        return;
    visit->headed = true;
    FCGX_FPrintF(visit->out, "Content-Type: text/plain\r\nX-Worker: %d\r\n\r\n", (int)getpid());
}

/* The bytes that `write` sends; harness/journal.py has the same pattern. */
static inline int pattern_byte(size_t at)
{
    return (int)('!' + at % 94);
}

static inline void step_id(struct visit *visit, const char *value)
{
    (void)snprintf(visit->id, sizeof visit->id, "%s", value);
    journal(visit->id, "begin %s", FCGX_GetParam("REQUEST_METHOD", visit->envp));
}

/* read=N or read=all: takes N bytes of the body; notes how many came, their sum, the error. */
static inline void step_read(struct visit *visit, const char *value)
{
    size_t limit = strcmp(value, "all") == 0 ? SIZE_MAX : strtoul(value, NULL, 10);
    size_t count = 0;
    uint32_t sum = 0;
    char bytes[4096];

    while (count < limit) {
        size_t room = limit - count < sizeof bytes ? limit - count : sizeof bytes;
        int got = FCGX_GetStr(bytes, (int)room, visit->in);
        if (got <= 0)
            break;
        for (int at = 0; at < got; at++)
            sum += (unsigned char)bytes[at];
        count += (size_t)got;
    }
    journal(visit->id, "read %zu %u %d", count, sum, FCGX_GetError(visit->in));
}

static inline void step_echo(struct visit *visit, const char *value)
{
    (void)value;
    char bytes[4096];
    int got = 0;

    head(visit);
    while ((got = FCGX_GetStr(bytes, (int)sizeof bytes, visit->in)) > 0)
        FCGX_PutStr(bytes, got, visit->out);
}

/* take=N: as read, by one call. */
static inline void step_take(struct visit *visit, const char *value)
{
    int room = (int)strtol(value, NULL, 10);
    char *bytes = malloc((size_t)room);
    int got = bytes != NULL ? FCGX_GetStr(bytes, room, visit->in) : -1;
    uint32_t sum = 0;

    for (int at = 0; at < got; at++)
        sum += (unsigned char)bytes[at];
    free(bytes);
    journal(visit->id, "take %d %u %d", got, sum, FCGX_GetError(visit->in));
}

/* mix=SEED: sends the body back, read in pieces of all sizes, by one byte and by unreading it, in
 * turn. */
static inline void step_mix(struct visit *visit, const char *value)
{
    enum {
        MOST = 200000
    };
    static const unsigned sizes[] = {1, 100, 4096, 20000, MOST};
    unsigned seed = (unsigned)strtoul(value, NULL, 10);
    char *bytes = malloc(MOST);
    int c = 0;

    head(visit);
    while (bytes != NULL && (c = FCGX_GetChar(visit->in)) != EOF) {
        unsigned size = sizes[(unsigned)rand_r(&seed) % 5];
        if (rand_r(&seed) % 2 == 0)
            FCGX_UnGetChar(c, visit->in);
        else
            FCGX_PutChar(c, visit->out);
        for (int left = rand_r(&seed) % 4; left > 0; left--) {
            int got = FCGX_GetStr(bytes, (int)(1 + (unsigned)rand_r(&seed) % size), visit->in);
            FCGX_PutStr(bytes, got, visit->out);
        }
    }
    free(bytes);
}

static inline void step_write(struct visit *visit, const char *value)
{
    size_t limit = strtoul(value, NULL, 10);
    char bytes[4096];

    head(visit);
    for (size_t done = 0; done < limit;) {
        size_t count = limit - done < sizeof bytes ? limit - done : sizeof bytes;
        for (size_t at = 0; at < count; at++)
            bytes[at] = (char)pattern_byte(done + at);
        if (FCGX_PutStr(bytes, (int)count, visit->out) < 0)
            break;
        done += count;
    }
}

static inline void step_text(struct visit *visit, const char *value)
{
    head(visit);
    FCGX_PutS(value, visit->out);
}

static inline void step_flush(struct visit *visit, const char *value)
{
    (void)value;
    FCGX_FFlush(visit->out);
}

/* param=NAME: notes the parameter's value. */
static inline void step_param(struct visit *visit, const char *value)
{
    const char *found = FCGX_GetParam(value, visit->envp);
    journal(visit->id, "param %s=%s", value, found == NULL ? "(none)" : found);
}

static inline void step_touch(struct visit *visit, const char *value)
{
    (void)visit;
    char path[PATH_MAX];

    path_in_directory(path, sizeof path, value);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0)
        close(fd);
}

/* system=COMMAND */
static inline void step_system(struct visit *visit, const char *value)
{
    journal(visit->id, "system %d", system(value));
}

static inline void step_wait(struct visit *visit, const char *value)
{
    journal(visit->id, "wait %s", value);
    wait_for_file(value);
}

static inline void step_note(struct visit *visit, const char *value)
{
    journal(visit->id, "note %s", value);
}

/* say=TEXT: a line on standard error. */
static inline void step_say(struct visit *visit, const char *value)
{
    (void)visit;
    (void)dprintf(STDERR_FILENO, "%s\n", value);
}

/* sleep=MS: work that takes time; not for synchronisation. */
static inline void step_sleep(struct visit *visit, const char *value)
{
    (void)visit;
    long ms = strtol(value, NULL, 10);
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

/* fork=FILE: a child that holds every descriptor it inherited until FILE is there. */
static inline void step_fork(struct visit *visit, const char *value)
{
    pid_t child = fork();
    if (child == 0) {
        wait_for_file(value);
        _exit(0);
    }
    journal(visit->id, "fork %d", (int)child);
}

static inline void step_exit(struct visit *visit, const char *value)
{
    journal(visit->id, "exit %s", value);
    exit((int)strtol(value, NULL, 10));
}

static inline void step_crash(struct visit *visit, const char *value)
{
    (void)value;
    journal(visit->id, "crash");
    abort();
}

/* hold=MB: memory that is used and never given back. */
static inline void step_hold(struct visit *visit, const char *value)
{
    static char *volatile held; /* a leak checker finds the last one */
    size_t size = strtoul(value, NULL, 10) << 20;
    held = malloc(size);
    if (held != NULL)
        memset(held, 1, size);
    journal(visit->id, "hold %s", held != NULL ? value : "nothing");
}

/* block-signals: blocks all signals; KILL and STOP cannot be blocked. */
static inline void step_block_signals(struct visit *visit, const char *value)
{
    (void)value;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    journal(visit->id, "block-signals");
}

static const struct step steps_common[] = {
    {"id", step_id},       {"read", step_read},
    {"echo", step_echo},   {"write", step_write},
    {"text", step_text},   {"flush", step_flush},
    {"param", step_param}, {"touch", step_touch},
    {"wait", step_wait},   {"note", step_note},
    {"sleep", step_sleep}, {"fork", step_fork},
    {"exit", step_exit},   {"crash", step_crash},
    {"hold", step_hold},   {"block-signals", step_block_signals},
    {"take", step_take},   {"mix", step_mix},
    {"say", step_say},     {"system", step_system},
    {NULL, NULL},
};

static inline const struct step *step_find(const struct step *table, const char *name)
{
    for (; table != NULL && table->name != NULL; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

/* Carries out the request's steps; `own` is the application's table, which ends with a row of
 * nulls. */
static inline void steps_serve(struct visit *visit, const struct step *own)
{
    char script[4096];
    char *rest = script;
    char *word = NULL;
    const char *query = FCGX_GetParam("QUERY_STRING", visit->envp);

    atomic_fetch_add(&steps_requests, 1);
    (void)snprintf(script, sizeof script, "%s", query == NULL ? "" : query);
    while ((word = strsep(&rest, "&")) != NULL) {
        char *value = strchr(word, '=');
        if (value != NULL)
            *value++ = '\0';
        const struct step *step = step_find(own, word);
        if (step == NULL)
            step = step_find(steps_common, word);
        if (step != NULL)
            step->act(visit, value == NULL ? "" : value);
        else if (word[0] != '\0')
            journal(visit->id, "unknown %s", word);
    }
    if (visit->out != NULL)
        head(visit);
    journal(visit->id, "end");
}

#endif
