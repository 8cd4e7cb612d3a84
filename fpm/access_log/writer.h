/* writer.h: the process that writes the access logs of all pools.
 *
 * Empties the pools' pipes in batches and appends to the files that it is given, so that a slow
 * disk delays neither a worker nor the manager. It opens no file and ignores signals: it ends when
 * the manager has ended and no process can write into a pipe any more.
 */
#ifndef FPM_WRITER_H
#define FPM_WRITER_H

/* Becomes the writer; `control` is its end of the socket pair. */
_Noreturn void writer_run(int control);

#endif
