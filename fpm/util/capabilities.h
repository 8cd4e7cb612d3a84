/* capabilities.h: takes capabilities from a process that is about to execute another program.
 *
 * Never gives any, and changes no user. Async-signal-safe.
 */
#ifndef FPM_CAPABILITIES_H
#define FPM_CAPABILITIES_H

#include <stdbool.h>

enum {
    CAPABILITIES_NONE = -1
};

/* Empties the ambient and inheritable sets, so that an exec gives none to another user than root.
 * With `bounding` also the bounding set, as far as the process may (CAP_SETPCAP): then no set-uid
 * program and no file can give any later. Call it before the change of user, which would take the
 * right to do that. Returns 0, or -1 with errno. */
int capabilities_clear_inherited(bool bounding);

/* Empties the effective and permitted sets, too, but for the capability `keep` if the process has
 * it (CAPABILITIES_NONE = keeps none), which the program then gets. Root that executes a program
 * gets all of its bounding set again. Call it after the change of user. Returns 0, or -1 with
 * errno. */
int capabilities_drop(int keep);

#endif
