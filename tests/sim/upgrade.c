/* upgrade.c: see sim.h: an upgrade in place.
 *
 * The state is written as upgrade.c does; then what exec would end is ended, with the processes and
 * the descriptors of the state kept; then the state is read.
 */
#include "fpm/access_log/access_log.h"
#include "fpm/config/config.h"
#include "fpm/pool/socket_activation.h"
#include "fpm/upgrade/upgrade_state.h"
#include "fpm/util/fd.h"
#include "tests/sim/sim.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    UPGRADE_KEPT = 1024,
    UPGRADE_ASIDE = 2000 /* descriptors from here on */
};

static struct {
    int number, aside;
} upgrade_kept[UPGRADE_KEPT];
static size_t upgrade_kept_count;

static void upgrade_keep(int fd)
{
    for (size_t i = 0; i < upgrade_kept_count; i++)
        if (upgrade_kept[i].number == fd)
            return;
    if (upgrade_kept_count == UPGRADE_KEPT)
        sim_fail("upgrade", "more than %d descriptors", UPGRADE_KEPT);
    upgrade_kept[upgrade_kept_count].number = fd;
    upgrade_kept[upgrade_kept_count++].aside = fcntl(fd, F_DUPFD_CLOEXEC, UPGRADE_ASIDE);
}

static void upgrade_save(struct pool_set *pools, struct saved_state *state)
{
    struct upgrade_state_configs configs;
    if (upgrade_state_collect(&configs, pools) != 0 || saved_state_begin(state) != 0)
        sim_fail("upgrade", "cannot begin");
    upgrade_state_texts(&configs, state, 0);
    access_log_saved_state(state, NULL);
    socket_activation_saved_state(state);
    upgrade_state_pools(&configs, state, pools);
    if (saved_state_end(state) != 0)
        sim_fail("upgrade", "%s", state->error);
    upgrade_state_free(&configs);
    upgrade_kept_count = 0;
    for (size_t i = 0; i < state->kept_count; i++)
        upgrade_keep(state->kept[i]);
}

static void upgrade_drop_generation(struct generation *generation)
{
    for (unsigned i = 0; i < generation->size; i++) {
        struct generation_member *member = &generation->members[i];
        output_capture_close(&member->output.capture);
        output_capture_close(&member->error.capture);
        output_capture_close(&member->messages.capture);
        fd_close(&member->worker.report_fd);
        member->worker.child.pid = 0;
        member->worker.state = WORKER_NONE;
    }
    memset(generation->counts, 0, sizeof generation->counts);
    generation->counts[WORKER_NONE] = generation->size;
    generation->live = generation->retiring = 0;
}

/* Ends the old program: its memory, its watches and its descriptors. */
static void upgrade_drop(struct pool_set *pools)
{
    pool_set_hand_over(pools);
    sim_loop_forget();
    for (size_t i = 0; i < sim_process_end; i++)
        sim_processes[i].on_end = NULL;
    for (size_t i = 0; i < pools->count; i++) {
        struct pool *pool = &pools->items[i]->pool;
        for (struct generation *g = pool->current; g != NULL; g = g->older)
            upgrade_drop_generation(g);
        pool_disown_socket(pool);
        socket_disown(&pool->former);
    }
    pool_set_close(pools);
}

void sim_upgrade(struct pool_set *pools, const struct pool_set_events *events)
{
    struct saved_state state;
    struct upgrade_state_configs configs;
    upgrade_save(pools, &state);
    int fd = fcntl(state.fd, F_DUPFD_CLOEXEC, UPGRADE_ASIDE);
    saved_state_close(&state);
    upgrade_drop(pools);
    for (size_t i = 0; i < upgrade_kept_count; i++) {
        if (fcntl(upgrade_kept[i].aside, F_DUPFD, upgrade_kept[i].number) != upgrade_kept[i].number)
            sim_fail("upgrade", "descriptor %d is still open", upgrade_kept[i].number);
        close(upgrade_kept[i].aside);
    }

    if (saved_state_open(&state, fd, SAVED_STATE_RESTORE) != 0)
        sim_fail("upgrade", "%s", state.error);
    upgrade_state_texts(&configs, &state, CONFIG_ALLOW_ROOT);
    access_log_saved_state(&state, sim_loop());
    socket_activation_saved_state(&state);
    if (!saved_state_good(&state))
        sim_fail("upgrade", "%s", state.error);
    pool_set_begin(pools, sim_loop(), configs.items[0], events, NULL);
    upgrade_state_pools(&configs, &state, pools);
    if (saved_state_end(&state) != 0)
        sim_fail("upgrade", "%s", state.error);
    saved_state_close(&state);
    upgrade_state_free(&configs);
    pool_set_start(pools);
}
