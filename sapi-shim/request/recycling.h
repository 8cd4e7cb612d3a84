/* recycling.h: when a worker should be replaced: by the number of its requests, or by its memory.
 *
 * Decides that the process stops gracefully, and says why on the scoreboard. Without
 * pm.max_requests and pm.max_memory it costs one comparison a request, with pm.max_memory one
 * pread.
 */
#ifndef OT_RECYCLING_H
#define OT_RECYCLING_H

#include <stdint.h>

/* After worker_slot_load, before application code runs, which may chroot; and again when the
 * process serves, as it may be a child of the first. */
void recycling_open(void);

/* A request has begun; it may be the worker's last one. */
void recycling_count_request(void);

/* A request has ended. */
void recycling_check_memory(void);

/* In a forked child: the open descriptor reports the parent's memory. */
void recycling_after_fork(void);

/* How many requests a worker serves: pm.max_requests and a random part of the jitter; 0 = no limit.
 * Pure. */
uint64_t recycling_max_requests(uint64_t max, uint64_t jitter, uint64_t random);

#endif
