/* access_log.c: see access_log.h. */
#include "fpm/access_log/access_log.h"

#include "fpm/access_log/unfinished_request.h"
#include "fpm/access_log/writer.h"
#include "fpm/access_log/writer_proto.h"
#include "fpm/log/log.h"
#include "fpm/util/child.h"
#include "fpm/util/fd.h"
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
    ACCESS_LOG_PIPE =
        262144, /* bytes: some thousand lines between two rounds of the writer; four */
    ACCESS_LOG_PIPE_ROOT = 1048576, /* times that for root, whose pipes are not counted */
    ACCESS_LOG_FINISH = 3000,       /* ms that the writer has at the end */
    ACCESS_LOG_AGAIN = 1000,        /* ms until another writer is started in place of a dead one */
    ACCESS_LOG_MODE = 0640
};

struct access_log {
    struct access_log *next;
    uint32_t id;
    char *pool, *path;
    struct log_format *format;
    unsigned slots;
    int read_end;  /* kept, so that nothing is lost with a writer */
    int write_end; /* ours, for the lines of the dead; as long as it is open the pipe has no end */
    int workers_end;
    bool closed; /* the writer empties it, and says when it has */
};

static struct {
    struct ev_loop *loop; /* NULL: never used */
    struct access_log *logs;
    uint32_t last_id;
    struct child writer;
    int control; /* -1: no writer that listens */
    ev_io news;
    ev_timer again;
} access_log_all = {.writer = {.fd = -1}, .control = -1};

/* ---- the writer ---- */

static int access_log_order(uint32_t kind, const struct access_log *access, const int *fds,
                            size_t count)
{
    struct access_log_order order = {.kind = kind, .id = access->id, .slots = access->slots};
    struct iovec part = {.iov_base = &order, .iov_len = sizeof order};
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
    return sendmsg(access_log_all.control, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static struct access_log *access_log_find(uint32_t id)
{
    struct access_log *access = access_log_all.logs;
    while (access != NULL && access->id != id)
        access = access->next;
    return access;
}

static void access_log_free(struct access_log **access)
{
    struct access_log *old = *access;
    *access = NULL;
    fd_close(&old->read_end);
    fd_close(&old->write_end);
    fd_close(&old->workers_end);
    log_format_free(&old->format);
    free(old->pool);
    free(old->path);
    free(old);
}

static void access_log_forget(struct access_log *access)
{
    struct access_log **link = &access_log_all.logs;
    while (*link != access)
        link = &(*link)->next;
    *link = access->next;
    access_log_free(&access);
}

static void access_log_tell(const struct writer_proto_news *news)
{
    struct access_log *access = access_log_find(news->id);
    if (access == NULL)
        return;
    const char *are = news->count == 1 ? " was" : "s were";
    if (news->kind == WRITER_PROTO_NO_ROOM)
        log_warning("pool %s: %" PRIu64 " line%s lost on the way to %s: its disk, or the writer of "
                    "access logs, does not keep up; see `access.log`, `access.suppress_path[]`",
                    access->pool, news->count, are, access->path);
    else if (news->kind == WRITER_PROTO_JUNK)
        log_warning("pool %s: %" PRIu64 " bytes that are no line were written into the pipe of %s "
                    "and dropped: a worker was killed, or does not keep to itself",
                    access->pool, news->count, access->path);
    else if (news->kind == WRITER_PROTO_FAILING)
        log_error("pool %s: cannot write to %s: %s; lines are lost until it can be written again; "
                  "see `access.log`",
                  access->pool, access->path, strerror(news->error));
    else if (news->kind == WRITER_PROTO_RECOVERED)
        log_warning("pool %s: %" PRIu64 " line%s lost: %s could not be written%s", access->pool,
                    news->count, are, access->path, news->error == 0 ? "; now it can" : "");
    else if (news->kind == WRITER_PROTO_GONE && access->closed)
        access_log_forget(access);
}

static int access_log_start_writer(void);

static void access_log_hang_up(void)
{
    if (access_log_all.control >= 0)
        ev_io_stop(access_log_all.loop, &access_log_all.news);
    fd_close(&access_log_all.control);
}

static void access_log_try_again(void)
{
    ev_timer_set(&access_log_all.again, ACCESS_LOG_AGAIN / 1000., 0.);
    ev_timer_start(access_log_all.loop, &access_log_all.again);
}

/* What it had read and not written is lost with it; what is in the pipes waits. */
static void access_log_writer_ended(struct child *child, int status)
{
    (void)child;
    access_log_hang_up();
    if (access_log_all.logs == NULL)
        return;
    log_error("the writer of access logs is gone (wait status 0x%x): lines it held are lost, "
              "others wait for the next one, which is started in %d ms",
              (unsigned)status, ACCESS_LOG_AGAIN);
    access_log_try_again();
}

static void access_log_on_news(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)io;
    (void)events;
    struct writer_proto_news news;
    ssize_t n = recv(access_log_all.control, &news, sizeof news, MSG_DONTWAIT);
    if (n == (ssize_t)sizeof news)
        access_log_tell(&news);
    else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        access_log_hang_up();
}

/* Hands a log over to the writer. */
static int access_log_give(const struct access_log *access, int file)
{
    const int fds[] = {access->read_end, file};
    return access_log_order(WRITER_PROTO_ADD, access, fds, 2);
}

static int access_log_open_file(const char *path)
{
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    return open(path, flags, ACCESS_LOG_MODE);
}

/* Another writer takes over what is there; what was being closed is. */
static void access_log_on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    if (access_log_start_writer() != 0) {
        log_error("cannot start a writer of access logs: %s", strerror(errno));
        access_log_try_again();
        return;
    }
    for (struct access_log *next, *access = access_log_all.logs; access != NULL; access = next) {
        int file = access_log_open_file(access->path);
        next = access->next;
        if (file < 0 || access_log_give(access, file) != 0)
            log_error("pool %s: cannot open %s: %s; lines are lost; see `access.log`", access->pool,
                      access->path, strerror(errno));
        else if (access->closed)
            (void)access_log_order(WRITER_PROTO_END, access, NULL, 0);
        fd_close(&file);
    }
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
    child_init(&access_log_all.writer, access_log_all.loop, access_log_writer_ended, NULL);
    if (pid < 0 || child_watch(&access_log_all.writer, pid) != 0) {
        fd_close(&pair[0]); /* a writer that runs ends by itself */
        return -1;
    }
    access_log_all.control = pair[0];
    ev_io_init(&access_log_all.news, access_log_on_news, pair[0], EV_READ);
    ev_io_start(access_log_all.loop, &access_log_all.news);
    log_debug("the writer of access logs is process %d", (int)pid);
    return 0;
}

/* ---- one log ---- */

/* The format and the paths that get no line, for the workers to read. */
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
    return 0;
}

/* The end for workers is a description of its own, which reads too: a pipe that can be read by
 * somebody raises no SIGPIPE in them, whoever is dead. */
static int access_log_make_pipe(struct access_log *access)
{
    int ends[2];
    char path[64];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    access->read_end = ends[0];
    access->write_end = ends[1];
    /* Where that is refused it stays as it is: smaller. */
    if (geteuid() != 0 || fcntl(ends[1], F_SETPIPE_SZ, ACCESS_LOG_PIPE_ROOT) < 0)
        (void)fcntl(ends[1], F_SETPIPE_SZ, ACCESS_LOG_PIPE);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
    access->workers_end = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return access->workers_end < 0 ? -1 : 0;
}

/* Fills it in. Returns 0, or -1 with the end of a sentence. */
static int access_log_make(struct access_log *access, const struct config_pool *pool,
                           const struct scoreboard *scoreboard, char *error, size_t size)
{
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
    int file = access_log_open_file(pool->access_log);
    int result = file < 0 || access->pool == NULL || access->path == NULL ||
                         access_log_make_pipe(access) != 0 || access_log_start_writer() != 0 ||
                         access_log_give(access, file) != 0
                     ? -1
                     : 0;
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
    ev_timer_init(&access_log_all.again, access_log_on_again, 0., 0.);
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
        access_log_free(&fresh);
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

/* The read end stays open until the writer has emptied it: it may have to be handed to another. */
void access_log_close(struct access_log **access)
{
    struct access_log *old = *access;
    *access = NULL;
    if (old == NULL)
        return;
    old->closed = true;
    fd_close(&old->write_end);
    fd_close(&old->workers_end);
    if (access_log_all.control >= 0 && access_log_order(WRITER_PROTO_END, old, NULL, 0) != 0)
        log_error("pool %s: the writer of access logs does not answer: %s", old->pool,
                  strerror(errno));
}

/* ---- the dead ---- */

static void access_log_write_dead(struct access_log *access, unsigned slot, unsigned thread,
                                  const struct ot_record *record,
                                  const struct unfinished_request *death)
{
    char message[OT_ACCESS_MESSAGE_MAX];
    struct unfinished_request_texts texts;
    struct log_format_input facts = unfinished_request_describe(record, death, &texts);
    int length = snprintf(message, sizeof message - OT_ACCESS_LINE_MAX - 1,
                          "%c%u.%u.%" PRId32 ".%" PRIu64 ".0 ", OT_ACCESS_FROM_MANAGER, slot,
                          thread, death->pid, record->requests);
    if (length < 0)
        return;
    size_t used = (size_t)length;
    used += log_format_line(access->format, &facts, message + used);
    message[used++] = '\n';
    if (write(access->write_end, message, used) == (ssize_t)used)
        return;
    char uri[OT_URI_MAX * 4];
    log_warning("pool %s: %s has no line for %s of worker %d, which died: no room in its pipe",
                access->pool, access->path, escape_show(uri, sizeof uri, record->uri),
                (int)death->pid);
}

void access_log_write_unfinished(struct access_log *access, const struct scoreboard *scoreboard,
                                 unsigned slot, const struct access_log_end *end)
{
    struct ot_record record;
    struct timespec wall = {0};
    if (access == NULL)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    const struct unfinished_request death = {
        .pool = access->pool,
        .pid = scoreboard_pid(scoreboard, slot),
        .parent = (int32_t)getpid(),
        .status = end->status,
        .asked = end->asked,
        .now = clock_ns(),
        .wall = (int64_t)wall.tv_sec * CLOCK_NS_PER_S + wall.tv_nsec,
    };
    const struct writer_proto_news lost = {.kind = WRITER_PROTO_NO_ROOM,
                                           .id = access->id,
                                           .count = scoreboard_lost_lines(scoreboard, slot)};
    if (lost.count > 0)
        access_log_tell(&lost);
    for (unsigned i = 0; scoreboard_thread_dead(scoreboard, slot, i, &record); i++)
        if (unfinished_request_is_unlogged(&record))
            access_log_write_dead(access, slot, i, &record, &death);
}

/* ---- all of them ---- */

int access_log_reopen(char *error, size_t size)
{
    int result = 0;
    /* A writer that has yet to be started gets new files anyway. */
    if (access_log_all.control < 0)
        return 0;
    for (const struct access_log *access = access_log_all.logs; access != NULL;
         access = access->next) {
        int file = access_log_open_file(access->path);
        if ((file < 0 || access_log_order(WRITER_PROTO_FILE, access, &file, 1) != 0) &&
            result == 0) {
            snprintf(error, size, "pool %s: cannot open the access log %s: %s; check `access.log`",
                     access->pool, access->path, strerror(errno));
            result = -1;
        }
        fd_close(&file);
    }
    return result;
}

/* ---- another program in this process's place ---- */

static void access_log_pass(struct saved_state *state, struct access_log *access)
{
    access->id = (uint32_t)saved_state_number(state, "access_id", access->id, 1, UINT32_MAX);
    saved_state_text(state, "access_pool", &access->pool);
    saved_state_text(state, "access_path", &access->path);
    access->slots =
        (unsigned)saved_state_number(state, "access_slots", access->slots, 0, UINT32_MAX);
    access->read_end = saved_state_fd(state, "access_read", access->read_end);
    access->write_end = saved_state_fd(state, "access_write", access->write_end);
    access->workers_end = saved_state_fd(state, "access_workers", access->workers_end);
    access->closed = saved_state_flag(state, "access_closed", access->closed);
}

/* Its lines are read on; one that died meanwhile is replaced. */
static void access_log_adopt_writer(pid_t pid, int control)
{
    child_init(&access_log_all.writer, access_log_all.loop, access_log_writer_ended, NULL);
    if (pid > 0 && control >= 0 && child_watch(&access_log_all.writer, pid) == 0) {
        access_log_all.control = control;
        ev_io_init(&access_log_all.news, access_log_on_news, control, EV_READ);
        ev_io_start(access_log_all.loop, &access_log_all.news);
        return;
    }
    fd_close(&control);
    if (access_log_all.logs != NULL)
        access_log_try_again();
}

static void access_log_read_log(struct saved_state *state)
{
    struct access_log *access = calloc(1, sizeof *access);
    if (access == NULL) {
        saved_state_refuse(state, "out of memory");
        return;
    }
    access_log_pass(state, access);
    if (state->mode != SAVED_STATE_RESTORE || access->pool == NULL || access->path == NULL) {
        access->read_end = access->write_end = access->workers_end = -1;
        access_log_free(&access);
        return;
    }
    access->next = access_log_all.logs;
    access_log_all.logs = access;
}

void access_log_saved_state(struct saved_state *state, struct ev_loop *loop)
{
    size_t count = 0;
    for (const struct access_log *access = access_log_all.logs; access != NULL;
         access = access->next)
        count++;
    bool used = saved_state_flag(state, "access_used", access_log_all.loop != NULL);
    uint32_t last =
        (uint32_t)saved_state_number(state, "access_last", access_log_all.last_id, 0, UINT32_MAX);
    pid_t pid =
        (pid_t)saved_state_number(state, "access_writer", access_log_all.writer.pid, 0, INT32_MAX);
    int control = saved_state_fd(state, "access_control", access_log_all.control);
    count = (size_t)saved_state_number(state, "access_logs", (int64_t)count, 0, INT32_MAX);
    if (state->mode == SAVED_STATE_SAVE) {
        for (struct access_log *access = access_log_all.logs; access != NULL; access = access->next)
            access_log_pass(state, access);
        return;
    }
    if (state->mode == SAVED_STATE_RESTORE && used)
        access_log_begin(loop);
    for (size_t i = 0; i < count && saved_state_good(state); i++)
        access_log_read_log(state);
    if (state->mode != SAVED_STATE_RESTORE || !used)
        return;
    access_log_all.last_id = last;
    access_log_adopt_writer(pid, control);
}

uint32_t access_log_id(const struct access_log *access)
{
    return access != NULL ? access->id : 0;
}

struct access_log *access_log_restore(struct saved_state *state, uint32_t id, const char *format)
{
    char why[256] = "there is no such log";
    struct access_log *access = access_log_find(id);
    if (id == 0)
        return NULL;
    if (access != NULL && access->format == NULL && format != NULL)
        access->format = log_format_compile(format, why, sizeof why);
    if (access != NULL && access->format != NULL)
        return access;
    saved_state_refuse(state, "access log %u cannot be taken over: %s", (unsigned)id, why);
    return NULL;
}

/* The writer's last words, until it is gone. */
static void access_log_listen_out(void)
{
    int64_t until = clock_ms() + ACCESS_LOG_FINISH;
    for (int64_t left = ACCESS_LOG_FINISH; left > 0; left = until - clock_ms()) {
        struct pollfd set[] = {{.fd = access_log_all.control, .events = POLLIN},
                               {.fd = access_log_all.writer.fd, .events = POLLIN}};
        struct writer_proto_news news;
        if (poll(set, 2, (int)left) <= 0)
            continue;
        if (recv(access_log_all.control, &news, sizeof news, MSG_DONTWAIT) == (ssize_t)sizeof news)
            access_log_tell(&news);
        else if (set[1].revents != 0)
            return;
        else if (set[0].revents != 0)
            fd_close(&access_log_all.control);
    }
    log_error("the writer of access logs, process %d, has not ended in time; it goes on by itself",
              (int)access_log_all.writer.pid);
}

void access_log_finish(void)
{
    pid_t writer = access_log_all.writer.pid;
    if (access_log_all.loop == NULL)
        return;
    ev_timer_stop(access_log_all.loop, &access_log_all.again);
    if (access_log_all.control >= 0) {
        ev_io_stop(access_log_all.loop, &access_log_all.news);
        (void)shutdown(access_log_all.control, SHUT_WR);
        access_log_listen_out();
    }
    fd_close(&access_log_all.control);
    child_forget(&access_log_all.writer);
    if (writer > 0)
        (void)waitpid(writer, NULL, WNOHANG);
    while (access_log_all.logs != NULL)
        access_log_forget(access_log_all.logs);
    access_log_all.loop = NULL;
}
