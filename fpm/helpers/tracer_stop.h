/* tracer_stop.h: stops a process for a moment and copies the state of its threads.
 *
 * Copies registers and stacks of all threads by ptrace(2) and /proc. They are interpreted when the
 * process runs again. Waits for each thread for a limited time and leaves none stopped: if this
 * process dies, the kernel lets the threads go on.
 */
#ifndef FPM_TRACER_STOP_H
#define FPM_TRACER_STOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    TRACER_THREADS_MAX = 256,
    TRACER_REGISTERS = 33, /* general registers of a thread, in DWARF's order */
    TRACER_STACK_MAX = 524288,
    TRACER_NAME_MAX = 16
};

struct tracer_thread {
    pid_t tid;
    char name[TRACER_NAME_MAX];
    char missing[128]; /* why it has no stack; "" = it has one */
    uint64_t registers[TRACER_REGISTERS];
    unsigned register_count; /* of this machine */
    uint64_t pc, sp;
    unsigned char *stack; /* from `sp` on, NULL = none could be read */
    size_t stack_size;
};

struct tracer_stop {
    pid_t pid;
    struct tracer_thread *threads; /* TRACER_THREADS_MAX of them */
    size_t count;
    size_t left_out;    /* threads beyond TRACER_THREADS_MAX */
    int memory;         /* /proc/PID/mem, for memory that was not copied; -1 = none */
    int64_t stopped_us; /* how long the process was stopped */
    char *maps;         /* /proc/PID/maps, read before the stop */
};

/* Fills in *stop and lets the process go on. `first` is the thread to put first, 0 = the main one.
 * Returns 0, or -1 with errno: ESRCH, EPERM, ... */
int tracer_stop(struct tracer_stop *stop, pid_t pid, pid_t first);
void tracer_stop_free(struct tracer_stop *stop);

#endif
