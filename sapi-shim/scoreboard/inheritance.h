/* inheritance.h: what the manager hands to a worker by exec: the environment variable, the
 * scoreboard's descriptors, and LD_PRELOAD.
 *
 * Looks at them when the library is loaded and leaves them as they are, so that the next program of
 * a chain (a shell, `env`, an interpreter) and a forked child find them too. Takes them away when
 * the process attaches, so that its children get nothing. Claims no slot: worker_slot.c does.
 */
#ifndef OT_INHERITANCE_H
#define OT_INHERITANCE_H

#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>

struct inheritance {
    bool given;                   /* a manager has started this process, or its parent */
    const struct ot_board *board; /* read-only; NULL: none, or it cannot be used */
    size_t size;                  /* bytes of the board and its slots */
    struct ot_slot *own;          /* writable; with `board` */
    unsigned slot;                /* its number */
    bool intact;                  /* the contract's descriptors were still the manager's */
};

/* Maps the scoreboard and notes in the slot that the library is loaded. Once, when it is. Changes
 * nothing that an exec would pass on. */
struct inheritance inheritance_load(void);

/* Closes the scoreboard's descriptors, unsets the environment variable, takes the library out of
 * LD_PRELOAD, sends the library's messages to the manager from then on, and logs why there is no
 * scoreboard if one was given. Once, when the process attaches. Not `intact`: the program has
 * closed the descriptors before, so others of the contract may be its own and must be left alone.
 */
void inheritance_take(struct inheritance *found);

#endif
