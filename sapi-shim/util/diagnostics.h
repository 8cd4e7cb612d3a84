/* diagnostics.h: the library's own messages to the operator.
 *
 * Under the manager each goes to the manager's log, with pool, process and level, through a pipe of
 * its own, whatever the application does with its standard error. Otherwise it is a line on
 * standard error that begins with "overtime: ". Used for what the application cannot know: refused
 * connections, work that was cut off, a contract that does not fit. Never for debugging. Never
 * waits for the manager. Thread-safe.
 */
#ifndef OT_DIAGNOSTICS_H
#define OT_DIAGNOSTICS_H

#include <stddef.h>

/* A message of the level "warning". */
void diagnostics_write(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, of the level "error". */
void diagnostics_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A message that is ready: `size` bytes of text without a newline, cut where it is too long;
 * `level` is one of OT_MESSAGE_. Safe in a signal handler. */
void diagnostics_text(char level, const char *text, size_t size);

/* Sends all further messages through `fd`, a duplicate of OT_FD_MESSAGES, which must stay open; -1
 * is allowed. Call it while the process has one thread. */
void diagnostics_attach(int fd);

#endif
