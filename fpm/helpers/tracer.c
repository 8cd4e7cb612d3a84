/* tracer.c: the program `overtime-trace`: prints the stack of one process, for the slow log and for
 * `overtimectl trace`.
 *
 * Stops the process for a moment, copies registers and stacks and lets it go on. Then it interprets
 * them with no more rights than the process has. The manager starts one program for each trace, so
 * that a hang or a crash here does not affect the manager.
 *
 * usage: overtime-trace [-j] [-d DEPTH] [-f TID] PID
 *   -j        one JSON object instead of lines
 *   -d DEPTH  at most this many frames of a thread (64)
 *   -f TID    the thread that comes first
 * Exit status: 0 with a stack, 1 with a sentence that says why there is none, 64 wrong usage.
 */
#include "fpm/helpers/tracer_frames.h"
#include "fpm/helpers/tracer_stop.h"
#include "fpm/util/capabilities.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#ifdef HAVE_LIBDW

enum {
    TRACER_DEPTH = 64,
    TRACER_DATA_MAX = 1 << 30 /* bytes; malicious debug information may be compressed */
};

struct tracer_options {
    bool json;
    unsigned depth;
    pid_t first, pid;
};

/* A process's user, tracer and rights, from /proc/PID/status. */
struct tracer_identity {
    bool known;
    uid_t uid;
    gid_t gid;
    pid_t tracer; /* the process that traces it already, 0 = none */
    unsigned long long capabilities;
};

__attribute__((format(printf, 1, 2))) static int tracer_fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
    return EXIT_FAILURE;
}

/* ---- user and rights ---- */

static struct tracer_identity tracer_identify(pid_t pid)
{
    struct tracer_identity identity = {0};
    char path[64], line[256];
    unsigned real, effective, found = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':'), *value = colon != NULL ? colon + 1 : line;
        if (sscanf(line, "Uid: %u %u", &real, &effective) == 2) { /* NOLINT(cert-err34-c) */
            identity.uid = effective;
            found++;
        } else if (sscanf(line, "Gid: %u %u", &real, &effective) == 2) { /* NOLINT(cert-err34-c) */
            identity.gid = effective;
            found++;
        } else if (strncmp(line, "TracerPid:", 10) == 0)
            identity.tracer = (pid_t)strtol(value, NULL, 10);
        else if (strncmp(line, "CapEff:", 7) == 0)
            identity.capabilities = strtoull(value, NULL, 16);
    }
    if (file != NULL)
        (void)fclose(file);
    identity.known = found == 2;
    return identity;
}

/* Programs and debug information are read as the process itself may read them. */
static int tracer_become(const struct tracer_identity *identity)
{
#ifndef __SANITIZE_ADDRESS__
    struct rlimit limit = {.rlim_cur = TRACER_DATA_MAX, .rlim_max = TRACER_DATA_MAX};
    if (setrlimit(RLIMIT_DATA, &limit) != 0)
        return -1;
#endif
    /* No right to look into processes is left when their memory is interpreted. */
    if (geteuid() != 0 || (identity->known && identity->uid == 0))
        return capabilities_drop(CAPABILITIES_NONE);
    if (!identity->known) {
        errno = ESRCH;
        return -1;
    }
    /* In a container root may lack this right. */
    if (setgroups(0, NULL) != 0 && errno != EPERM)
        return -1;
    if (setresgid(identity->gid, identity->gid, identity->gid) != 0)
        return -1;
    if (setresuid(identity->uid, identity->uid, identity->uid) != 0)
        return -1;
    return capabilities_drop(CAPABILITIES_NONE);
}

static void tracer_open_files(pid_t pid, struct tracer_files *files)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/root", (int)pid);
    files->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    files->program = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = readlink(path, files->name, sizeof files->name - 1);
    files->name[length > 0 ? length : 0] = '\0';
}

/* ---- refusals ---- */

/* Says why the process could not be stopped, and what to do. */
static int tracer_refused(pid_t pid, const struct tracer_identity *identity, int error)
{
    struct tracer_identity own = tracer_identify(getpid());
    bool right = (own.capabilities >> CAP_SYS_PTRACE & 1) != 0;
    char text[16] = "";
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    if (file != NULL && fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    if (file != NULL)
        (void)fclose(file);
    int yama = (int)strtol(text, NULL, 10);
    if (error == ESRCH || error == ENOENT)
        return tracer_fail("process %d has ended", (int)pid);
    if (error != EPERM && error != EACCES)
        return tracer_fail("cannot look into process %d: %s", (int)pid, strerror(error));
    if (identity->tracer != 0)
        return tracer_fail("process %d is already traced by process %d, perhaps a debugger",
                           (int)pid, (int)identity->tracer);
    if (yama == 3)
        return tracer_fail("not allowed to look into process %d: kernel.yama.ptrace_scope = 3 "
                           "forbids it to all processes until the next boot",
                           (int)pid);
    if (!right && yama > 0 && identity->uid == geteuid())
        return tracer_fail("not allowed to look into process %d, which takes CAP_SYS_PTRACE: run "
                           "the manager as root, which gives it to overtime-trace alone (in a "
                           "container with --cap-add SYS_PTRACE), or set "
                           "kernel.yama.ptrace_scope = 0, which is %d",
                           (int)pid, yama);
    if (!right)
        return tracer_fail("not allowed to look into process %d, which takes CAP_SYS_PTRACE: run "
                           "the manager as root, with that capability (systemd: "
                           "CapabilityBoundingSet= has to hold it; in a container --cap-add "
                           "SYS_PTRACE)",
                           (int)pid);
    return tracer_fail("not allowed to look into process %d (%s), in spite of CAP_SYS_PTRACE: "
                       "perhaps a seccomp filter or security module, or the process is in another "
                       "user namespace",
                       (int)pid, strerror(error));
}

/* ---- output ---- */

struct tracer_out {
    const struct tracer_options *options;
    unsigned count; /* frames of this thread so far */
    bool cut;
};

static void tracer_json_text(const char *name, const char *text)
{
    printf("\"%s\": ", name);
    if (text != NULL)
        escape_json(stdout, text);
    else
        fputs("null", stdout);
}

static bool tracer_on_frame(void *context, const struct tracer_frame *frame)
{
    struct tracer_out *out = context;
    char function[512], file[1024];
    if (out->count == out->options->depth) {
        out->cut = true;
        return false;
    }
    if (out->options->json) {
        fputs(out->count > 0 ? ", {" : "{", stdout);
        tracer_json_text("function", frame->function);
        fputs(", ", stdout);
        tracer_json_text("file", frame->file);
        if (frame->file != NULL && frame->line > 0)
            printf(", \"line\": %d, ", frame->line);
        else
            fputs(", \"line\": null, ", stdout);
        tracer_json_text("module", frame->module);
        printf(", \"address\": \"%#llx\", \"inlined\": %s}", (unsigned long long)frame->address,
               frame->inlined ? "true" : "false");
    } else {
        const char *slash = frame->module != NULL ? strrchr(frame->module, '/') : NULL;
        const char *name = frame->function;
        printf("  #%-2u %s", out->count,
               name != NULL ? escape_show(function, sizeof function, name) : "?");
        if (frame->file != NULL)
            printf("  %s:%d%s\n", escape_show(file, sizeof file, frame->file), frame->line,
                   frame->inlined ? "  (inlined)" : "");
        else if (frame->module != NULL)
            printf("  %s+%#llx\n",
                   escape_show(file, sizeof file, slash != NULL ? slash + 1 : frame->module),
                   (unsigned long long)frame->offset);
        else
            printf("  %#llx\n", (unsigned long long)frame->address);
    }
    out->count++;
    return true;
}

static void tracer_show_text(struct tracer_frames *frames, const struct tracer_thread *thread,
                             struct tracer_out *out)
{
    char name[TRACER_NAME_MAX * 4];
    printf("thread %d (%s)\n", (int)thread->tid, escape_show(name, sizeof name, thread->name));
    if (thread->missing[0] != '\0') {
        printf("  no stack: %s\n", thread->missing);
        return;
    }
    if (tracer_frames_walk(frames, thread->tid, tracer_on_frame, out) == 0)
        printf("  no stack: the address %#llx is unknown\n", (unsigned long long)thread->pc);
    if (out->cut)
        printf("  ... deeper frames are left out\n");
}

static void tracer_show_json(struct tracer_frames *frames, const struct tracer_thread *thread,
                             struct tracer_out *out)
{
    printf("{\"tid\": %d, ", (int)thread->tid);
    tracer_json_text("name", thread->name);
    fputs(", ", stdout);
    tracer_json_text("missing", thread->missing[0] != '\0' ? thread->missing : NULL);
    fputs(", \"frames\": [", stdout);
    if (thread->missing[0] == '\0')
        (void)tracer_frames_walk(frames, thread->tid, tracer_on_frame, out);
    printf("], \"cut\": %s}", out->cut ? "true" : "false");
}

static void tracer_show(struct tracer_frames *frames, const struct tracer_stop *stop,
                        const struct tracer_options *options)
{
    double held = (double)stop->stopped_us / 1000.;
    if (options->json)
        printf("{\"stopped_ms\": %.3f, \"left_out\": %zu, \"threads\": [", held, stop->left_out);
    else
        printf("stopped for %.1f ms\n", held);
    for (size_t i = 0; i < stop->count; i++) {
        struct tracer_out out = {.options = options};
        fputs(options->json && i > 0 ? ", " : "", stdout);
        if (options->json)
            tracer_show_json(frames, &stop->threads[i], &out);
        else
            tracer_show_text(frames, &stop->threads[i], &out);
    }
    if (options->json)
        fputs("]}\n", stdout);
    else if (stop->left_out > 0)
        printf("%zu more threads are left out\n", stop->left_out);
}

/* ---- the program ---- */

static int tracer_run(const struct tracer_options *options)
{
    static struct tracer_stop stop;
    static struct tracer_files files;
    char error[256];
    struct tracer_identity identity = tracer_identify(options->pid);
    tracer_open_files(options->pid, &files);
    if (tracer_stop(&stop, options->pid, options->first) != 0)
        return tracer_refused(options->pid, &identity, errno);
    if (tracer_become(&identity) != 0)
        return tracer_fail("cannot become the user of process %d: %s", (int)options->pid,
                           strerror(errno));
    struct tracer_frames *frames = tracer_frames_open(&stop, &files, error, sizeof error);
    if (frames == NULL)
        return tracer_fail("no stack of process %d: %s", (int)options->pid, error);
    tracer_show(frames, &stop, options);
    tracer_frames_close(&frames);
    tracer_stop_free(&stop);
    return EXIT_SUCCESS;
}

static bool tracer_number(const char *text, long *out)
{
    char *rest;
    errno = 0;
    *out = strtol(text, &rest, 10);
    return errno == 0 && rest != text && *rest == '\0' && *out > 0 && *out <= 1 << 30;
}

int main(int argc, char **argv)
{
    struct tracer_options options = {.depth = TRACER_DEPTH};
    long number;
    int option;
    bool good = true;
    while ((option = getopt(argc, argv, "jd:f:")) != -1) {
        options.json |= option == 'j';
        good = good && (option == 'j' || (option != '?' && tracer_number(optarg, &number)));
        if (good && option == 'd')
            options.depth = (unsigned)number;
        else if (good && option == 'f')
            options.first = (pid_t)number;
    }
    if (!good || optind + 1 != argc || !tracer_number(argv[optind], &number)) {
        fputs("usage: overtime-trace [-j] [-d DEPTH] [-f TID] PID\n", stderr);
        return EX_USAGE;
    }
    options.pid = (pid_t)number;
    (void)unsetenv("DEBUGINFOD_URLS"); /* libdw would ask the network */
    int status = tracer_run(&options);
    return fflush(stdout) == 0 ? status : EXIT_FAILURE;
}

#else

int main(void)
{
    puts("overtime was built without elfutils' libdw: install libdw-dev and build it anew, or set "
         "`slowlog.command`");
    return EXIT_FAILURE;
}

#endif
