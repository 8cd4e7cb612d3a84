/* control_server.h: the control socket: takes one line from a client, runs a command, sends the
 * answer.
 *
 * Knows the commands only from the table that it is given. Never waits for a client: their number,
 * their bytes and their time are bounded. The socket's file decides who may connect; the configured
 * owner, group and mode are checked once more for each client, so that a file whose mode was
 * widened by hand lets no more users command.
 */
#ifndef FPM_CONTROL_SERVER_H
#define FPM_CONTROL_SERVER_H

#include "fpm/config/config.h"
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

/* One request and its answer. */
struct control_server_call {
    const char *verb;
    uid_t uid; /* of the client; (uid_t)-1: unknown */
    bool json;
    int argc;
    char *argv[CONTROL_SERVER_ARGUMENTS_MAX]; /* after the verb, without options */
    FILE *body;                               /* written in memory */
    char error[4096]; /* the reason, when the command returns -1; may have several lines */
    bool hold;        /* set: keep the connection until the manager is gone */
    unsigned ticket;  /* for control_server_answer */
    bool later;       /* set: control_server_answer sends what is written so far */
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
    struct log_episode refusing;                   /* users were refused since a user was served */
    char *folder;                                  /* of the socket, if it was made here */
    const struct control_server_command *commands; /* ends with a NULL verb */
    void *context;
    struct control_server_client *clients;
    unsigned client_count;
    unsigned tickets; /* handed out so far */
    ev_io accepting;
    ev_timer pause; /* after accept failed */
};

/* Fills in the socket's path and rights from [global]: looks up owner and group, opens nothing.
 * `spec` borrows from `global`. Returns 0, or -1 with a sentence. */
int control_server_spec(const struct config_global *global, struct socket_spec *spec, char *error,
                        size_t size);

/* Listens, and makes the socket's folder (mode 0755) if its parent exists. Returns 0, or -1 with a
 * sentence. */
int control_server_open(struct control_server *control, struct ev_loop *loop,
                        const struct socket_spec *spec,
                        const struct control_server_command *commands, void *context, char *error,
                        size_t size);

/* Adds text to the answer of a call that is answered later. */
void control_server_say(struct control_server *control, unsigned ticket, const char *text);

/* Answers a call by its ticket: with what the command wrote, or with the refusal `why`. Does
 * nothing if the client has left meanwhile. */
void control_server_answer(struct control_server *control, unsigned ticket, const char *why);

/* Saves the socket and the clients that have no answer yet. */
void control_server_hand_over(struct control_server *control, struct saved_state *state);

/* Restores both, in place of control_server_open; tickets stay the same. With SAVED_STATE_CHECK it
 * only reads, and does not touch `control`. */
void control_server_adopt(struct control_server *control, struct ev_loop *loop,
                          const struct socket_spec *spec, struct saved_state *state,
                          const struct control_server_command *commands, void *context);

/* Removes the socket, and its folder if it was made here and is empty, and closes the clients
 * except those held: they see the process end. */
void control_server_close(struct control_server *control);

#endif
