/* tracer_frames.h: finds functions, files and lines from registers and a copied stack.
 *
 * Reads the programs that the process runs and their debug information, by elfutils' libdw; without
 * that library this file is empty. These files may be malicious: drop privileges first.
 */
#ifndef FPM_TRACER_FRAMES_H
#define FPM_TRACER_FRAMES_H

#include "fpm/helpers/tracer_stop.h"

#include <stdbool.h>

struct tracer_frame {
    uint64_t address;
    const char *function; /* NULL = unknown */
    const char *file;     /* of the source, NULL = unknown */
    int line;             /* 0 = unknown */
    const char *module;   /* path of the program or library, NULL = none is mapped there */
    uint64_t offset;      /* of the address in the module */
    bool inlined;         /* inlined into the next frame */
};

/* The process's files. */
struct tracer_files {
    int root;       /* /proc/PID/root, -1 = ours */
    int program;    /* /proc/PID/exe, -1 = none */
    char name[512]; /* of the program, as in /proc/PID/maps */
};

struct tracer_frames;

/* Reads the files of a stopped process. `stop` must outlive the result. NULL with a sentence. */
struct tracer_frames *tracer_frames_open(const struct tracer_stop *stop,
                                         const struct tracer_files *files, char *error,
                                         size_t size);
void tracer_frames_close(struct tracer_frames **frames);

/* Calls `take` for each frame of the thread, the innermost first, until it returns false. Returns
 * their number. */
unsigned tracer_frames_walk(struct tracer_frames *frames, pid_t tid,
                            bool (*take)(void *context, const struct tracer_frame *frame),
                            void *context);

#endif
