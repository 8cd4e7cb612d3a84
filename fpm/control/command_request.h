/* command_request.h: what the manager does for `overtimectl request`: says where a pool listens,
 * and what has become of a request (control_proto.h). It takes no part in the request itself.
 *
 * Reads pools. Called by commands.
 */
#ifndef FPM_COMMAND_REQUEST_H
#define FPM_COMMAND_REQUEST_H

#include "fpm/control/control_server.h"
#include "fpm/manager/pool_set.h"

/* With the arguments POOL or POOL MARK. Returns 0, or -1 with call->error. */
int command_request(const struct pool_set *pools, struct control_server_call *call);

#endif
