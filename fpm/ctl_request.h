/* ctl_request.h: `overtimectl request`: one FastCGI request straight to a pool, and how long it
 * took.
 *
 * The manager says where the pool listens, and afterwards when the worker was done with the
 * request: a mark goes along with it, by which the worker tells (contract.h). Called by
 * overtimectl.
 */
#ifndef FPM_CTL_REQUEST_H
#define FPM_CTL_REQUEST_H

#include "fpm/ctl_call.h"

/* For the verb's help. */
extern const char ctl_request_more[];

/* Returns an exit status, and has said why on standard error. */
int ctl_request_run(const struct ctl_call *call);

#endif
