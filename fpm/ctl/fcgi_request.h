/* fcgi_request.h: `overtimectl request`: one FastCGI request straight to a pool, and how long it
 * took.
 *
 * The manager says where the pool listens and, after the answer, when the worker was done: the
 * request carries a tracking id, under which the worker records that (contract.h).
 */
#ifndef FPM_FCGI_REQUEST_H
#define FPM_FCGI_REQUEST_H

#include "fpm/ctl/options.h"

/* More lines for the help of the verb. */
extern const char fcgi_request_more[];

/* Returns an exit status, and has said why on standard error. */
int fcgi_request_run(const struct options *call);

#endif
