/* render.h: plain status values as aligned text for people or JSON for programs.
 *
 * Decides how things look and nothing else. Strings that came from outside are made harmless here.
 */
#ifndef FPM_RENDER_H
#define FPM_RENDER_H

#include "fpm/status.h"

#include <stdio.h>

/* One pool as a block of text, and as a JSON object. */
void render_pool_text(FILE *out, const struct status_pool *pool);
void render_pool_json(FILE *out, const struct status_pool *pool);

/* The heading of the workers' table, one worker as a row, and as a JSON object. */
void render_worker_heading(FILE *out);
void render_worker_text(FILE *out, const char *pool, const struct status_worker *worker);
void render_worker_json(FILE *out, const char *pool, const struct status_worker *worker);
void render_worker_json_end(FILE *out); /* between the two, a worker's threads in order */
void render_thread_text(FILE *out, unsigned number, const struct status_worker *thread);
void render_thread_json(FILE *out, unsigned number, const struct status_worker *thread);

#endif
