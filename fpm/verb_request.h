/* verb_request.h: what the manager does for `overtimectl request`: says where a pool listens, and
 * what has become of a request (control_proto.h). It takes no part in the request itself.
 *
 * Reads pools. Called by verbs.
 */
#ifndef FPM_VERB_REQUEST_H
#define FPM_VERB_REQUEST_H

#include "fpm/control.h"
#include "fpm/pools.h"

/* With the arguments POOL or POOL MARK. Returns 0, or -1 with call->error. */
int verb_request(const struct pools *pools, struct control_call *call);

#endif
