/* process_hooks.h: what the library does when it is loaded, and when the process or one of its
 * threads starts to serve, forks, or ends.
 *
 * Attaches to what the manager handed over when the process starts to serve, registers with exit(),
 * fork() and the end of threads, and calls the files that hold something. Decides nothing.
 */
#ifndef OT_PROCESS_HOOKS_H
#define OT_PROCESS_HOOKS_H

/* Before a thread accepts; cheap after the first time. `thread_ended` is called when the thread
 * ends, after its request has ended. */
void process_hooks_start(void (*thread_ended)(void));

#endif
