/* slowlog.c: see slowlog.h. */
#include "fpm/slowlog.h"

#include "fpm/clock.h"
#include "fpm/log.h"
#include "fpm/sink.h"
#include "fpm/slow.h"
#include "fpm/slowentry.h"
#include "fpm/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SLOWLOG_STACK = 65536 /* bytes of an entry's stack */
};

#define SLOWLOG_NS 1000000 /* in a millisecond */

struct slowlog {
    struct slowlog *next;
    char *pool, *path;
    struct sink sink;
    struct slow_limits limits;
    unsigned depth;
    char **command; /* words of slowlog.command, NULL = our own look */
    bool appends;   /* the process number comes behind them */
    bool closed;
    unsigned pending; /* entries without their stack yet */
    uint64_t lost;    /* entries that could not be written */
    struct log_episode failing, blind;
    uint64_t unseen; /* entries without a stack for lack of time, in this episode */
};

/* An entry until it is written. */
struct slowlog_entry {
    struct slowlog_entry *next;
    struct slowlog *log;
    const struct generation_member *member; /* NULL: freed since */
    unsigned thread;
    struct slowentry facts;
};

static struct {
    struct slowlog *logs;
    struct slowlog_entry *entries;
} slowlog_all;

/* ---- the file ---- */

static void slowlog_tell_lost(struct slowlog *log)
{
    const struct log_about about = {.pool = log->pool};
    if (log_episode_end(&log->failing))
        log_about(LOG_LEVEL_WARNING, &about,
                  "pool %s: %" PRIu64 " entr%s lost: %s could not be written; now it can",
                  log->pool, log->lost, log->lost == 1 ? "y was" : "ies were", log->path);
    log->lost = 0;
}

static void slowlog_put(struct slowlog *log, const char *text, size_t size)
{
    const struct log_about about = {.pool = log->pool};
    if (text != NULL && sink_put(&log->sink, text, size) == 0) {
        slowlog_tell_lost(log);
        return;
    }
    log->lost++;
    if (log_episode_begin(&log->failing))
        log_about(LOG_LEVEL_ERROR, &about,
                  "pool %s: cannot write to %s: %s; entries are lost until it can be written "
                  "again; see `slowlog`",
                  log->pool, log->path, strerror(errno));
}

static void slowlog_free(struct slowlog *log)
{
    struct slowlog **link = &slowlog_all.logs;
    while (*link != NULL && *link != log)
        link = &(*link)->next;
    if (*link == log)
        *link = log->next;
    for (size_t i = 0; log->command != NULL && log->command[i] != NULL; i++)
        free(log->command[i]);
    free(log->command);
    sink_close(&log->sink);
    free(log->pool);
    free(log->path);
    free(log);
}

/* ---- one entry ---- */

static void slowlog_drop(struct slowlog_entry *entry)
{
    struct slowlog_entry **link = &slowlog_all.entries;
    struct slowlog *log = entry->log;
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    free(entry);
    log->pending--;
    if (log->closed && log->pending == 0)
        slowlog_free(log);
}

/* Writes it, and forgets it. */
static void slowlog_finish(struct slowlog_entry *entry, const struct slowentry_stack *stack)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL) {
        slowentry_write(out, &entry->facts, stack);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    slowlog_put(entry->log, text, size);
    free(text);
    slowlog_drop(entry);
}

/* Does the thread still do what it was entered for? One that keeps changing may. */
static bool slowlog_goes_on(const struct slowlog_entry *entry)
{
    const struct generation_member *member = entry->member;
    const struct ot_record *then = &entry->facts.record;
    struct ot_record now;
    uint64_t running, finished;
    if (member == NULL || member->worker.state == WORKER_NONE ||
        member->worker.pid != entry->facts.pid)
        return false;
    if (!scoreboard_thread(&member->generation->scoreboard, member->slot, entry->thread, &now))
        return true;
    scoreboard_since(&now, &running, &finished);
    return entry->facts.why == SLOW_REQUEST ? running == then->running_at
                                            : finished == then->finished_at;
}

static bool slowlog_wanted(void *context)
{
    return slowlog_goes_on(context);
}

static void slowlog_on_stack(void *context, const struct trace_result *result)
{
    struct slowlog_entry *entry = context;
    struct slowentry_stack stack = {
        .text = result->text, .length = result->length, .missing = result->failure};
    if (result->length > 0 && !slowlog_goes_on(entry))
        stack.note = "it has ended meanwhile: the stack may be of what came after";
    slowlog_finish(entry, &stack);
}

/* More is slow at once than can be looked at: the entries go without their stacks. */
static void slowlog_tell_blind(struct slowlog *log, bool blind)
{
    const struct log_about about = {.pool = log->pool};
    log->unseen += blind;
    if (blind && log_episode_begin(&log->blind)) {
        log_about(LOG_LEVEL_WARNING, &about,
                  "pool %s: more requests are slow at once than can be looked at: entries of %s go "
                  "without a stack; see `request_slowlog_timeout`, "
                  "`post_response.slowlog_timeout`",
                  log->pool, log->path);
    } else if (!blind && log_episode_end(&log->blind)) {
        log_about(LOG_LEVEL_NOTICE, &about, "pool %s: %" PRIu64 " entr%s of %s without a stack",
                  log->pool, log->unseen, log->unseen == 1 ? "y is" : "ies are", log->path);
        log->unseen = 0;
    }
}

/* ---- slowlog.command ---- */

/* The word with each %p as the process number; NULL without memory. */
static char *slowlog_word(const char *word, pid_t pid)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    if (stream == NULL)
        return NULL;
    for (; *word != '\0'; word++) {
        if (word[0] == '%' && word[1] == 'p')
            word += fprintf(stream, "%d", (int)pid) > 0;
        else
            fputc(*word, stream);
    }
    if (fclose(stream) == 0)
        return out;
    free(out);
    return NULL;
}

/* NULL-terminated, each word the caller's to free; NULL without memory. */
static char **slowlog_words(const struct slowlog *log, pid_t pid)
{
    size_t count = 0;
    while (log->command[count] != NULL)
        count++;
    char **words = calloc(count + 2, sizeof *words);
    bool good = words != NULL;
    for (size_t i = 0; good && i < count + log->appends; i++) {
        words[i] = slowlog_word(i < count ? log->command[i] : "%p", pid);
        good = words[i] != NULL;
    }
    if (good)
        return words;
    for (size_t i = 0; words != NULL && words[i] != NULL; i++)
        free(words[i]);
    free(words);
    return NULL;
}

/* Returns 0, or -1 with a sentence. */
static int slowlog_trace(struct slowlog_entry *entry, char *error, size_t size)
{
    struct slowlog *log = entry->log;
    struct trace_order order = {
        .lane = log,
        .pid = generation_program_pid(entry->member),
        .first = (pid_t)entry->facts.record.tid,
        .depth = log->depth,
        .room = SLOWLOG_STACK,
        .wanted = slowlog_wanted,
        .done = slowlog_on_stack,
        .context = entry,
    };
    if (log->command == NULL)
        return trace_start(&order, error, size);
    char **words = slowlog_words(log, order.pid);
    if (words == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    order.argv = (const char *const *)words;
    int result = trace_start(&order, error, size);
    for (size_t i = 0; words[i] != NULL; i++)
        free(words[i]);
    free(words);
    return result;
}

static void slowlog_enter(struct slowlog *log, const struct generation_member *member,
                          unsigned thread, enum slow_verdict why, const struct ot_record *record)
{
    uint64_t limit = why == SLOW_POST ? log->limits.post : log->limits.request;
    char error[256];
    struct slowlog_entry *entry = malloc(sizeof *entry);
    if (entry == NULL) {
        slowlog_put(log, NULL, 0);
        return;
    }
    *entry = (struct slowlog_entry){.next = slowlog_all.entries,
                                    .log = log,
                                    .member = member,
                                    .thread = thread,
                                    .facts = {.pool = log->pool,
                                              .pid = member->worker.pid,
                                              .slot = member->slot,
                                              .why = why,
                                              .limit = (int64_t)(limit / SLOWLOG_NS),
                                              .record = *record,
                                              .now = clock_ns()}};
    (void)clock_gettime(CLOCK_REALTIME, &entry->facts.wall);
    slowlog_all.entries = entry;
    log->pending++;
    if (slowlog_trace(entry, error, sizeof error) == 0) {
        if (log->pending == 1)
            slowlog_tell_blind(log, false);
        return;
    }
    slowlog_tell_blind(log, true);
    slowlog_finish(entry, &(struct slowentry_stack){.text = "", .missing = error});
}

/* ---- looking ---- */

uint64_t slowlog_limit(const struct slowlog *log)
{
    return log != NULL ? log->limits.request : 0;
}

uint64_t slowlog_post_limit(const struct slowlog *log)
{
    return log != NULL ? log->limits.post : 0;
}

/* Is there anything for `seen` to remember? Most workers are never slow. */
static bool slowlog_near(const struct slowlog *log, const struct scoreboard_glance *glance,
                         uint64_t *again)
{
    struct slow_seen seen = {0};
    const struct slow_facts facts = {glance->running_since, glance->finished_since,
                                     (uint64_t)clock_ns()};
    return slow_check(&log->limits, &facts, &seen, again) != SLOW_NOTHING;
}

unsigned slowlog_look(struct slowlog *log, struct generation_member *member,
                      const struct scoreboard_glance *glance, uint64_t *again)
{
    const struct scoreboard *scoreboard = &member->generation->scoreboard;
    unsigned entered = 0;
    if (log == NULL || !slowlog_near(log, glance, again))
        return 0;
    if (member->slow == NULL)
        member->slow = calloc(OT_THREADS_MAX, sizeof *member->slow);
    for (unsigned i = 0; member->slow != NULL && i < OT_THREADS_MAX; i++) {
        struct ot_record record;
        struct slow_facts facts = {.now = (uint64_t)clock_ns()};
        if (!scoreboard_thread(scoreboard, member->slot, i, &record))
            continue;
        scoreboard_since(&record, &facts.running_since, &facts.finished_since);
        enum slow_verdict why = slow_check(&log->limits, &facts, &member->slow[i], again);
        if (why == SLOW_NOTHING)
            continue;
        slowlog_enter(log, member, i, why, &record);
        entered++;
    }
    return entered;
}

void slowlog_forget(const struct generation *generation)
{
    for (struct slowlog_entry *entry = slowlog_all.entries; entry != NULL; entry = entry->next)
        if (entry->member != NULL && entry->member->generation == generation)
            entry->member = NULL;
}

/* ---- open and close ---- */

/* Returns 0, or -1 without memory. */
static int slowlog_take_command(struct slowlog *log, const struct conf_words *words)
{
    if (words->argc == 0)
        return 0;
    log->command = calloc(words->argc + 1, sizeof *log->command);
    log->appends = true;
    for (size_t i = 0; log->command != NULL && i < words->argc; i++) {
        log->command[i] = strdup(words->argv[i]);
        if (log->command[i] == NULL)
            return -1;
        if (strstr(words->argv[i], "%p") != NULL)
            log->appends = false;
    }
    return log->command != NULL ? 0 : -1;
}

int slowlog_open(struct slowlog **log, const struct conf_pool *pool, char *error, size_t size)
{
    *log = NULL;
    if (pool->slowlog == NULL)
        return 0;
    struct slowlog *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    fresh->sink = SINK_CLOSED;
    fresh->limits.request = (uint64_t)pool->request_slowlog_timeout * SLOWLOG_NS;
    fresh->limits.post = (uint64_t)pool->post_response_slowlog_timeout * SLOWLOG_NS;
    fresh->depth = (unsigned)pool->request_slowlog_trace_depth;
    fresh->pool = strdup(pool->name);
    fresh->path = strdup(pool->slowlog);
    if (fresh->pool == NULL || fresh->path == NULL ||
        slowlog_take_command(fresh, &pool->slowlog_command) != 0 ||
        sink_file(&fresh->sink, pool->slowlog) != 0) {
        snprintf(error, size, "`slowlog = %s`: cannot be opened: %s", pool->slowlog,
                 strerror(errno));
        slowlog_free(fresh);
        return -1;
    }
    fresh->next = slowlog_all.logs;
    slowlog_all.logs = fresh;
    *log = fresh;
    return 0;
}

void slowlog_close(struct slowlog **log)
{
    struct slowlog *old = *log;
    *log = NULL;
    if (old == NULL)
        return;
    old->closed = true;
    if (old->pending == 0)
        slowlog_free(old);
}

int slowlog_reopen(char *error, size_t size)
{
    int result = 0;
    for (struct slowlog *log = slowlog_all.logs; log != NULL; log = log->next) {
        struct sink fresh = SINK_CLOSED;
        if (sink_file(&fresh, log->path) == 0) {
            sink_close(&log->sink);
            log->sink = fresh;
        } else if (result == 0) {
            snprintf(error, size, "pool %s: cannot open the slow log %s: %s; check `slowlog`",
                     log->pool, log->path, strerror(errno));
            result = -1;
        }
    }
    return result;
}
