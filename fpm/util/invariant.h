/* invariant.h: what must hold by construction, whatever workers, clients and files do.
 *
 * INVARIANT(condition) is a precondition, or what a function leaves behind, written down and
 * checked in every build. What others can cause is an error, never an invariant.
 */
#ifndef FPM_INVARIANT_H
#define FPM_INVARIANT_H

#define INVARIANT(condition)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            invariant_fail(__FILE__, __LINE__, #condition);                                        \
    } while (0)

/* Is called with the sentence before the program aborts. NULL = it goes to standard error. */
extern void (*invariant_report)(const char *sentence);

_Noreturn void invariant_fail(const char *file, int line, const char *condition);

#endif
