/* recycling.h: when a worker has served its share and should be replaced: by the number of its
 * requests, or by the memory it has come to.
 *
 * Decides that the process drains, and says why on the scoreboard; how it drains is wait_set.c's.
 * With neither setting it costs a comparison a request, with pm.max_memory one pread. Called by
 * request.c and process_hooks.c.
 */
#ifndef OT_RECYCLING_H
#define OT_RECYCLING_H

#include <stdint.h>

/* Before application code runs, which may chroot; after worker_slot_open. */
void recycling_open(void);

/* A request has begun; it may be the last one. */
void recycling_count(void);

/* A request has ended. */
void recycling_weigh(void);

/* In a forked child: what was opened tells of the parent. */
void recycling_after_fork(void);

/* How many requests a worker serves: pm.max_requests and a random part of the jitter; 0 = no limit.
 * Pure. */
uint64_t recycling_share(uint64_t max, uint64_t jitter, uint64_t random);

#endif
