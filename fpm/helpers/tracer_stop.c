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
    TRACER_STOP_PATIENCE = 100, /* ms that threads have to stop; the others are held meanwhile */
    TRACER_STOP_NAP = 20000,    /* ns between two checks of a thread */
    TRACER_STOP_MAPS = 65536,   /* bytes, at first */
    TRACER_STOP_MAPS_MAX = 32 << 20
};

static int64_t tracer_stop_now_us(void)
{
    return (int64_t)clock_ns() / 1000;
}

/* ---- /proc ---- */

/* A small file of the thread, without its newline; "" if it cannot be read. */
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

/* All of the descriptor, as a string; NULL without memory, or with errno. */
static char *tracer_stop_slurp(int fd)
{
    size_t room = TRACER_STOP_MAPS, used = 0;
    char *text = malloc(room);
    while (text != NULL) {
        ssize_t got = read(fd, text + used, room - used - 1);
        used += got > 0 ? (size_t)got : 0;
        if (got <= 0) {
            text[used] = '\0';
            return text;
        }
        if (room - used > 1)
            continue;
        char *grown = room < TRACER_STOP_MAPS_MAX ? realloc(text, room * 2) : NULL;
        if (grown == NULL)
            free(text);
        text = grown;
        room *= 2;
    }
    errno = ENOMEM;
    return NULL;
}

static int tracer_stop_open_memory(struct tracer_stop *stop)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)stop->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    stop->maps = tracer_stop_slurp(fd);
    (void)close(fd);
    snprintf(path, sizeof path, "/proc/%d/mem", (int)stop->pid);
    stop->memory = open(path, O_RDONLY | O_CLOEXEC);
    return stop->maps != NULL ? 0 : -1;
}

/* Where the mapping that holds `address` ends; 0 = there is none. */
static uint64_t tracer_stop_mapping_end(const struct tracer_stop *stop, uint64_t address)
{
    const char *line = stop->maps;
    while (*line != '\0') {
        char *rest;
        uint64_t begin = strtoull(line, &rest, 16);
        uint64_t end = *rest == '-' ? strtoull(rest + 1, NULL, 16) : 0;
        if (begin <= address && address < end)
            return end;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return 0;
}

/* ---- holding ---- */

static bool tracer_stop_known(const struct tracer_stop *stop, pid_t tid)
{
    for (size_t i = 0; i < stop->count; i++)
        if (stop->threads[i].tid == tid)
            return true;
    return false;
}

/* Seizes one thread, which stops soon after. Returns 0, or -1 with errno. */
static int tracer_stop_take(struct tracer_stop *stop, pid_t tid)
{
    if (tracer_stop_known(stop, tid))
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
 * number, or -1 if the process is gone. */
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

/* Waits until it has stopped. Returns the signal that was to be delivered, 0 = none, or -1. */
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

#if defined(__x86_64__)

static void tracer_stop_take_registers(struct tracer_thread *thread,
                                       const struct user_regs_struct *from)
{
    const uint64_t all[] = {from->rax, from->rdx, from->rcx, from->rbx, from->rsi, from->rdi,
                            from->rbp, from->rsp, from->r8,  from->r9,  from->r10, from->r11,
                            from->r12, from->r13, from->r14, from->r15, from->rip};
    memcpy(thread->registers, all, sizeof all);
    thread->register_count = sizeof all / sizeof *all;
    thread->pc = from->rip;
    thread->sp = from->rsp;
}

#elif defined(__aarch64__)

static void tracer_stop_take_registers(struct tracer_thread *thread,
                                       const struct user_regs_struct *from)
{
    for (size_t i = 0; i < 31; i++)
        thread->registers[i] = from->regs[i];
    thread->registers[31] = from->sp;
    thread->register_count = 32;
    thread->pc = from->pc;
    thread->sp = from->sp;
}

#else

static void tracer_stop_take_registers(struct tracer_thread *thread,
                                       const struct user_regs_struct *from)
{
    (void)from;
    snprintf(thread->missing, sizeof thread->missing,
             "the order of this machine's registers is not known");
}

#endif

/* From the red zone below the stack pointer to the stack's end, at most TRACER_STACK_MAX bytes. */
static void tracer_stop_copy_stack(const struct tracer_stop *stop, struct tracer_thread *thread)
{
    uint64_t begin = thread->sp > 256 ? thread->sp - 256 : 0;
    uint64_t end = tracer_stop_mapping_end(stop, thread->sp);
    if (end == 0 || stop->memory < 0)
        return;
    size_t size = end - begin < TRACER_STACK_MAX ? (size_t)(end - begin) : TRACER_STACK_MAX;
    thread->stack = malloc(size);
    ssize_t got =
        thread->stack == NULL ? -1 : pread(stop->memory, thread->stack, size, (off_t)begin);
    thread->sp = begin;
    thread->stack_size = got > 0 ? (size_t)got : 0;
}

static void tracer_stop_copy(const struct tracer_stop *stop, struct tracer_thread *thread)
{
    struct user_regs_struct registers;
    struct iovec part = {.iov_base = &registers, .iov_len = sizeof registers};
    memset(&registers, 0, sizeof registers);
    if (ptrace(PTRACE_GETREGSET, thread->tid, (void *)NT_PRSTATUS, &part) != 0) {
        snprintf(thread->missing, sizeof thread->missing, "its registers: %s", strerror(errno));
        return;
    }
    tracer_stop_take_registers(thread, &registers);
    tracer_stop_copy_stack(stop, thread);
}

/* A signal that came in between is handed on. */
static void tracer_stop_release(struct tracer_thread *thread, int signal)
{
    if (signal >= 0)
        (void)ptrace(PTRACE_DETACH, thread->tid, NULL, (void *)(intptr_t)signal);
}

/* Moves the thread `first` to the front. */
static void tracer_stop_order(struct tracer_stop *stop, pid_t first)
{
    for (size_t i = 1; i < stop->count; i++) {
        if (stop->threads[i].tid != first)
            continue;
        struct tracer_thread wanted = stop->threads[i];
        memmove(&stop->threads[1], &stop->threads[0], i * sizeof wanted);
        stop->threads[0] = wanted;
        return;
    }
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
    for (size_t i = 0; i < stop->count; i++)
        tracer_stop_release(&stop->threads[i], signals[i]);
    stop->stopped_us = tracer_stop_now_us() - began;
    for (size_t i = 0; i < stop->count; i++)
        tracer_stop_read(stop, stop->threads[i].tid, "comm", stop->threads[i].name,
                         TRACER_NAME_MAX);
    tracer_stop_order(stop, first != 0 ? first : pid);
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
