/* control_spec.c: see control_spec.h. */
#include "fpm/control/control_spec.h"

#include "fpm/control/control_server.h"
#include "fpm/util/account.h"
#include "fpm/util/error.h"

#include <stdio.h>

int control_spec(const struct config_global *global, struct socket_spec *spec, char *error,
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
