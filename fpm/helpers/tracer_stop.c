/* tracer_stop.c: see tracer_stop.h. */
#include "fpm/helpers/tracer_stop.h"

#include "sapi-shim/util/clock.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TRACER_STOP_PATIENCE = 100, /* ms in which threads must stop; those that have stay stopped */
    TRACER_STOP_NAP = 20000,    /* ns between two checks of a thread */
    TRACER_STOP_MAPS_MAX = 32 << 20 /* bytes */
};

static int64_t tracer_stop_now_us(void)
{
    return (int64_t)clock_ns() / 1000;
}

/* ---- /proc ---- */

/* Reads a small file of the thread, without its newline; "" if it cannot be read. */
static void tracer_stop_read(const struct tracer_stop *stop, pid_t tid, const char *name, char *out,
                             size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)stop->pid, (int)tid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, out, size - 1);
    out[got > 0 ? got : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (fd >= 0)
        (void)close(fd);
}

/* Opens the process's memory, and reads its map as a string. Returns 0, or -1 with errno. */
static int tracer_stop_open_memory(struct tracer_stop *stop)
{
    char path[64];
    size_t used = 0;
    ssize_t got = 1;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)stop->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    /* Pages that are never written cost no memory. */
    stop->maps = malloc(TRACER_STOP_MAPS_MAX);
    while (stop->maps != NULL && used < TRACER_STOP_MAPS_MAX && got > 0) {
        got = read(fd, stop->maps + used, TRACER_STOP_MAPS_MAX - used);
        used += got > 0 ? (size_t)got : 0;
    }
    (void)close(fd);
    snprintf(path, sizeof path, "/proc/%d/mem", (int)stop->pid);
    stop->memory = open(path, O_RDONLY | O_CLOEXEC);
    if (stop->maps == NULL || used == TRACER_STOP_MAPS_MAX) {
        errno = ENOMEM;
        return -1;
    }
    stop->maps[used] = '\0';
    return 0;
}

/* ---- holding ---- */

/* Seizes one thread that is not known yet; it stops soon after. Returns 0, or -1 with errno. */
static int tracer_stop_take(struct tracer_stop *stop, pid_t tid)
{
    for (size_t i = 0; i < stop->count; i++)
        if (stop->threads[i].tid == tid)
            return 0;
    if (stop->count == TRACER_THREADS_MAX) {
        stop->left_out++;
        return 0;
    }
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0)
        return -1;
    struct tracer_thread *thread = &stop->threads[stop->count++];
    *thread = (struct tracer_thread){.tid = tid};
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0)
        snprintf(thread->missing, sizeof thread->missing, "%s", strerror(errno));
    return 0;
}

/* Seizes the threads that are not known yet; new ones may start until all are held. Returns their
 * number, or -1 if the process has ended. */
static int tracer_stop_take_all(struct tracer_stop *stop)
{
    char path[64];
    size_t before = stop->count;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", (int)stop->pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -1;
    stop->left_out = 0;
    while ((entry = readdir(folder)) != NULL) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (tid > 0)
            (void)tracer_stop_take(stop, tid); /* fails for a thread that has just ended */
    }
    (void)closedir(folder);
    return (int)(stop->count - before);
}

/* Waits until the thread has stopped. Returns the signal that it was about to receive, 0 = none, or
 * -1. */
static int tracer_stop_wait(const struct tracer_stop *stop, struct tracer_thread *thread,
                            int64_t until)
{
    const struct timespec nap = {.tv_nsec = TRACER_STOP_NAP};
    char state[512], where[64];
    int status;
    for (;;) {
        pid_t got = waitpid(thread->tid, &status, __WALL | WNOHANG);
        if (got == thread->tid && WIFSTOPPED(status))
            return status >> 16 == 0 ? WSTOPSIG(status) : 0;
        if (got != 0 && !(got < 0 && errno == EINTR)) {
            snprintf(thread->missing, sizeof thread->missing, "it ended meanwhile");
            return -1;
        }
        if (tracer_stop_now_us() > until)
            break;
        (void)nanosleep(&nap, NULL);
    }
    tracer_stop_read(stop, thread->tid, "stat", state, sizeof state);
    tracer_stop_read(stop, thread->tid, "wchan", where, sizeof where);
    const char *after = strrchr(state, ')');
    snprintf(thread->missing, sizeof thread->missing,
             "it did not stop: state %c, in the kernel's %.50s",
             after != NULL && after[1] == ' ' ? after[2] : '?', *where != '\0' ? where : "?");
    return -1;
}

/* ---- copying ---- */

static void tracer_stop_take_registers(struct tracer_thread *thread,
                                       const struct user_regs_struct *from)
{
#if defined(__x86_64__)
    const uint64_t all[] = {from->rax, from->rdx, from->rcx, from->rbx, from->rsi, from->rdi,
                            from->rbp, from->rsp, from->r8,  from->r9,  from->r10, from->r11,
                            from->r12, from->r13, from->r14, from->r15, from->rip};
    memcpy(thread->registers, all, sizeof all);
    thread->register_count = sizeof all / sizeof *all;
    thread->pc = from->rip;
    thread->sp = from->rsp;
#elif defined(__aarch64__)
    memcpy(thread->registers, from->regs, 31 * sizeof *thread->registers);
    thread->registers[31] = from->sp;
    thread->register_count = 32;
    thread->pc = from->pc;
    thread->sp = from->sp;
#else
    snprintf(thread->missing, sizeof thread->missing,
             "the order of this machine's registers is not known");
#endif
}

/* Copies the registers and the stack: from the red zone below the stack pointer to the end of the
 * mapping, at most TRACER_STACK_MAX bytes. */
static void tracer_stop_copy(const struct tracer_stop *stop, struct tracer_thread *thread)
{
    struct user_regs_struct registers;
    struct iovec part = {.iov_base = &registers, .iov_len = sizeof registers};
    uint64_t end = 0;
    memset(&registers, 0, sizeof registers);
    if (ptrace(PTRACE_GETREGSET, thread->tid, (void *)NT_PRSTATUS, &part) != 0) {
        snprintf(thread->missing, sizeof thread->missing, "its registers: %s", strerror(errno));
        return;
    }
    tracer_stop_take_registers(thread, &registers);
    for (const char *line = stop->maps; end == 0 && *line != '\0';) {
        char *rest;
        uint64_t from = strtoull(line, &rest, 16);
        uint64_t to = *rest == '-' ? strtoull(rest + 1, NULL, 16) : 0;
        if (from <= thread->sp && thread->sp < to)
            end = to;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    if (end == 0 || stop->memory < 0)
        return;
    thread->sp = thread->sp > 256 ? thread->sp - 256 : 0;
    size_t size =
        end - thread->sp < TRACER_STACK_MAX ? (size_t)(end - thread->sp) : TRACER_STACK_MAX;
    thread->stack = malloc(size);
    ssize_t got =
        thread->stack == NULL ? -1 : pread(stop->memory, thread->stack, size, (off_t)thread->sp);
    thread->stack_size = got > 0 ? (size_t)got : 0;
}

int tracer_stop(struct tracer_stop *stop, pid_t pid, pid_t first)
{
    static int signals[TRACER_THREADS_MAX];
    size_t held = 0;
    *stop = (struct tracer_stop){.pid = pid, .memory = -1};
    stop->threads = calloc(TRACER_THREADS_MAX, sizeof *stop->threads);
    if (stop->threads == NULL || tracer_stop_open_memory(stop) != 0)
        return -1;
    int64_t began = tracer_stop_now_us();
    if (tracer_stop_take(stop, pid) != 0)
        return -1;
    do {
        int64_t until = tracer_stop_now_us() + TRACER_STOP_PATIENCE * 1000;
        for (; held < stop->count; held++)
            signals[held] = stop->threads[held].missing[0] == '\0'
                                ? tracer_stop_wait(stop, &stop->threads[held], until)
                                : -1;
    } while (tracer_stop_take_all(stop) > 0);
    for (size_t i = 0; i < stop->count; i++)
        if (signals[i] >= 0)
            tracer_stop_copy(stop, &stop->threads[i]);

    /* A signal that arrived meanwhile is passed on. */
    for (size_t i = 0; i < stop->count; i++)
        if (signals[i] >= 0)
            (void)ptrace(PTRACE_DETACH, stop->threads[i].tid, NULL, (void *)(intptr_t)signals[i]);
    stop->stopped_us = tracer_stop_now_us() - began;

    size_t front = 0;
    for (size_t i = 0; i < stop->count; i++) {
        struct tracer_thread *thread = &stop->threads[i];
        tracer_stop_read(stop, thread->tid, "comm", thread->name, TRACER_NAME_MAX);
        if (thread->tid == (first != 0 ? first : pid))
            front = i;
    }
    struct tracer_thread wanted = stop->threads[front];
    memmove(&stop->threads[1], &stop->threads[0], front * sizeof wanted);
    stop->threads[0] = wanted;
    return 0;
}

void tracer_stop_free(struct tracer_stop *stop)
{
    for (size_t i = 0; stop->threads != NULL && i < stop->count; i++)
        free(stop->threads[i].stack);
    free(stop->threads);
    free(stop->maps);
    if (stop->memory >= 0)
        (void)close(stop->memory);
    *stop = (struct tracer_stop){.memory = -1};
}
