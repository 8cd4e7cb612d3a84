/* upgrade.h: another version of the program takes the manager's place by exec: process number,
 * sockets, scoreboards and workers stay.
 *
 * In the manager that goes: asks the new program whether it can (upgrade_probe.h), writes down
 * everything and executes it; whatever fails, nothing has changed. In the one that comes: reads it.
 * Decides what is handed over, and in which order. Called by main and master.
 *
 * The environment variable UPGRADE_ENV tells the new program which descriptor holds the paper. All
 * signals are blocked meanwhile: one that comes waits for the new program.
 */
#ifndef FPM_UPGRADE_H
#define FPM_UPGRADE_H

#include "fpm/control/control_server.h"
#include "fpm/manager/pool_set.h"
#include "fpm/upgrade/upgrade_probe.h"
#include "fpm/upgrade/upgrade_state.h"
#include "fpm/util/saved_state.h"

#include <ev.h>
#include <sys/resource.h>

#define UPGRADE_ENV "OVERTIME_UPGRADE"

/* Hidden option of the program, by which the probe asks. */
#define UPGRADE_OPTION "can-adopt"

/* What main and master know and the pools do not. */
struct upgrade_facts {
    char *version;   /* of the program that goes */
    bool background; /* it has left its terminal */
    char *pid_path;  /* NULL: none */
    int pid_fd;      /* locked, -1: none */
    struct rlimit files;
    unsigned state; /* the master's own */
    int64_t started;
    unsigned reloads;
    bool listening;  /* there is a control socket */
    unsigned asking; /* ticket of the one who asked for this */
    bool wait;       /* until the reload that follows has come to its end */
    unsigned waiting[CONTROL_SERVER_CLIENTS_MAX]; /* tickets of those who wait for a reload's end */
    unsigned waiting_count;
};

/* ---- the program that goes ---- */

struct upgrade_events {
    /* Fills in the facts. Returns 0, or -1 with a sentence if it cannot be now. */
    int (*leave)(void *owner, struct upgrade_facts *facts, char *error, size_t size);
    /* It came to nothing. */
    void (*failed)(void *owner, const char *why);
};

/* Which program, and how it was called. */
struct upgrade_program {
    const char *path; /* absolute */
    char *const *argv;
};

struct upgrade {
    struct ev_loop *loop;
    struct upgrade_program program;
    struct pool_set *pools;
    struct control_server *control;
    const struct upgrade_events *events;
    void *owner;
    struct upgrade_probe probe;
    struct saved_state paper; /* for the probe */
    ev_timer go;
};

void upgrade_init(struct upgrade *upgrade, struct ev_loop *loop,
                  const struct upgrade_program *program, struct pool_set *pools,
                  struct control_server *control, const struct upgrade_events *events, void *owner);

/* Begins: either `failed` follows, or another program. `flags` as for config_load. Returns 0, or -1
 * with a sentence if it cannot begin. */
int upgrade_begin(struct upgrade *upgrade, unsigned flags, char *error, size_t size);

void upgrade_stop(struct upgrade *upgrade);

/* ---- the program that comes ---- */

struct upgrade_heritage {
    struct saved_state paper;
    struct upgrade_facts facts;
    struct upgrade_state upgrade_state;
};

/* The descriptor of the paper, if there is one; the variable is removed. -1 = none. */
int upgrade_given(void);

/* Reads everything but pools and control socket. Returns 0, or -1 with a sentence. */
int upgrade_read(struct upgrade_heritage *heritage, int fd, enum saved_state_mode mode,
                 unsigned flags, char *error, size_t size);

/* Takes over the rest: `pools` is as pool_set_begin made it, `spec` and the others are as for
 * control_server_open. Returns 0, or -1 with a sentence and a part of the pools, fit to be stopped.
 */
int upgrade_adopt(struct upgrade_heritage *heritage, struct ev_loop *loop, struct pool_set *pools,
                  struct control_server *control, const struct socket_spec *spec,
                  const struct control_server_command *commands, void *context, char *error,
                  size_t size);

void upgrade_free(struct upgrade_heritage *heritage);

/* Answers the probe: could this program take over what `fd` holds? Returns 0, or -1 with a
 * sentence. */
int upgrade_try(int fd, unsigned flags, char *error, size_t size);

#endif
