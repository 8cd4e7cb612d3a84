/* slow_log.c: see slow_log.h. */
#include "fpm/slow_log/slow_log.h"

#include "fpm/log/log.h"
#include "fpm/log/log_target.h"
#include "fpm/slow_log/deadline.h"
#include "fpm/slow_log/slow_entry.h"
#include "fpm/slow_log/trace_runner.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SLOW_LOG_STACK_MAX = 65535 /* bytes */
};

struct slowlog {
    struct slowlog *next;
    char *pool, *path;
    struct log_target sink;
    struct deadline_limits limits;
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
struct slow_log_entry {
    struct slow_log_entry *next;
    struct slowlog *log;
    const struct generation_member *member; /* NULL: freed since */
    unsigned thread;
    struct slow_entry facts;
};

static struct {
    struct slowlog *logs;
    struct slow_log_entry *entries;
} slow_log_all;

/* ---- the file ---- */

static void slow_log_tell_lost(struct slowlog *log)
{
    const struct log_about about = {.pool = log->pool};
    if (log_episode_end(&log->failing))
        log_about(LOG_LEVEL_WARNING, &about,
                  "pool %s: %" PRIu64 " entr%s lost: %s could not be written; now it can",
                  log->pool, log->lost, log->lost == 1 ? "y was" : "ies were", log->path);
    log->lost = 0;
}

static void slow_log_put(struct slowlog *log, const char *text, size_t size)
{
    const struct log_about about = {.pool = log->pool};
    if (text != NULL && log_target_put(&log->sink, text, size) == 0) {
        slow_log_tell_lost(log);
        return;
    }
    log->lost++;
    if (log_episode_begin(&log->failing))
        log_about(LOG_LEVEL_ERROR, &about,
                  "pool %s: cannot write to %s: %s; entries are lost until it can be written "
                  "again; see `slowlog`",
                  log->pool, log->path, strerror(errno));
}

static void slow_log_free(struct slowlog *log)
{
    struct slowlog **link = &slow_log_all.logs;
    while (*link != NULL && *link != log)
        link = &(*link)->next;
    if (*link == log)
        *link = log->next;
    for (size_t i = 0; log->command != NULL && log->command[i] != NULL; i++)
        free(log->command[i]);
    free(log->command);
    log_target_close(&log->sink);
    free(log->pool);
    free(log->path);
    free(log);
}

/* ---- one entry ---- */

static void slow_log_drop(struct slow_log_entry *entry)
{
    struct slow_log_entry **link = &slow_log_all.entries;
    struct slowlog *log = entry->log;
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    free(entry);
    log->pending--;
    if (log->closed && log->pending == 0)
        slow_log_free(log);
}

/* Writes it, and forgets it. */
static void slow_log_finish(struct slow_log_entry *entry, const struct slow_entry_stack *stack)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL) {
        slow_entry_write(out, &entry->facts, stack);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    slow_log_put(entry->log, text, size);
    free(text);
    slow_log_drop(entry);
}

/* Does the thread still do what it was entered for? One that keeps changing may. */
static bool slow_log_goes_on(const struct slow_log_entry *entry)
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
    return entry->facts.why == DEADLINE_REQUEST ? running == then->running_at
                                                : finished == then->finished_at;
}

static bool slow_log_wanted(void *context)
{
    return slow_log_goes_on(context);
}

static void slow_log_on_stack(void *context, const struct trace_runner_result *result)
{
    struct slow_log_entry *entry = context;
    struct slow_entry_stack stack = {
        .text = result->text, .length = result->length, .missing = result->failure};
    if (result->length > 0 && !slow_log_goes_on(entry))
        stack.note = "it has ended meanwhile: the stack may be of what came after";
    slow_log_finish(entry, &stack);
}

/* More is slow at once than can be looked at: the entries go without their stacks. */
static void slow_log_tell_blind(struct slowlog *log, bool blind)
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
static char *slow_log_word(const char *word, pid_t pid)
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
static char **slow_log_words(const struct slowlog *log, pid_t pid)
{
    size_t count = 0;
    while (log->command[count] != NULL)
        count++;
    char **words = calloc(count + 2, sizeof *words);
    bool good = words != NULL;
    for (size_t i = 0; good && i < count + log->appends; i++) {
        words[i] = slow_log_word(i < count ? log->command[i] : "%p", pid);
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
static int slow_log_trace(struct slow_log_entry *entry, char *error, size_t size)
{
    struct slowlog *log = entry->log;
    struct trace_runner_job job = {
        .group = log,
        .pid = generation_program_pid(entry->member),
        .first = (pid_t)entry->facts.record.tid,
        .depth = log->depth,
        .output_max = SLOW_LOG_STACK_MAX,
        .wanted = slow_log_wanted,
        .done = slow_log_on_stack,
        .context = entry,
    };
    if (log->command == NULL)
        return trace_runner_start(&job, error, size);
    char **words = slow_log_words(log, job.pid);
    if (words == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    job.argv = (const char *const *)words;
    int result = trace_runner_start(&job, error, size);
    for (size_t i = 0; words[i] != NULL; i++)
        free(words[i]);
    free(words);
    return result;
}

static void slow_log_enter(struct slowlog *log, const struct generation_member *member,
                           unsigned thread, enum deadline_verdict why,
                           const struct ot_record *record)
{
    uint64_t limit = why == DEADLINE_POST ? log->limits.post : log->limits.request;
    char error[256];
    struct slow_log_entry *entry = malloc(sizeof *entry);
    if (entry == NULL) {
        slow_log_put(log, NULL, 0);
        return;
    }
    *entry = (struct slow_log_entry){.next = slow_log_all.entries,
                                     .log = log,
                                     .member = member,
                                     .thread = thread,
                                     .facts = {.pool = log->pool,
                                               .pid = member->worker.pid,
                                               .slot = member->slot,
                                               .why = why,
                                               .limit = (int64_t)(limit / CLOCK_NS_PER_MS),
                                               .record = *record,
                                               .now = clock_ns()}};
    (void)clock_gettime(CLOCK_REALTIME, &entry->facts.wall);
    slow_log_all.entries = entry;
    log->pending++;
    if (slow_log_trace(entry, error, sizeof error) == 0) {
        if (log->pending == 1)
            slow_log_tell_blind(log, false);
        return;
    }
    slow_log_tell_blind(log, true);
    slow_log_finish(entry, &(struct slow_entry_stack){.text = "", .missing = error});
}

/* ---- looking ---- */

uint64_t slow_log_limit(const struct slowlog *log)
{
    return log != NULL ? log->limits.request : 0;
}

uint64_t slow_log_post_limit(const struct slowlog *log)
{
    return log != NULL ? log->limits.post : 0;
}

/* Is there anything for `seen` to remember? Most workers are never slow. */
static bool slow_log_near(const struct slowlog *log, const struct scoreboard_glance *glance,
                          uint64_t *again)
{
    struct deadline_seen seen = {0};
    const struct deadline_facts facts = {glance->running_since, glance->finished_since, clock_ns()};
    return deadline_check(&log->limits, &facts, &seen, again) != DEADLINE_NOTHING;
}

unsigned slow_log_look(struct slowlog *log, struct generation_member *member,
                       const struct scoreboard_glance *glance, uint64_t *again)
{
    const struct scoreboard *scoreboard = &member->generation->scoreboard;
    unsigned entered = 0;
    if (log == NULL || !slow_log_near(log, glance, again))
        return 0;
    if (member->slow == NULL)
        member->slow = calloc(OT_THREADS_MAX, sizeof *member->slow);
    for (unsigned i = 0; member->slow != NULL && i < OT_THREADS_MAX; i++) {
        struct ot_record record;
        struct deadline_facts facts = {.now = clock_ns()};
        if (!scoreboard_thread(scoreboard, member->slot, i, &record))
            continue;
        scoreboard_since(&record, &facts.running_since, &facts.finished_since);
        enum deadline_verdict why = deadline_check(&log->limits, &facts, &member->slow[i], again);
        if (why == DEADLINE_NOTHING)
            continue;
        slow_log_enter(log, member, i, why, &record);
        entered++;
    }
    return entered;
}

void slow_log_forget(const struct generation *generation)
{
    for (struct slow_log_entry *entry = slow_log_all.entries; entry != NULL; entry = entry->next)
        if (entry->member != NULL && entry->member->generation == generation)
            entry->member = NULL;
}

/* ---- open and close ---- */

/* Returns 0, or -1 without memory. */
static int slow_log_take_command(struct slowlog *log, const struct value_parse_words *words)
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

int slow_log_open(struct slowlog **log, const struct config_pool *pool, char *error, size_t size)
{
    *log = NULL;
    if (pool->slowlog == NULL)
        return 0;
    struct slowlog *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    fresh->sink = LOG_TARGET_CLOSED;
    fresh->limits.request = (uint64_t)pool->request_slowlog_timeout * CLOCK_NS_PER_MS;
    fresh->limits.post = (uint64_t)pool->post_response_slowlog_timeout * CLOCK_NS_PER_MS;
    fresh->depth = (unsigned)pool->request_slowlog_trace_depth;
    fresh->pool = strdup(pool->name);
    fresh->path = strdup(pool->slowlog);
    if (fresh->pool == NULL || fresh->path == NULL ||
        slow_log_take_command(fresh, &pool->slowlog_command) != 0 ||
        log_target_file(&fresh->sink, pool->slowlog) != 0) {
        snprintf(error, size, "`slowlog = %s`: cannot be opened: %s", pool->slowlog,
                 strerror(errno));
        slow_log_free(fresh);
        return -1;
    }
    fresh->next = slow_log_all.logs;
    slow_log_all.logs = fresh;
    *log = fresh;
    return 0;
}

void slow_log_close(struct slowlog **log)
{
    struct slowlog *old = *log;
    *log = NULL;
    if (old == NULL)
        return;
    old->closed = true;
    if (old->pending == 0)
        slow_log_free(old);
}

int slow_log_reopen(char *error, size_t size)
{
    int result = 0;
    for (struct slowlog *log = slow_log_all.logs; log != NULL; log = log->next) {
        struct log_target fresh = LOG_TARGET_CLOSED;
        if (log_target_file(&fresh, log->path) == 0) {
            log_target_close(&log->sink);
            log->sink = fresh;
        } else if (result == 0) {
            snprintf(error, size, "pool %s: cannot open the slow log %s: %s; check `slowlog`",
                     log->pool, log->path, strerror(errno));
            result = -1;
        }
    }
    return result;
}
