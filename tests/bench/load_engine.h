/* load_engine.h: carries a plan out: connections, epoll, time. One thread, no library.
 *
 * A latency begins when the request was due, not when the generator or the listen queue got round
 * to it, and ends when a web server has the whole answer: with the end of the connection, or with
 * END_REQUEST where the connection is kept.
 */
#ifndef LOAD_ENGINE_H
#define LOAD_ENGINE_H

#include "tests/bench/load_plan.h"
#include "tests/bench/load_tally.h"

/* Runs the plan to its end, or until SIGINT or SIGTERM, after which it starts no more requests.
 * Every request's outcome goes into the tally. -1 if the run could not be begun; errno says why. */
int load_engine_run(const struct load_plan *plan, struct load_tally *tally);

#endif
