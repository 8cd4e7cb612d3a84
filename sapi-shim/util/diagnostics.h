/* diagnostics.h: the library's own messages to the operator: one line on stderr, in one write.
 *
 * Under the manager stderr goes to its log (`catch_workers_output`). Used for what the application
 * cannot know: refused connections, work that was cut off, a contract that does not fit. Never for
 * debugging. Thread-safe.
 */
#ifndef OT_DIAGNOSTICS_H
#define OT_DIAGNOSTICS_H

void diagnostics_write(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
