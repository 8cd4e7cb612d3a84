/* process_hooks.h: what the library has to do when it is loaded, and when the process or one of its
 * threads starts to serve, forks, or ends.
 *
 * Registers with exit(), fork() and the end of threads, and passes the word on to the files that
 * hold something. Decides nothing. Called by libfcgi.c.
 */
#ifndef OT_PROCESS_HOOKS_H
#define OT_PROCESS_HOOKS_H

/* Before a thread accepts; cheap after the first time. `thread_end` is called when the thread ends,
 * after its request. */
void process_hooks_start(void (*thread_end)(void));

#endif
