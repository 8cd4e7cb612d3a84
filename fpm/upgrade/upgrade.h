/* upgrade.h: another version of the program replaces the manager by exec: process number, sockets,
 * scoreboards and workers stay.
 *
 * The old program runs the new one as a child process, which says whether it can continue from the
 * saved state, and then saves the state once more and executes it; if any of that fails, nothing
 * has changed. The event loop goes on until the exec. The new program restores the state. Decides
 * what is saved, and in which order.
 *
 * The environment variable UPGRADE_ENV tells the new program which descriptor holds the state. All
 * signals are blocked meanwhile: one that arrives waits for the new program.
 */
#ifndef FPM_UPGRADE_H
#define FPM_UPGRADE_H

#include "fpm/control/control_server.h"
#include "fpm/manager/pool_set.h"
#include "fpm/upgrade/upgrade_state.h"
#include "fpm/util/saved_state.h"
#include "fpm/worker/helper_process.h"

#include <ev.h>
#include <sys/resource.h>

#define UPGRADE_ENV "OVERTIME_UPGRADE"

/* Hidden option of the program, by which it is asked. A program that can continue says so in its
 * last line, with its version in between. */
#define UPGRADE_OPTION     "can-adopt"
#define UPGRADE_YES_BEFORE "overtime "
#define UPGRADE_YES_AFTER  " can take over"

/* The part of the state that belongs to main and master. */
struct upgrade_manager {
    char *version;   /* of the old program */
    bool background; /* it has left its terminal */
    char *pid_path;  /* NULL = none */
    int pid_fd;      /* locked; -1 = none */
    struct rlimit files;
    unsigned state; /* enum master_state */
    int64_t started;
    unsigned reloads;
    bool listening;  /* there is a control socket */
    unsigned ticket; /* of the client that asked for the upgrade */
    bool wait;       /* that client is answered after the reload that follows */
    unsigned waiting[CONTROL_SERVER_CLIENTS_MAX]; /* tickets of clients that wait for a reload */
    unsigned waiting_count;
};

/* ---- the old program ---- */

struct upgrade_events {
    /* Fills in the manager's part. Returns 0, or -1 with a sentence if this is not the time. */
    int (*save)(void *owner, struct upgrade_manager *manager, char *error, size_t size);
    void (*failed)(void *owner, const char *why);
};

/* Which program to execute, and with which arguments. */
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
    struct helper_process probe; /* the new program is asked */
    struct saved_state state;    /* for it */
    ev_timer exec;
};

void upgrade_init(struct upgrade *upgrade, struct ev_loop *loop,
                  const struct upgrade_program *program, struct pool_set *pools,
                  struct control_server *control, const struct upgrade_events *events, void *owner);

/* Begins: later either `failed` is called, or the new program runs. `flags` as for config_load.
 * Returns 0, or -1 with a sentence if it cannot begin. */
int upgrade_begin(struct upgrade *upgrade, unsigned flags, char *error, size_t size);

void upgrade_stop(struct upgrade *upgrade);

/* ---- the new program ---- */

struct upgrade_saved {
    struct saved_state state;
    struct upgrade_manager manager;
    struct upgrade_state_configs configs;
};

/* The descriptor of the state, -1 = there is none. Removes the variable. */
int upgrade_given(void);

/* Reads everything but access logs, pools and control socket. Returns 0, or -1 with a sentence. */
int upgrade_read(struct upgrade_saved *saved, int fd, enum saved_state_mode mode, unsigned flags,
                 char *error, size_t size);

/* Restores the rest: `pools` is as pool_set_begin made it, `spec` and what follows are as for
 * control_server_open. Returns 0, or -1 with a sentence and a part of the pools, fit to be stopped.
 */
int upgrade_restore(struct upgrade_saved *saved, struct ev_loop *loop, struct pool_set *pools,
                    struct control_server *control, const struct socket_spec *spec,
                    const struct control_server_command *commands, void *context, char *error,
                    size_t size);

void upgrade_free(struct upgrade_saved *saved);

/* Can this program continue from the state in `fd`? Returns 0, or -1 with a
 * sentence. */
int upgrade_try(int fd, unsigned flags, char *error, size_t size);

#endif
