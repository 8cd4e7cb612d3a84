/* control_server.h: the control socket: takes one line from a client, calls a command, sends the
 * answer.
 *
 * Knows the commands only from the table it is given. Never waits for a client: many, slow, silent
 * and babbling ones are bounded in number, bytes and time. Who may connect is decided by the
 * socket's file; who is served, once more, by the same owner, group and mode as configured, so that
 * a file that somebody opened wider lets nobody command. Called by master.
 */
#ifndef FPM_CONTROL_SERVER_H
#define FPM_CONTROL_SERVER_H

#include "fpm/control/peer_cred.h"
#include "fpm/log/log.h"
#include "fpm/pool/socket.h"

#include <ev.h>
#include <stdbool.h>
#include <stdio.h>

enum {
    CONTROL_SERVER_ARGUMENTS_MAX = 16,
    CONTROL_SERVER_CLIENTS_MAX = 64,
    CONTROL_SERVER_WAITING_MAX = 32 /* of these, for a command that is answered later */
};

/* One request, and where its answer goes. */
struct control_server_call {
    const char *verb;
    uid_t uid; /* who asks; (uid_t)-1: unknown */
    bool json;
    int argc;
    char *argv[CONTROL_SERVER_ARGUMENTS_MAX]; /* after the verb, without options */
    FILE *body;                               /* written in memory */
    char error[4096]; /* the reason, when the command returns -1; may have several lines */
    bool hold;        /* set: keep the connection until the manager is gone */
    unsigned ticket;  /* for control_server_answer */
    bool later;       /* set: what is written so far is sent by control_server_answer */
};

struct control_server_command {
    const char *verb;
    int arguments_max;
    int (*run)(void *context, struct control_server_call *call); /* 0, or -1 with call->error */
};

struct control_server {
    struct ev_loop *loop;
    struct socket_listener listener;
    struct peer_cred_door door;
    struct log_episode refusing;                   /* strangers, since somebody was served last */
    char *folder;                                  /* of the socket, if it was made here */
    const struct control_server_command *commands; /* ends with a NULL verb */
    void *context;
    struct control_server_client *clients;
    unsigned client_count;
    unsigned tickets; /* handed out so far */
    ev_io accepting;
    ev_timer pause; /* after accept failed for lack of something */
};

/* Listens; makes the socket's folder (mode 0755) if that alone is missing. Returns 0, or -1 with a
 * sentence. */
int control_server_open(struct control_server *control, struct ev_loop *loop,
                        const struct socket_spec *spec,
                        const struct control_server_command *commands, void *context, char *error,
                        size_t size);

/* Adds to what the answer to a call that was put off says. */
void control_server_say(struct control_server *control, unsigned ticket, const char *text);

/* The answer to a call that was put off, by its ticket: what the command wrote, or `why` not. A
 * client that has left meanwhile is nobody's loss. */
void control_server_answer(struct control_server *control, unsigned ticket, const char *why);

/* Writes down the socket and those who have no answer yet. */
void control_server_save(struct control_server *control, struct saved_state *state);

/* Takes both over, in place of control_server_open; tickets stay what they were. With
 * SAVED_STATE_CHECK it only reads, and `control` is not touched. */
void control_server_restore(struct control_server *control, struct ev_loop *loop,
                            const struct socket_spec *spec, struct saved_state *state,
                            const struct control_server_command *commands, void *context);

/* Takes the socket away, and its folder if it was made here and is empty,
 * and lets the clients go, but for those held: they see the process end. */
void control_server_close(struct control_server *control);

#endif
