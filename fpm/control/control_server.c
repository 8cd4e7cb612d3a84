/* control_server.c: see control_server.h. */
#include "fpm/control/control_server.h"

#include "fpm/control/control_proto.h"
#include "fpm/log/log.h"
#include "fpm/util/account.h"
#include "fpm/util/error.h"
#include "fpm/util/fd.h"
#include "fpm/util/untrusted_io.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Seconds that a client has to send its line, to take its answer, and to close. */
#define CONTROL_SERVER_PATIENCE 5.
/* Seconds without accepting after accept failed. */
#define CONTROL_SERVER_PAUSE    1.

enum control_server_state {
    CONTROL_SERVER_READING,
    CONTROL_SERVER_WRITING,
    CONTROL_SERVER_LEAVING, /* answered; further input is discarded */
    CONTROL_SERVER_HELD,    /* answered; open until the client leaves or the manager ends */
    CONTROL_SERVER_WAITING  /* the answer comes by control_server_answer */
};

struct control_server_client {
    struct control_server *control;
    struct control_server_client *next;
    enum control_server_state state;
    int fd;
    ev_io io;
    ev_timer patience;
    bool hold;
    unsigned ticket;
    char line[CONTROL_LINE_MAX];
    size_t line_used;
    char *answer;
    size_t answer_size, answer_sent;
};

static void control_server_accept_on(struct control_server *control)
{
    if (control->client_count < CONTROL_SERVER_CLIENTS_MAX && control->listener.fd >= 0)
        ev_io_start(control->loop, &control->accepting);
}

static void control_server_client_free(struct control_server_client *client)
{
    struct control_server *control = client->control;
    struct control_server_client **link = &control->clients;
    ev_io_stop(control->loop, &client->io);
    ev_timer_stop(control->loop, &client->patience);
    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    fd_close(&client->fd);
    free(client->answer);
    free(client);
    control->client_count--;
    control_server_accept_on(control);
}

/* The one place where a client changes its state. */
static void control_server_client_move(struct control_server_client *client,
                                       enum control_server_state state)
{
    struct ev_loop *loop = client->control->loop;
    client->state = state;
    ev_io_stop(loop, &client->io);
    ev_io_set(&client->io, client->fd, state == CONTROL_SERVER_WRITING ? EV_WRITE : EV_READ);
    ev_io_start(loop, &client->io);
    ev_timer_stop(loop, &client->patience);
    if (state == CONTROL_SERVER_HELD || state == CONTROL_SERVER_WAITING)
        return;
    ev_timer_set(&client->patience, CONTROL_SERVER_PATIENCE, 0.);
    ev_timer_start(loop, &client->patience);
}

/* ---- the answer ---- */

static void control_server_write(struct control_server_client *client)
{
    while (client->answer_sent < client->answer_size) {
        ssize_t sent = untrusted_io_send(client->fd, client->answer + client->answer_sent,
                                         client->answer_size - client->answer_sent);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            control_server_client_move(client, CONTROL_SERVER_WRITING);
            return;
        }
        if (sent < 0) {
            control_server_client_free(client);
            return;
        }
        client->answer_sent += (size_t)sent;
    }
    if (client->hold) {
        control_server_client_move(client, CONTROL_SERVER_HELD);
        return;
    }
    /* A close with unread input would make the kernel discard the answer. */
    (void)shutdown(client->fd, SHUT_WR);
    control_server_client_move(client, CONTROL_SERVER_LEAVING);
}

__attribute__((format(printf, 2, 3))) static void
control_server_refuse(struct control_server_client *client, const char *format, ...)
{
    FILE *out;
    va_list reason;
    free(client->answer);
    client->answer = NULL;
    out = open_memstream(&client->answer, &client->answer_size);
    if (out != NULL) {
        fputs(CONTROL_ERROR " ", out);
        va_start(reason, format);
        vfprintf(out, format, reason);
        va_end(reason);
        fputc('\n', out);
    }
    if (out == NULL || fclose(out) != 0)
        control_server_client_free(client);
    else
        control_server_write(client);
}

static void control_server_run(struct control_server_client *client,
                               const struct control_server_command *command,
                               struct control_server_call *call)
{
    struct control_server *control = client->control;
    call->body = open_memstream(&client->answer, &client->answer_size);
    if (call->body == NULL) {
        control_server_refuse(client, "out of memory");
        return;
    }
    fputs(CONTROL_OK "\n", call->body);
    client->ticket = call->ticket = ++control->tickets;
    unsigned waiting = 0;
    for (const struct control_server_client *each = control->clients; each != NULL;
         each = each->next)
        waiting += each->state == CONTROL_SERVER_WAITING;
    int result = command->run(control->context, call);
    bool whole = !ferror(call->body);
    whole = fclose(call->body) == 0 && whole;
    client->hold = call->hold;
    if (result != 0)
        control_server_refuse(client, "%s", call->error);
    else if (!whole)
        control_server_refuse(client, "out of memory");
    else if (call->later && waiting >= CONTROL_SERVER_WAITING_MAX)
        control_server_refuse(
            client, "it is being done, but too many clients wait for an answer already: ask "
                    "without --wait");
    else if (call->later)
        control_server_client_move(client, CONTROL_SERVER_WAITING);
    else
        control_server_write(client);
}

static struct control_server_client *
control_server_find_waiting(const struct control_server *control, unsigned ticket)
{
    struct control_server_client *client = control->clients;
    while (client != NULL && (client->state != CONTROL_SERVER_WAITING || client->ticket != ticket))
        client = client->next;
    return client;
}

void control_server_say(struct control_server *control, unsigned ticket, const char *text)
{
    struct control_server_client *client = control_server_find_waiting(control, ticket);
    size_t length = strlen(text);
    char *grown = client != NULL ? realloc(client->answer, client->answer_size + length) : NULL;
    if (grown == NULL)
        return;
    memcpy(grown + client->answer_size, text, length);
    client->answer = grown;
    client->answer_size += length;
}

void control_server_answer(struct control_server *control, unsigned ticket, const char *why)
{
    struct control_server_client *client = control_server_find_waiting(control, ticket);
    if (client != NULL && why != NULL)
        control_server_refuse(client, "%s", why);
    else if (client != NULL)
        control_server_write(client);
}

/* Splits the line in place. Returns 0, or -1 if it is no request. */
static int control_server_parse(char *line, struct control_server_call *call)
{
    char *rest = line;
    char *word = strsep(&rest, " ");
    if (word == NULL || strcmp(word, CONTROL_HELLO) != 0 || rest == NULL)
        return -1;
    call->verb = strsep(&rest, " ");
    while ((word = strsep(&rest, " ")) != NULL) {
        if (strcmp(word, CONTROL_JSON) == 0)
            call->json = true;
        else if (*word == '\0' || call->argc == CONTROL_SERVER_ARGUMENTS_MAX)
            return -1;
        else
            call->argv[call->argc++] = word;
    }
    return 0;
}

/* Checks the user and the line, and runs the command. */
static void control_server_dispatch(struct control_server_client *client)
{
    struct control_server *control = client->control;
    struct peer_cred peer = peer_cred_look(client->fd);
    struct control_server_call call = {.uid = peer.known ? peer.uid : (uid_t)-1};
    char who[32] = "an unknown user", shown[128];

    /* After a refusal the log has no more of them until a user was served. */
    if (!peer_cred_may(&peer, &control->door, geteuid())) {
        static const char reason[] = "may not command this manager: see `control.owner`, "
                                     "`control.group` and `control.mode` in [global]";
        if (peer.known)
            snprintf(who, sizeof who, "user %u", (unsigned)peer.uid);
        if (log_episode_begin(&control->refusing))
            log_warning("control: refused: %s %s", who, reason);
        control_server_refuse(client, "%s %s", who, reason);
        return;
    }
    (void)log_episode_end(&control->refusing);
    if (memchr(client->line, '\0', client->line_used) != NULL ||
        control_server_parse(client->line, &call) != 0) {
        control_server_refuse(client,
                              "not a request: expected \"" CONTROL_HELLO " VERB [ARGUMENT]\"");
        return;
    }
    const struct control_server_command *command = control->commands;
    while (command->verb != NULL && strcmp(command->verb, call.verb) != 0)
        command++;
    if (command->verb == NULL)
        control_server_refuse(client, "unknown command \"%s\"",
                              escape_show(shown, sizeof shown, call.verb));
    else if (call.argc > command->arguments_max)
        control_server_refuse(client, "too many arguments for \"%s\": at most %d", command->verb,
                              command->arguments_max);
    else {
        log_debug("control: %s", command->verb);
        control_server_run(client, command, &call);
    }
}

/* ---- the request ---- */

static void control_server_on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct control_server_client *client = io->data;
    if (client->state == CONTROL_SERVER_WRITING) {
        control_server_write(client);
        return;
    }

    /* Clients that have sent their line are read only to see them leave. */
    char waste[4096];
    bool reading = client->state == CONTROL_SERVER_READING;
    char *to = reading ? client->line + client->line_used : waste;
    ssize_t got = untrusted_io_receive(
        client->fd, to, reading ? sizeof client->line - client->line_used : sizeof waste);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        control_server_client_free(client);
        return;
    }
    if (!reading)
        return;
    char *newline = memchr(to, '\n', (size_t)got);
    client->line_used += (size_t)got;
    if (newline != NULL) {
        *newline = '\0';
        client->line_used = (size_t)(newline - client->line);
        control_server_dispatch(client);
    } else if (client->line_used == sizeof client->line)
        control_server_refuse(client, "the request is too long");
}

static void control_server_on_impatience(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control_server_client *client = timer->data;
    if (client->state == CONTROL_SERVER_READING)
        control_server_refuse(client, "no request came");
    else
        control_server_client_free(client);
}

/* ---- accepting ---- */

static void control_server_client_new(struct control_server *control, int fd)
{
    struct control_server_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        fd_close(&fd);
        return;
    }
    client->control = control;
    client->fd = fd;
    client->next = control->clients;
    control->clients = client;
    control->client_count++;
    ev_io_init(&client->io, control_server_on_io, fd, EV_READ);
    ev_timer_init(&client->patience, control_server_on_impatience, CONTROL_SERVER_PATIENCE, 0.);
    client->io.data = client->patience.data = client;
    control_server_client_move(client, CONTROL_SERVER_READING);
}

static void control_server_on_accept(struct ev_loop *loop, ev_io *io, int events)
{
    struct control_server *control = io->data;

    /* At the maximum of clients one is dropped: the oldest that has sent no line or has its answer,
     * otherwise the oldest that does not take its answer. Clients that wait for an answer stay. */
    if (control->client_count >= CONTROL_SERVER_CLIENTS_MAX) {
        struct control_server_client *oldest = NULL, *slow = NULL;
        for (struct control_server_client *client = control->clients; client != NULL;
             client = client->next)
            if (client->state == CONTROL_SERVER_READING || client->state == CONTROL_SERVER_LEAVING)
                oldest = client;
            else if (client->state == CONTROL_SERVER_WRITING)
                slow = client;
        if (oldest == NULL)
            oldest = slow;
        if (oldest == NULL) {
            ev_io_stop(loop, io);
            return;
        }
        control_server_client_free(oldest);
    }

    int fd = untrusted_io_accept_own(io->fd);
    if (fd >= 0)
        control_server_client_new(control, fd);
    if (fd >= 0 || errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
        return;
    log_error("control: cannot accept: %s; check `rlimit_files` in [global]", strerror(errno));
    ev_io_stop(loop, io);
    ev_timer_set(&control->pause, CONTROL_SERVER_PAUSE, 0.);
    ev_timer_start(loop, &control->pause);
}

static void control_server_on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    control_server_accept_on(timer->data);
}

/* ---- the socket ---- */

int control_server_spec(const struct config_global *global, struct socket_spec *spec, char *error,
                        size_t size)
{
    struct account owner = {.uid = (uid_t)-1};
    gid_t group = (gid_t)-1;
    char why[ERROR_SIZE];
    if ((global->control_owner != NULL &&
         account_user(global->control_owner, &owner, why, sizeof why) != 0) ||
        (global->control_group != NULL &&
         account_group(global->control_group, &group, why, sizeof why) != 0)) {
        snprintf(error, size, "control socket: owner or group %s", why);
        return -1;
    }
    *spec = (struct socket_spec){
        .path = global->control_listen.path,
        .backlog = CONTROL_SERVER_CLIENTS_MAX,
        .mode = global->control_mode,
        .uid = owner.uid,
        .gid = group,
    };
    return 0;
}

/* Makes the socket's folder if it is missing: /run is empty after each boot. */
static int control_server_make_folder(struct control_server *control, const char *path, char *error,
                                      size_t size)
{
    struct stat status;
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    char *folder = strndup(path, (size_t)(slash - path));
    if (folder == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    mode_t old = umask(022);
    int made = stat(folder, &status) != 0 && errno == ENOENT ? mkdir(folder, 0755) : 1;
    int reason = errno;
    umask(old);
    if (made == 0) {
        control->folder = folder;
        return 0;
    }
    if (made < 0 && reason != EEXIST)
        snprintf(error, size,
                 "cannot make its folder %s: %s; make it, or set `control.listen` in [global]",
                 folder, strerror(reason));
    free(folder);
    return made < 0 && reason != EEXIST ? -1 : 0;
}

/* A folder that holds other files stays. */
static void control_server_remove_folder(struct control_server *control)
{
    if (control->folder != NULL)
        (void)rmdir(control->folder);
    free(control->folder);
    control->folder = NULL;
}

static void control_server_init(struct control_server *control, struct ev_loop *loop,
                                const struct socket_spec *spec,
                                const struct control_server_command *commands, void *context)
{
    *control = (struct control_server){
        .loop = loop, .listener = SOCKET_NONE, .commands = commands, .context = context};
    control->door = (struct peer_cred_door){
        .mode = spec->mode,
        .uid = spec->uid != (uid_t)-1 ? spec->uid : geteuid(),
        .gid = spec->gid != (gid_t)-1 ? spec->gid : getegid(),
    };
    ev_timer_init(&control->pause, control_server_on_pause_over, 0., 0.);
    control->pause.data = control;
}

static void control_server_listen(struct control_server *control)
{
    (void)untrusted_io_own(control->listener.fd);
    ev_io_init(&control->accepting, control_server_on_accept, control->listener.fd, EV_READ);
    control->accepting.data = control;
    control_server_accept_on(control);
}

/* Says which manager listens there already, if it is one. */
static void control_server_name_other(const char *path, char *error, size_t size)
{
    char name[64], comm[32] = "";
    pid_t pid = socket_listening_process(path);
    snprintf(name, sizeof name, "/proc/%d/comm", (int)pid);
    FILE *file = pid > 0 ? fopen(name, "re") : NULL;
    bool known = file != NULL && fgets(comm, sizeof comm, file) != NULL;
    if (file != NULL)
        (void)fclose(file);
    comm[strcspn(comm, "\n")] = '\0';
    if (known && strcmp(comm, "overtime") == 0)
        snprintf(error, size,
                 "overtime, process %d, runs with this control socket, %s: stop it first, or give "
                 "this manager its own `control.listen`",
                 (int)pid, path);
    else if (known)
        snprintf(error, size, "cannot listen on %s: process %d (%s) listens there", path, (int)pid,
                 comm);
}

int control_server_open(struct control_server *control, struct ev_loop *loop,
                        const struct socket_spec *spec,
                        const struct control_server_command *commands, void *context, char *error,
                        size_t size)
{
    control_server_init(control, loop, spec, commands, context);
    if (control_server_make_folder(control, spec->path, error, size) != 0)
        return -1;
    if (socket_listen(&control->listener, spec, error, size) != 0) {
        int number = errno;
        if (number == EADDRINUSE)
            control_server_name_other(spec->path, error, size);
        control_server_remove_folder(control);
        errno = number;
        return -1;
    }
    control_server_listen(control);
    return 0;
}

/* ---- upgrade ---- */

/* A client without an answer, with the part of its line that was read or the part of the answer
 * that is still to be sent. */
struct control_server_saved_client {
    unsigned state, ticket;
    int fd;
    char *text;
    size_t size;
};

static void control_server_pass(struct saved_state *state,
                                struct control_server_saved_client *saved)
{
    saved->state =
        (unsigned)saved_state_number(state, "client", saved->state, 0, CONTROL_SERVER_WAITING);
    saved->ticket =
        (unsigned)saved_state_number(state, "client_ticket", saved->ticket, 0, UINT32_MAX);
    saved->fd = saved_state_fd(state, "client_fd", saved->fd);
    saved_state_bytes(state, "client_text", &saved->text, &saved->size);
}

static bool control_server_goes_along(const struct control_server_client *client)
{
    return client->state == CONTROL_SERVER_READING || client->state == CONTROL_SERVER_WRITING ||
           client->state == CONTROL_SERVER_WAITING;
}

static void control_server_pass_socket(struct control_server *control, struct saved_state *state)
{
    socket_saved_state(&control->listener, state);
    saved_state_text(state, "control_folder", &control->folder);
    control->tickets =
        (unsigned)saved_state_number(state, "control_tickets", control->tickets, 0, UINT32_MAX);
}

void control_server_hand_over(struct control_server *control, struct saved_state *state)
{
    int64_t count = 0;
    control_server_pass_socket(control, state);
    for (const struct control_server_client *client = control->clients; client != NULL;
         client = client->next)
        count += control_server_goes_along(client);
    (void)saved_state_number(state, "clients", count, 0, CONTROL_SERVER_CLIENTS_MAX);
    for (struct control_server_client *client = control->clients; client != NULL;
         client = client->next) {
        bool reading = client->state == CONTROL_SERVER_READING;
        struct control_server_saved_client saved = {
            .state = client->state,
            .ticket = client->ticket,
            .fd = client->fd,
            .text = reading ? client->line : client->answer + client->answer_sent,
            .size = reading ? client->line_used : client->answer_size - client->answer_sent,
        };
        if (control_server_goes_along(client))
            control_server_pass(state, &saved);
    }
}

void control_server_adopt(struct control_server *control, struct ev_loop *loop,
                          const struct socket_spec *spec, struct saved_state *state,
                          const struct control_server_command *commands, void *context)
{
    struct control_server fresh;
    control_server_init(&fresh, loop, spec, commands, context);
    control_server_pass_socket(&fresh, state);
    bool take = state->mode == SAVED_STATE_RESTORE && fresh.listener.fd >= 0;
    if (take) {
        *control = fresh;
        control->pause.data = control;
        control_server_listen(control);
    } else {
        free(fresh.folder);
        socket_disown(&fresh.listener);
    }
    int64_t count = saved_state_number(state, "clients", 0, 0, CONTROL_SERVER_CLIENTS_MAX);
    for (int64_t i = 0; i < count && saved_state_good(state); i++) {
        struct control_server_saved_client saved = {.fd = -1};
        control_server_pass(state, &saved);
        if (take && saved_state_good(state))
            control_server_client_new(control, saved.fd);
        struct control_server_client *client = take ? control->clients : NULL;
        if (client != NULL && client->fd == saved.fd) {
            client->ticket = saved.ticket;
            if (saved.state != CONTROL_SERVER_READING) {
                client->answer = saved.text;
                client->answer_size = saved.size;
                saved.text = NULL;
                control_server_client_move(client, (enum control_server_state)saved.state);
            } else if (saved.text != NULL && saved.size < sizeof client->line) {
                memcpy(client->line, saved.text, saved.size);
                client->line_used = saved.size;
            }
        }
        free(saved.text);
    }
}

void control_server_close(struct control_server *control)
{
    if (control->listener.fd < 0)
        return;
    ev_io_stop(control->loop, &control->accepting);
    ev_timer_stop(control->loop, &control->pause);
    socket_close(&control->listener);
    control_server_remove_folder(control);
    struct control_server_client *next;
    for (struct control_server_client *client = control->clients; client != NULL; client = next) {
        next = client->next;
        if (client->state == CONTROL_SERVER_HELD)
            client->fd = -1; /* stays open until the process ends, which tells the client */
        control_server_client_free(client);
    }
}
