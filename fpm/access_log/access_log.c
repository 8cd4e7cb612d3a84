/* access_log.c: see access_log.h. */
#include "fpm/access_log/access_log.h"

#include "fpm/access_log/unfinished_request.h"
#include "fpm/access_log/writer.h"
#include "fpm/access_log/writer_proto.h"
#include "fpm/log/log.h"
#include "fpm/util/child.h"
#include "fpm/util/fd.h"
#include "fpm/util/safe_path.h"
#include "fpm/util/untrusted_io.h"
#include "fpm/worker/exit_message.h"
#include "fpm/worker/helper_process.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Bytes of a pipe: some thousand lines between two rounds of the writer; four times that as
     * root, whose pipes have no limit. */
    ACCESS_LOG_PIPE = 262144,
    ACCESS_LOG_PIPE_ROOT = 1048576,
    ACCESS_LOG_FINISH_MS = 3000, /* time that the writer has at the end */
    ACCESS_LOG_TOLD_MS = 60000,  /* between two lines about writers that end */
    ACCESS_LOG_RETRY_MS = 1000,  /* until the next writer is started when one has ended */
    ACCESS_LOG_DAY = 86400,      /* s */
    ACCESS_LOG_ZONE_DAYS = 3660
};

struct access_log {
    struct access_log *next;
    uint32_t id;
    char *pool, *path;
    struct log_format *format;
    unsigned slots;
    int read_end;  /* kept, so that the next writer can read the lines that are left */
    int write_end; /* for lines about dead workers; while it is open, the reader sees no end of file
                    */
    int workers_end;
    bool closed; /* the writer empties the pipe, and reports when it is done */
};

static struct {
    struct ev_loop *loop; /* NULL = never used */
    struct access_log *logs;
    uint32_t last_id;
    struct child writer;
    int control; /* -1 = no writer can be reached */
    ev_io reports;
    ev_timer retry;
    struct log_episode no_writer; /* none can be started */
    unsigned deaths;              /* of writers since the last line about one */
    int64_t told;                 /* ms: that line, 0 = none */
} access_log_all = {.writer = {.fd = -1}, .control = -1};

/* ---- the writer ---- */

/* Sends a command with up to two descriptors. Returns 0, or -1 with errno. */
static int access_log_command(uint32_t kind, const struct access_log *access, const int *fds,
                              size_t count)
{
    struct writer_proto_command command = {.kind = kind, .id = access->id, .slots = access->slots};
    struct iovec part = {.iov_base = &command, .iov_len = sizeof command};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof *fds);
        memcpy(CMSG_DATA(header), fds, count * sizeof *fds);
    }
    return untrusted_io_send_message(access_log_all.control, &message) < 0 ? -1 : 0;
}

static struct access_log *access_log_find(uint32_t id)
{
    struct access_log *access = access_log_all.logs;
    while (access != NULL && access->id != id)
        access = access->next;
    return access;
}

/* Frees a log that is not in the list. */
static void access_log_free(struct access_log *access)
{
    fd_close(&access->read_end);
    fd_close(&access->write_end);
    fd_close(&access->workers_end);
    log_format_free(&access->format);
    free(access->pool);
    free(access->path);
    free(access);
}

static void access_log_remove(struct access_log *access)
{
    struct access_log **link = &access_log_all.logs;
    while (*link != access)
        link = &(*link)->next;
    *link = access->next;
    access_log_free(access);
}

static void access_log_report(const struct writer_proto_report *report)
{
    struct access_log *access = access_log_find(report->id);
    if (access == NULL)
        return;
    const char *are = report->count == 1 ? " was" : "s were";
    if (report->kind == WRITER_PROTO_LOST)
        log_warning("pool %s: %" PRIu64 " line%s lost on the way to %s: its disk, or the writer of "
                    "access logs, does not keep up; see `access.log`, `access.suppress_path[]`",
                    access->pool, report->count, are, access->path);
    else if (report->kind == WRITER_PROTO_INVALID)
        log_warning("pool %s: %" PRIu64 " bytes that are no line were written into the pipe of %s "
                    "and dropped: a worker was killed, or writes to descriptors that are not its "
                    "own",
                    access->pool, report->count, access->path);
    else if (report->kind == WRITER_PROTO_WRITE_FAILED)
        log_error("pool %s: cannot write to %s: %s; lines are lost until it can be written again; "
                  "see `access.log`",
                  access->pool, access->path, strerror(report->error));
    else if (report->kind == WRITER_PROTO_WRITABLE)
        log_warning("pool %s: %" PRIu64 " line%s lost: %s could not be written%s", access->pool,
                    report->count, are, access->path, report->error == 0 ? "; now it can" : "");
    else if (report->kind == WRITER_PROTO_CLOSED && access->closed)
        access_log_remove(access);
}

/* Forgets the connection to the writer. */
static void access_log_disconnect(void)
{
    if (access_log_all.control >= 0)
        ev_io_stop(access_log_all.loop, &access_log_all.reports);
    fd_close(&access_log_all.control);
}

/* Has the next writer started after ACCESS_LOG_RETRY_MS. */
static void access_log_retry(void)
{
    ev_timer_set(&access_log_all.retry, ACCESS_LOG_RETRY_MS / 1000., 0.);
    ev_timer_start(access_log_all.loop, &access_log_all.retry);
}

static void access_log_on_report(struct ev_loop *loop, ev_io *io, int events)
{
    struct writer_proto_report report;
    ssize_t n = untrusted_io_receive(access_log_all.control, &report, sizeof report);
    if (n == (ssize_t)sizeof report)
        access_log_report(&report);
    else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        access_log_disconnect();
}

/* Lines that the writer had read and not written are lost with it; others wait in the pipes. */
static void access_log_on_writer_end(struct child *child, int status)
{
    char cause[EXIT_MESSAGE_STATUS_MAX];
    access_log_disconnect();
    if (access_log_all.logs == NULL)
        return;
    access_log_all.deaths++;
    if (access_log_all.told == 0 || clock_ms() - access_log_all.told >= ACCESS_LOG_TOLD_MS) {
        exit_message_status(status, cause, sizeof cause);
        log_error("the writer of access logs has ended (%u time%s since this was last told; it "
                  "%s): lines that it had read and not written, if any, are lost, all others wait "
                  "for the next writer, which is started in %d ms",
                  access_log_all.deaths, access_log_all.deaths == 1 ? "" : "s", cause,
                  ACCESS_LOG_RETRY_MS);
        access_log_all.deaths = 0;
        access_log_all.told = clock_ms();
    }
    access_log_retry();
}

/* Returns 0, or -1 with errno. */
static int access_log_watch_writer(pid_t pid, int control)
{
    child_init(&access_log_all.writer, access_log_all.loop, access_log_on_writer_end, NULL);
    if (pid <= 0 || control < 0 || child_watch(&access_log_all.writer, pid) != 0)
        return -1;
    access_log_all.control = control;
    ev_io_init(&access_log_all.reports, access_log_on_report, control, EV_READ);
    ev_io_start(access_log_all.loop, &access_log_all.reports);
    return 0;
}

/* Returns 0, or -1 with errno. */
static int access_log_start_writer(void)
{
    int pair[2];
    if (access_log_all.control >= 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    pid_t pid = helper_process_fork(-1);
    if (pid == 0)
        writer_run(pair[1]);
    fd_close(&pair[1]);
    if (access_log_watch_writer(pid, pair[0]) != 0) {
        fd_close(&pair[0]); /* a writer that runs ends by itself */
        return -1;
    }
    log_debug("the writer of access logs is process %d", (int)pid);
    return 0;
}

int access_log_check(const struct config_pool *pool, char *error, size_t size)
{
    int fd = pool->access_log != NULL ? fd_open_log(pool->access_log) : -1;
    int number = errno;
    if (pool->access_log != NULL && fd < 0) {
        snprintf(error, size, "`access.log = %s`: cannot be opened: %s", pool->access_log,
                 safe_path_reason(number));
        errno = number;
        return -1;
    }
    fd_close(&fd);
    return 0;
}

/* Starts the next writer, which gets all logs, and is told again which are closed. */
static void access_log_on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    if (access_log_start_writer() != 0) {
        if (log_episode_begin(&access_log_all.no_writer))
            log_error("cannot start a writer of access logs: %s; lines wait in the pipes, and are "
                      "lost when these are full",
                      strerror(errno));
        access_log_retry();
        return;
    }
    if (log_episode_end(&access_log_all.no_writer))
        log_notice("a writer of access logs runs again");
    for (struct access_log *access = access_log_all.logs; access != NULL; access = access->next) {
        int file = fd_open_log(access->path);
        const int fds[] = {access->read_end, file};
        if (file < 0 || access_log_command(WRITER_PROTO_ADD, access, fds, 2) != 0)
            log_error("pool %s: cannot open %s: %s; lines are lost; see `access.log`", access->pool,
                      access->path, safe_path_reason(errno));
        else if (access->closed)
            (void)access_log_command(WRITER_PROTO_END, access, NULL, 0);
        fd_close(&file);
    }
}

/* ---- one log ---- */

/* The offset and the name of the local zone at the time `at`. */
static struct ot_zone_change access_log_zone_at(time_t at)
{
    struct tm local = {.tm_gmtoff = 0};
    struct ot_zone_change change = {.at = at};
    if (localtime_r(&at, &local) != NULL) {
        change.offset = (int32_t)local.tm_gmtoff;
        snprintf(change.name, sizeof change.name, "%s", local.tm_zone != NULL ? local.tm_zone : "");
    }
    return change;
}

/* The changes of the manager's zone, for the workers: found day by day, and within a day by halves.
 * They are looked up once a day, for all pools. */
static const struct ot_zone *access_log_zone(void)
{
    static struct ot_zone zone;
    static time_t found;
    time_t now = time(NULL);
    unsigned count = 1;
    if (found != 0 && now >= found && now - found <= ACCESS_LOG_DAY)
        return &zone;
    found = now;
    struct ot_zone_change last = access_log_zone_at(now - ACCESS_LOG_DAY);
    zone.changes[0] = last;
    zone.changes[0].at = INT64_MIN;
    for (int day = 0; day < ACCESS_LOG_ZONE_DAYS && count < OT_ZONE_CHANGES; day++) {
        time_t from = now + (day - 1) * (time_t)ACCESS_LOG_DAY, to = from + ACCESS_LOG_DAY;
        struct ot_zone_change next = access_log_zone_at(to);
        if (last.offset == next.offset && strcmp(last.name, next.name) == 0)
            continue;
        while (to - from > 1) {
            time_t middle = from + (to - from) / 2;
            struct ot_zone_change there = access_log_zone_at(middle);
            if (last.offset == there.offset && strcmp(last.name, there.name) == 0)
                from = middle;
            else
                to = middle;
        }
        zone.changes[count++] = last = access_log_zone_at(to);
    }
    for (; count < OT_ZONE_CHANGES; count++) {
        zone.changes[count] = last;
        zone.changes[count].at = INT64_MAX;
    }
    return &zone;
}

/* Publishes the format and the paths that get no line, for the workers. Returns 0, or -1 if they
 * are too long. */
static int access_log_publish(const struct config_pool *pool, struct ot_board *board)
{
    const struct value_parse_list *paths = &pool->access_suppress_path;
    size_t used = strlen(pool->access_format) + 1;
    if (used > sizeof board->access)
        return -1;
    memcpy(board->access, pool->access_format, used);
    for (size_t i = 0; i < paths->count; i++) {
        size_t length = strlen(paths->items[i]) + 1;
        if (length > sizeof board->access - used)
            return -1;
        memcpy(board->access + used, paths->items[i], length);
        used += length;
    }
    board->access_size = (uint32_t)used;
    board->zone = *access_log_zone();
    return 0;
}

/* Fills in a log. Returns 0, or -1 with the end of a sentence. */
static int access_log_make(struct access_log *access, const struct config_pool *pool,
                           const struct scoreboard *scoreboard, char *error, size_t size)
{
    int ends[2];
    char path[64];
    access->id = ++access_log_all.last_id;
    access->slots = scoreboard->count;
    access->pool = strdup(pool->name);
    access->path = strdup(pool->access_log);
    access->format = log_format_compile(pool->access_format, error, size);
    if (access->format == NULL)
        return -1;
    if (access_log_publish(pool, scoreboard->board) != 0) {
        snprintf(error, size, "access.format and access.suppress_path[] are too long together");
        return -1;
    }
    int result = -1, file = fd_open_log(pool->access_log);
    if (file >= 0 && access->pool != NULL && access->path != NULL &&
        pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
        access->read_end = ends[0];
        access->write_end = ends[1];
        /* If neither size is allowed, the pipe keeps its size. */
        if (geteuid() != 0 || fcntl(ends[1], F_SETPIPE_SZ, ACCESS_LOG_PIPE_ROOT) < 0)
            (void)fcntl(ends[1], F_SETPIPE_SZ, ACCESS_LOG_PIPE);
        /* The workers' end is readable, too: a pipe with a reader raises no SIGPIPE, even when
         * manager and writer have ended. */
        snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
        access->workers_end = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (access->workers_end >= 0 && access_log_start_writer() == 0)
            result = access_log_command(WRITER_PROTO_ADD, access, (const int[]){ends[0], file}, 2);
    }
    if (result != 0)
        snprintf(error, size, "%s", strerror(errno));
    fd_close(&file);
    return result;
}

static void access_log_begin(struct ev_loop *loop)
{
    if (access_log_all.loop != NULL)
        return;
    access_log_all.loop = loop;
    ev_timer_init(&access_log_all.retry, access_log_on_retry, 0., 0.);
}

int access_log_open(struct access_log **access, struct ev_loop *loop,
                    const struct config_pool *pool, const struct scoreboard *scoreboard,
                    char *error, size_t size)
{
    char why[512];
    *access = NULL;
    if (pool->access_log == NULL)
        return 0;
    struct access_log *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    fresh->read_end = fresh->write_end = fresh->workers_end = -1;
    access_log_begin(loop);
    if (access_log_make(fresh, pool, scoreboard, why, sizeof why) != 0) {
        snprintf(error, size, "`access.log = %s`: cannot be opened: %s", pool->access_log, why);
        access_log_free(fresh);
        return -1;
    }
    fresh->next = access_log_all.logs;
    access_log_all.logs = fresh;
    *access = fresh;
    return 0;
}

int access_log_fd(const struct access_log *access)
{
    return access != NULL ? access->workers_end : -1;
}

/* The read end stays open until the writer has emptied the pipe: another writer may need it. */
void access_log_close(struct access_log **access)
{
    struct access_log *old = *access;
    *access = NULL;
    if (old == NULL)
        return;
    old->closed = true;
    fd_close(&old->write_end);
    fd_close(&old->workers_end);
    if (access_log_all.control >= 0 && access_log_command(WRITER_PROTO_END, old, NULL, 0) != 0)
        log_error("pool %s: the writer of access logs does not answer: %s", old->pool,
                  strerror(errno));
}

/* ---- dead workers ---- */

static void access_log_write_line(struct access_log *access, unsigned slot, unsigned thread,
                                  const struct ot_record *record,
                                  const struct unfinished_request *request)
{
    char message[OT_ACCESS_MESSAGE_MAX];
    struct unfinished_request_texts texts;
    struct log_format_input input = unfinished_request_describe(record, request, &texts);
    int length = snprintf(message, sizeof message - OT_ACCESS_LINE_MAX - 1,
                          "%c%u.%u.%" PRId32 ".%" PRIu64 ".0 ", OT_ACCESS_FROM_MANAGER, slot,
                          thread, request->pid, record->requests);
    if (length < 0)
        return;
    size_t used = (size_t)length;
    used += log_format_line(access->format, &input, message + used);
    message[used++] = '\n';
    if (untrusted_io_write_own(access->write_end, message, used) == (ssize_t)used)
        return;
    char uri[OT_URI_MAX * 4];
    log_warning("pool %s: %s has no line for %s of worker %d, which died: its pipe is full",
                access->pool, access->path, escape_show(uri, sizeof uri, record->uri),
                (int)request->pid);
}

void access_log_write_unfinished(struct access_log *access, const struct scoreboard *scoreboard,
                                 unsigned slot, const struct access_log_end *end)
{
    struct ot_record record;
    struct timespec wall = {0};
    if (access == NULL)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    const struct unfinished_request request = {
        .pool = access->pool,
        .pid = scoreboard_pid(scoreboard, slot),
        .parent = (int32_t)getpid(),
        .status = end->status,
        .stop_requested = end->stop_requested,
        .now = clock_ns(),
        .wall = (int64_t)wall.tv_sec * CLOCK_NS_PER_S + wall.tv_nsec,
    };
    const struct writer_proto_report lost = {
        .kind = WRITER_PROTO_LOST,
        .id = access->id,
        .count = atomic_load(&scoreboard_slot(scoreboard, slot)->lost_lines)};
    if (lost.count > 0)
        access_log_report(&lost);
    for (unsigned i = 0; scoreboard_thread_dead(scoreboard, slot, i, &record); i++)
        if (unfinished_request_is_unlogged(&record))
            access_log_write_line(access, slot, i, &record, &request);
}

/* ---- all logs ---- */

int access_log_reopen(char *error, size_t size)
{
    int result = 0;
    /* Without a writer there is nothing to do: the next one gets new files. */
    if (access_log_all.control < 0)
        return 0;
    for (const struct access_log *access = access_log_all.logs; access != NULL;
         access = access->next) {
        int file = fd_open_log(access->path);
        if ((file < 0 || access_log_command(WRITER_PROTO_FILE, access, &file, 1) != 0) &&
            result == 0) {
            snprintf(error, size, "pool %s: cannot open the access log %s: %s; check `access.log`",
                     access->pool, access->path, safe_path_reason(errno));
            result = -1;
        }
        fd_close(&file);
    }
    return result;
}

/* ---- upgrade ---- */

static void access_log_save_one(struct saved_state *state, struct access_log *access)
{
    access->id = (uint32_t)saved_state_number(state, "access_id", access->id, 1, UINT32_MAX);
    saved_state_text(state, "access_pool", &access->pool);
    saved_state_text(state, "access_path", &access->path);
    saved_state_unsigned(state, "access_slots", &access->slots);
    access->read_end = saved_state_fd(state, "access_read", access->read_end);
    access->write_end = saved_state_fd(state, "access_write", access->write_end);
    access->workers_end = saved_state_fd(state, "access_workers", access->workers_end);
    access->closed = saved_state_flag(state, "access_closed", access->closed);
}

void access_log_saved_state(struct saved_state *state, struct ev_loop *loop)
{
    int64_t count = 0;
    for (const struct access_log *access = access_log_all.logs; access != NULL;
         access = access->next)
        count++;
    bool used = saved_state_flag(state, "access_used", access_log_all.loop != NULL);
    unsigned last = access_log_all.last_id;
    saved_state_unsigned(state, "access_last", &last);
    pid_t pid =
        (pid_t)saved_state_number(state, "access_writer", access_log_all.writer.pid, 0, INT32_MAX);
    int control = saved_state_fd(state, "access_control", access_log_all.control);
    count = saved_state_number(state, "access_logs", count, 0, INT32_MAX);
    if (state->mode == SAVED_STATE_SAVE) {
        for (struct access_log *access = access_log_all.logs; access != NULL; access = access->next)
            access_log_save_one(state, access);
        return;
    }
    if (state->mode == SAVED_STATE_RESTORE && used)
        access_log_begin(loop);
    for (int64_t i = 0; i < count && saved_state_good(state); i++) {
        struct access_log *access = calloc(1, sizeof *access);
        if (access == NULL) {
            saved_state_refuse(state, "out of memory");
            return;
        }
        access_log_save_one(state, access);
        if (state->mode == SAVED_STATE_RESTORE && access->pool != NULL && access->path != NULL) {
            access->next = access_log_all.logs;
            access_log_all.logs = access;
            continue;
        }
        access->read_end = access->write_end = access->workers_end = -1;
        access_log_free(access);
    }
    if (state->mode != SAVED_STATE_RESTORE || !used)
        return;
    access_log_all.last_id = last;
    /* The writer is taken over; if it has ended meanwhile, another is started. */
    if (access_log_watch_writer(pid, control) != 0) {
        fd_close(&control);
        if (access_log_all.logs != NULL)
            access_log_retry();
    }
}

void access_log_saved_reference(struct access_log **access, struct saved_state *state, char *format)
{
    unsigned id = *access != NULL ? (*access)->id : 0;
    char *text = id != 0 ? format : NULL, why[256] = "there is no such log";
    saved_state_unsigned(state, "generation_access", &id);
    saved_state_text(state, "generation_format", &text);
    if (state->mode == SAVED_STATE_SAVE)
        return;
    if (state->mode == SAVED_STATE_RESTORE && id != 0) {
        *access = access_log_find(id);
        if (*access != NULL && (*access)->format == NULL && text != NULL)
            (*access)->format = log_format_compile(text, why, sizeof why);
        if (*access == NULL || (*access)->format == NULL) {
            saved_state_refuse(state, "access log %u cannot be taken over: %s", id, why);
            *access = NULL;
        }
    }
    free(text);
}

/* ---- the end ---- */

void access_log_finish(void)
{
    pid_t writer = access_log_all.writer.pid;
    int64_t until = clock_ms() + ACCESS_LOG_FINISH_MS, left = ACCESS_LOG_FINISH_MS;
    if (access_log_all.loop == NULL)
        return;
    ev_timer_stop(access_log_all.loop, &access_log_all.retry);
    bool ended = access_log_all.control < 0;
    if (!ended) {
        ev_io_stop(access_log_all.loop, &access_log_all.reports);
        (void)shutdown(access_log_all.control, SHUT_WR);
    }

    /* Reads the writer's last reports until it has ended. */
    for (; !ended && left > 0; left = until - clock_ms()) {
        struct pollfd set[] = {{.fd = access_log_all.control, .events = POLLIN},
                               {.fd = access_log_all.writer.fd, .events = POLLIN}};
        struct writer_proto_report report;
        if (poll(set, 2, (int)left) <= 0)
            continue;
        if (untrusted_io_receive(access_log_all.control, &report, sizeof report) ==
            (ssize_t)sizeof report)
            access_log_report(&report);
        else if (set[1].revents != 0)
            ended = true;
        else if (set[0].revents != 0)
            fd_close(&access_log_all.control);
    }
    if (!ended)
        log_error("the writer of access logs, process %d, has not ended in time; it goes on by "
                  "itself",
                  (int)writer);
    fd_close(&access_log_all.control);
    child_forget(&access_log_all.writer);
    if (writer > 0)
        (void)waitpid(writer, NULL, WNOHANG);
    while (access_log_all.logs != NULL)
        access_log_remove(access_log_all.logs);
    access_log_all.loop = NULL;
}
