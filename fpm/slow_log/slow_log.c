/* slow_log.c: see slow_log.h. */
#include "fpm/slow_log/slow_log.h"

#include "fpm/log/log.h"
#include "fpm/log/log_target.h"
#include "fpm/slow_log/slow_entry.h"
#include "fpm/slow_log/trace_runner.h"
#include "fpm/util/account.h"
#include "fpm/util/error.h"
#include "fpm/util/safe_path.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SLOW_LOG_STACK_MAX = 65535 /* bytes */
};

struct slow_log {
    struct slow_log *next;
    char *pool, *path;
    struct log_target file;
    struct deadline_limits limits;
    unsigned depth;
    char **command;     /* words of slowlog.command, NULL = overtime-trace */
    char **environment; /* of that program */
    bool change_user;   /* it runs as `user`, false = as the manager */
    struct helper_process_user user;
    gid_t *groups;
    bool closed;
    unsigned pending; /* entries that wait for their stack */
    uint64_t lost;    /* entries that could not be written */
    struct log_episode write_failure, no_stack;
    uint64_t without_stack; /* entries in the present no_stack episode */
};

/* An entry that waits for its stack. */
struct slow_log_entry {
    struct slow_log_entry *next;
    struct slow_log *log;
    const struct scoreboard *scoreboard; /* NULL = destroyed since */
    unsigned thread;
    struct slow_entry entry;
};

static struct {
    struct slow_log *logs;
    struct slow_log_entry *entries;
} slow_log_all;

/* ---- the file ---- */

static void slow_log_write(struct slow_log *log, const char *text, size_t size)
{
    if (text == NULL || log_target_put(&log->file, text, size) != 0) {
        log->lost++;
        if (log_episode_begin(&log->write_failure))
            log_pool(LOG_LEVEL_ERROR, log->pool,
                     "cannot write to %s: %s; entries are lost until it can be written "
                     "again; see `slowlog`",
                     log->path, strerror(errno));
        return;
    }
    if (log_episode_end(&log->write_failure))
        log_pool(LOG_LEVEL_WARNING, log->pool,
                 "%" PRIu64 " entr%s lost: %s could not be written; now it can", log->lost,
                 log->lost == 1 ? "y was" : "ies were", log->path);
    log->lost = 0;
}

static void slow_log_free(struct slow_log *log)
{
    struct slow_log **link = &slow_log_all.logs;
    while (*link != NULL && *link != log)
        link = &(*link)->next;
    if (*link == log)
        *link = log->next;
    for (size_t i = 0; log->command != NULL && log->command[i] != NULL; i++)
        free(log->command[i]);
    free(log->command);
    for (size_t i = 0; log->environment != NULL && log->environment[i] != NULL; i++)
        free(log->environment[i]);
    free(log->environment);
    free(log->groups);
    log_target_close(&log->file);
    free(log->pool);
    free(log->path);
    free(log);
}

/* ---- one entry ---- */

/* Writes the entry and frees it, and its log if that is closed and has no other entry. */
static void slow_log_finish(struct slow_log_entry *entry, const struct slow_entry_stack *stack)
{
    struct slow_log_entry **link = &slow_log_all.entries;
    struct slow_log *log = entry->log;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL) {
        slow_entry_write(out, &entry->entry, stack);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    slow_log_write(log, text, size);
    free(text);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    free(entry);
    log->pending--;
    if (log->closed && log->pending == 0)
        slow_log_free(log);
}

/* Is the thread still busy with the request of the entry? If its record keeps changing, it may be.
 */
static bool slow_log_goes_on(void *context)
{
    const struct slow_log_entry *entry = context;
    const struct slow_entry *then = &entry->entry;
    struct ot_record now;
    uint64_t running, finished;
    if (entry->scoreboard == NULL ||
        entry->scoreboard->members[then->slot].pid != (int32_t)then->pid)
        return false;
    if (!slot_view_thread(scoreboard_slot(entry->scoreboard, then->slot), entry->thread, &now))
        return true;
    scoreboard_since(&now, &running, &finished);
    return then->why == DEADLINE_REQUEST ? running == then->record.running_at
                                         : finished == then->record.finished_at;
}

static void slow_log_on_stack(void *context, const struct trace_runner_result *result)
{
    struct slow_log_entry *entry = context;
    struct slow_entry_stack stack = {
        .text = result->text, .length = result->length, .missing = result->failure};
    if (result->length > 0 && !slow_log_goes_on(entry))
        stack.note = "the request has ended meanwhile: the stack may be of a later one";
    slow_log_finish(entry, &stack);
}

static void slow_log_enter(struct slow_log *log, const struct slow_log_worker *worker,
                           unsigned thread, enum deadline_verdict why,
                           const struct ot_record *record)
{
    uint64_t limit =
        why == DEADLINE_POST_RESPONSE ? log->limits.post_response : log->limits.request;
    char error[256];
    struct slow_log_entry *entry = malloc(sizeof *entry);
    struct trace_runner_job job = {
        .group = log,
        .argv = log->command,
        .user = log->change_user ? &log->user : NULL,
        .envp = log->environment,
        .pid = scoreboard_program_pid(worker->scoreboard, worker->slot, worker->pid),
        .first = (pid_t)record->tid,
        .depth = log->depth,
        .output_max = SLOW_LOG_STACK_MAX,
        .wanted = slow_log_goes_on,
        .done = slow_log_on_stack,
        .context = entry,
    };
    if (entry == NULL) {
        slow_log_write(log, NULL, 0);
        return;
    }
    *entry = (struct slow_log_entry){.next = slow_log_all.entries,
                                     .log = log,
                                     .scoreboard = worker->scoreboard,
                                     .thread = thread,
                                     .entry = {.pool = log->pool,
                                               .pid = worker->pid,
                                               .slot = worker->slot,
                                               .why = why,
                                               .limit = (int64_t)(limit / CLOCK_NS_PER_MS),
                                               .record = *record,
                                               .now = clock_ns()}};
    (void)clock_gettime(CLOCK_REALTIME, &entry->entry.wall);
    slow_log_all.entries = entry;
    log->pending++;
    if (trace_runner_start(&job, error, sizeof error) == 0) {
        if (log->pending == 1 && log_episode_end(&log->no_stack)) {
            log_pool(LOG_LEVEL_NOTICE, log->pool, "%" PRIu64 " entr%s of %s without a stack",
                     log->without_stack, log->without_stack == 1 ? "y is" : "ies are", log->path);
            log->without_stack = 0;
        }
        return;
    }
    log->without_stack++;
    if (log_episode_begin(&log->no_stack))
        log_pool(LOG_LEVEL_WARNING, log->pool,
                 "more requests are slow at once than can be traced: entries of %s are "
                 "written without a stack; see `request_slowlog_timeout`, "
                 "`post_response.slowlog_timeout`",
                 log->path);
    slow_log_finish(entry, &(struct slow_entry_stack){.text = "", .missing = error});
}

/* ---- checks ---- */

struct deadline_limits slow_log_limits(const struct slow_log *log)
{
    return log != NULL ? log->limits : (struct deadline_limits){0};
}

unsigned slow_log_check(struct slow_log *log, const struct slow_log_worker *worker,
                        const struct scoreboard_glance *glance, uint64_t *next_check)
{
    struct deadline_stamps stamps = {glance->running_since, glance->finished_since, clock_ns()};
    unsigned entered = 0;
    /* Most workers never have a slow request, and need no array of reported ones. */
    if (log == NULL ||
        deadline_check(&log->limits, &stamps, NULL, next_check) == DEADLINE_NOT_PASSED)
        return 0;
    if (*worker->reported == NULL)
        *worker->reported = calloc(OT_THREADS_MAX, sizeof **worker->reported);
    for (unsigned i = 0; *worker->reported != NULL && i < OT_THREADS_MAX; i++) {
        struct ot_record record;
        if (!slot_view_thread(scoreboard_slot(worker->scoreboard, worker->slot), i, &record))
            continue;
        stamps.now = clock_ns();
        scoreboard_since(&record, &stamps.running_since, &stamps.finished_since);
        enum deadline_verdict why =
            deadline_check(&log->limits, &stamps, &(*worker->reported)[i], next_check);
        if (why == DEADLINE_NOT_PASSED)
            continue;
        slow_log_enter(log, worker, i, why, &record);
        entered++;
    }
    return entered;
}

void slow_log_forget(const struct scoreboard *scoreboard)
{
    for (struct slow_log_entry *entry = slow_log_all.entries; entry != NULL; entry = entry->next)
        if (entry->scoreboard == scoreboard)
            entry->scoreboard = NULL;
}

/* ---- open and close ---- */

/* The program of slowlog.command reads memory that the worker wrote: it runs as the worker's user,
 * unless `slowlog.user` names another. Returns 0, or -1 without memory. */
static int slow_log_take_command(struct slow_log *log, const struct config_pool *pool)
{
    const struct value_parse_words *words = &pool->slowlog_command;
    const struct config_identity *identity = &pool->identity;
    char *name = identity->name;
    struct account account = {.uid = identity->uid, .gid = identity->gid, .listed = name != NULL};
    char error[ERROR_SIZE];
    if (words->argc == 0)
        return 0;
    log->command = calloc(words->argc + 1, sizeof *log->command);
    log->environment = calloc(4, sizeof *log->environment);
    if (log->command == NULL || log->environment == NULL)
        return -1;
    for (size_t i = 0; i < words->argc; i++) {
        log->command[i] = strdup(words->argv[i]);
        if (log->command[i] == NULL)
            return -1;
    }
    log->change_user = identity->change;
    if (pool->slowlog_user != NULL && geteuid() == 0) {
        if (account_user(pool->slowlog_user, &account, error, sizeof error) != 0)
            return -1;
        log->change_user = true;
        name = account.listed ? account.name : NULL;
        account.gid = account.listed ? account.gid : (gid_t)account.uid;
    }
    const struct passwd *entry = log->change_user ? getpwuid(account.uid) : NULL;
    if (asprintf(&log->environment[0], "PATH=%s", HELPER_PROCESS_PATH) < 0 ||
        (entry != NULL && (asprintf(&log->environment[1], "USER=%s", entry->pw_name) < 0 ||
                           asprintf(&log->environment[2], "HOME=%s", entry->pw_dir) < 0)))
        return -1;
    log->user = (struct helper_process_user){.uid = account.uid, .gid = account.gid};
    log->groups = account_groups(name, account.gid, &log->user.count);
    log->user.groups = log->groups;
    return log->groups != NULL ? 0 : -1;
}

int slow_log_open(struct slow_log **log, const struct config_pool *pool, char *error, size_t size)
{
    *log = NULL;
    if (pool->slowlog == NULL)
        return 0;
    struct slow_log *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    fresh->file = LOG_TARGET_CLOSED;
    fresh->limits.request = (uint64_t)pool->request_slowlog_timeout * CLOCK_NS_PER_MS;
    fresh->limits.post_response = (uint64_t)pool->post_response_slowlog_timeout * CLOCK_NS_PER_MS;
    fresh->depth = (unsigned)pool->request_slowlog_trace_depth;
    fresh->pool = strdup(pool->name);
    fresh->path = strdup(pool->slowlog);
    if (fresh->pool == NULL || fresh->path == NULL || slow_log_take_command(fresh, pool) != 0 ||
        log_target_file(&fresh->file, pool->slowlog) != 0) {
        snprintf(error, size, "`slowlog = %s`: cannot be opened: %s", pool->slowlog,
                 safe_path_reason(errno));
        slow_log_free(fresh);
        return -1;
    }
    fresh->next = slow_log_all.logs;
    slow_log_all.logs = fresh;
    *log = fresh;
    return 0;
}

void slow_log_close(struct slow_log **log)
{
    struct slow_log *old = *log;
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
    for (struct slow_log *log = slow_log_all.logs; log != NULL; log = log->next) {
        struct log_target fresh = LOG_TARGET_CLOSED;
        if (log_target_file(&fresh, log->path) == 0) {
            log_target_close(&log->file);
            log->file = fresh;
        } else if (result == 0) {
            snprintf(error, size, "pool %s: cannot open the slow log %s: %s; check `slowlog`",
                     log->pool, log->path, safe_path_reason(errno));
            result = -1;
        }
    }
    return result;
}
