/* writer.h: the process that writes the access logs of all pools.
 *
 * Empties the pools' pipes in batches and appends to the files it was handed, so that a slow disk
 * holds up neither a worker nor the manager. It opens nothing and obeys no signal: it goes when
 * the manager has gone and nobody can write into a pipe any more. Called by access in the child.
 */
#ifndef FPM_WRITER_H
#define FPM_WRITER_H

/* Becomes the writer; `control` is its end of the socket pair. */
_Noreturn void writer_run(int control);

#endif
