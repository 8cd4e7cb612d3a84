/* attach_report.h: what the log says of workers that have not attached.
 *
 * Composes and logs; when to say it is the caller's decision.
 */
#ifndef FPM_ATTACH_REPORT_H
#define FPM_ATTACH_REPORT_H

#include "fpm/config/config.h"
#include "fpm/pool/generation.h"

#include <stddef.h>
#include <stdint.h>

/* The names of the directives that a file sets for this pool and that only the library obeys:
 * "`ping.path`, `access.log`", in the order of the manual, cut with "and N more". Empty: none. */
void attach_report_directives(const struct config_pool *pool, char *text, size_t size);

/* This worker serves without the library. Says nothing if no directive needs it. */
void attach_report_without_library(const struct generation_member *member);

/* This worker has not accepted a connection since its start, `age` ms ago. */
void attach_report_no_accept(const struct generation_member *member, int64_t age);

#endif
