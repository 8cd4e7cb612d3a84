/* fcgi_request.h: `overtimectl request`: one FastCGI request straight to a pool, and how long it
 * took.
 *
 * The manager says where the pool listens, and afterwards when the worker was done with the
 * request: a mark goes along with it, by which the worker tells (contract.h). Called by
 * overtimectl.
 */
#ifndef FPM_FCGI_REQUEST_H
#define FPM_FCGI_REQUEST_H

#include "fpm/ctl/options.h"

/* For the verb's help. */
extern const char fcgi_request_more[];

/* Returns an exit status, and has said why on standard error. */
int fcgi_request_run(const struct options *call);

#endif
