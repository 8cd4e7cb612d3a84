/* record.h: one record of the scoreboard, written by one thread and copied by any process.
 *
 * Decides nothing. The protocol is that of a sequence lock: `change` is odd while the writer is at
 * work, and a reader that sees it odd or changed tries again.
 */
#ifndef OT_RECORD_H
#define OT_RECORD_H

#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>

/* Opens a change of a record, or of another block that begins with a change counter; the calling
 * thread is its only writer. record_end closes the change and publishes it. */
void record_begin(_Atomic uint32_t *change);
void record_end(_Atomic uint32_t *change);

/* Copies `size` bytes of such a block as they were at one moment. False if it kept changing. */
bool record_read(const void *from, void *to, size_t size);

/* Copies a record, except its reserved bytes, as it was at one moment. Strings in the copy are
 * terminated; `state` and `status` are in range. False if the record kept changing. Never blocks.
 */
bool record_copy(const struct ot_record *from, struct ot_record *to);

/* As record_copy, but only the members before `logged`; the rest of *to is not written. Cheaper,
 * for callers that read the state and stamps of many records. */
bool record_peek(const struct ot_record *from, struct ot_record *to);

/* Copies the record of a dead thread, which may have died within a change; strings and numbers are
 * clamped in the same way. */
void record_copy_dead(const struct ot_record *from, struct ot_record *to);

/* Copies text into a field of the record of `size` bytes with its NUL; control characters stay, and
 * are for the reader to escape. A longer text is cut between two characters and ends in OT_CUT.
 * NULL clears the field. */
void record_text(char *field, size_t size, const char *text);

#endif
