/* record.h: one record of the scoreboard, written by one thread and copied by anybody.
 *
 * Decides nothing. Used by the worker's threads (record_begin, record_end) and by every reader
 * (record_copy). The protocol is a sequence lock without a lock: `change` is odd while the writer
 * is at work, and a reader that saw it odd or changed tries again.
 */
#ifndef OT_RECORD_H
#define OT_RECORD_H

#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>

/* Opens a change of the record; the calling thread is its only writer. */
void record_begin(struct ot_record *record);

/* Closes the change and publishes it. */
void record_end(struct ot_record *record);

/* Copies a whole record, but for what is reserved, as it was at one moment. Strings in the copy are
 * terminated; `state` and `status` are in range. False if it kept changing: the next turn will do.
 * Never blocks. */
bool record_copy(const struct ot_record *from, struct ot_record *to);

/* The same for what stands before `logged` alone, state and stamps among it; the rest of the copy
 * is not written. For looks at many. */
bool record_peek(const struct ot_record *from, struct ot_record *to);

/* Copies the record of a writer that is dead, who may have died in the middle of a change; made
 * harmless in the same way. */
void record_copy_dead(const struct ot_record *from, struct ot_record *to);

/* The same of any block that begins with a change counter. record_read copies one as it was at one
 * moment, or is false. */
void record_open(_Atomic uint32_t *change);
void record_close(_Atomic uint32_t *change);
bool record_read(const void *from, void *to, size_t size);

/* Copies text into a field of the record of `size` bytes with its NUL; control characters become
 * spaces. What is too long is cut between two characters and ends in OT_CUT (escape.h). NULL
 * clears it. */
void record_text(char *field, size_t size, const char *text);

#endif
