/* tracer_frames.c: see tracer_frames.h. */
#include "fpm/helpers/tracer_frames.h"

#ifdef HAVE_LIBDW

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

struct tracer_frames {
    Dwfl *dwfl;
    const struct tracer_stop *stop;
    const struct tracer_files *files;
};

/* libdw passes no context to the callback that finds files. */
static const struct tracer_frames *tracer_frames_now;

/* ---- files ---- */

/* The vDSO, which the kernel maps into every process. */
static Elf *tracer_frames_vdso(void)
{
    Dwarf_Addr begin, end;
    size_t size = 0;
    char line[512];
    char *own = (char *)getauxval(AT_SYSINFO_EHDR); /* NOLINT(performance-no-int-to-ptr) */
    FILE *maps = own == NULL ? NULL : fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        char *rest;
        begin = strtoull(line, &rest, 16);
        end = strtoull(rest + 1, NULL, 16);
        if (begin == (Dwarf_Addr)own)
            size = end - begin;
    }
    if (maps != NULL)
        (void)fclose(maps);
    return size == 0 ? NULL : elf_memory(own, size);
}

/* Opens a file of the process. The process may have another root directory, in which an absolute
 * link must not lead to our own files; and its program may have been replaced on disk. */
static int tracer_frames_find_elf(Dwfl_Module *module, void **userdata, const char *name,
                                  Dwarf_Addr base, char **file_name, Elf **elf)
{
    const struct tracer_files *files = tracer_frames_now->files;
    struct stat status;
    int fd;
    *file_name = NULL;
    if (strcmp(name, "[vdso]") == 0)
        *elf = tracer_frames_vdso();
    if (name[0] != '/')
        return -1;
    if (files->program >= 0 && strcmp(name, files->name) == 0)
        fd = fcntl(files->program, F_DUPFD_CLOEXEC, 0);
    else
        fd = files->root >= 0 ? openat(files->root, name + 1, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
                              : open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))) {
        (void)close(fd);
        fd = -1;
    }
    *file_name = fd >= 0 ? strdup(name) : NULL;
    return fd;
}

/* ---- copied state ---- */

static pid_t tracer_frames_next_thread(Dwfl *dwfl, void *context, void **thread)
{
    const struct tracer_stop *stop = ((const struct tracer_frames *)context)->stop;
    struct tracer_thread *next =
        *thread == NULL ? stop->threads : (struct tracer_thread *)*thread + 1;
    if (next == stop->threads + stop->count)
        return 0;
    *thread = next;
    return next->tid;
}

/* Reads memory that was not copied from the running process; most of it never changes. */
static bool tracer_frames_read(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *word, void *context)
{
    const struct tracer_stop *stop = ((const struct tracer_frames *)context)->stop;
    for (size_t i = 0; i < stop->count; i++) {
        const struct tracer_thread *thread = &stop->threads[i];
        if (thread->stack_size >= sizeof *word && address >= thread->sp &&
            address - thread->sp <= thread->stack_size - sizeof *word) {
            memcpy(word, thread->stack + (address - thread->sp), sizeof *word);
            return true;
        }
    }
    return stop->memory >= 0 &&
           pread(stop->memory, word, sizeof *word, (off_t)address) == (ssize_t)sizeof *word;
}

static bool tracer_frames_set_registers(Dwfl_Thread *of, void *context)
{
    const struct tracer_thread *thread = context;
    Dwarf_Word registers[TRACER_REGISTERS];
    for (unsigned i = 0; i < thread->register_count; i++)
        registers[i] = thread->registers[i];
    dwfl_thread_state_register_pc(of, thread->pc);
    return dwfl_thread_state_registers(of, 0, thread->register_count, registers);
}

static const Dwfl_Thread_Callbacks tracer_frames_thread_callbacks = {
    .next_thread = tracer_frames_next_thread,
    .memory_read = tracer_frames_read,
    .set_initial_registers = tracer_frames_set_registers,
};

/* ---- open and close ---- */

static char *tracer_frames_debug_path; /* libdw's default */

static const Dwfl_Callbacks tracer_frames_callbacks = {
    .find_elf = tracer_frames_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .debuginfo_path = &tracer_frames_debug_path,
};

/* Reports the mappings to libdw: files, and the vDSO, the kernel's only mapping with code. */
static int tracer_frames_report(Dwfl *dwfl, char *maps)
{
    FILE *file = fmemopen(maps, strlen(maps), "r");
    const char *line = strstr(maps, "[vdso]\n");
    if (file == NULL)
        return -1;
    dwfl_report_begin(dwfl);
    int result = dwfl_linux_proc_maps_report(dwfl, file);
    while (line != NULL && line > maps && line[-1] != '\n')
        line--;
    if (line != NULL) {
        char *rest;
        Dwarf_Addr begin = strtoull(line, &rest, 16);
        (void)dwfl_report_module(dwfl, "[vdso]", begin, strtoull(rest + 1, NULL, 16));
    }
    (void)fclose(file);
    return dwfl_report_end(dwfl, NULL, NULL) == 0 && result == 0 ? 0 : -1;
}

struct tracer_frames *tracer_frames_open(const struct tracer_stop *stop,
                                         const struct tracer_files *files, char *error, size_t size)
{
    struct tracer_frames *frames = calloc(1, sizeof *frames);
    if (frames == NULL) {
        snprintf(error, size, "out of memory");
        return NULL;
    }
    *frames = (struct tracer_frames){dwfl_begin(&tracer_frames_callbacks), stop, files};
    tracer_frames_now = frames;
    if (frames->dwfl != NULL && tracer_frames_report(frames->dwfl, stop->maps) == 0 &&
        dwfl_attach_state(frames->dwfl, NULL, stop->pid, &tracer_frames_thread_callbacks, frames))
        return frames;
    snprintf(error, size, "libdw: %s", dwfl_errmsg(-1));
    tracer_frames_close(&frames);
    return NULL;
}

void tracer_frames_close(struct tracer_frames **frames)
{
    struct tracer_frames *old = *frames;
    *frames = NULL;
    if (old == NULL)
        return;
    if (old->dwfl != NULL)
        dwfl_end(old->dwfl);
    free(old);
}

/* ---- walking ---- */

struct tracer_frames_walk {
    Dwfl *dwfl;
    bool (*take)(void *context, const struct tracer_frame *frame);
    void *context;
    unsigned count;
};

static bool tracer_frames_take(struct tracer_frames_walk *walk, const struct tracer_frame *frame)
{
    walk->count++;
    return walk->take(walk->context, frame);
}

/* Fills in the place where an inlined function is called. */
static void tracer_frames_call_site(Dwarf_Die *die, Dwarf_Die *unit, struct tracer_frame *frame)
{
    Dwarf_Attribute attribute;
    Dwarf_Files *files;
    Dwarf_Word value = 0;
    frame->file = NULL;
    frame->line = 0;
    if (dwarf_getsrcfiles(unit, &files, NULL) == 0 &&
        dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &value) == 0)
        frame->file = dwarf_filesrc(files, value, NULL, NULL);
    if (frame->file != NULL &&
        dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &value) == 0)
        frame->line = (int)value;
}

/* Reports the functions inlined at this address, innermost first; `frame` becomes the outer one.
 * Returns false if the walk must stop. */
static bool tracer_frames_inlined(struct tracer_frames_walk *walk, Dwfl_Module *module,
                                  struct tracer_frame *frame, Dwarf_Addr pc)
{
    Dwarf_Addr bias;
    Dwarf_Die *unit = dwfl_module_addrdie(module, pc, &bias), *found = NULL, *scopes = NULL;
    int count = unit == NULL ? 0 : dwarf_getscopes(unit, pc - bias, &found);
    count = count > 0 ? dwarf_getscopes_die(&found[0], &scopes) : 0;
    bool on = true;
    for (int i = 0; on && i < count; i++) {
        int tag = dwarf_tag(&scopes[i]);
        const char *name = dwarf_diename(&scopes[i]);
        if (tag == DW_TAG_subprogram && name != NULL)
            frame->function = name;
        if (tag == DW_TAG_subprogram)
            break;
        if (tag != DW_TAG_inlined_subroutine)
            continue;
        frame->function = name;
        frame->inlined = true;
        on = tracer_frames_take(walk, frame);
        tracer_frames_call_site(&scopes[i], unit, frame);
        frame->function = NULL;
    }
    frame->inlined = false;
    free(found);
    free(scopes);
    return on;
}

static int tracer_frames_on_frame(Dwfl_Frame *state, void *context)
{
    struct tracer_frames_walk *walk = context;
    struct tracer_frame frame = {0};
    Dwarf_Addr pc, base = 0;
    bool exact;
    if (!dwfl_frame_pc(state, &pc, &exact))
        return DWARF_CB_ABORT;
    frame.address = pc;
    pc -= exact ? 0 : 1; /* the call, not the instruction after it */
    Dwfl_Module *module = dwfl_addrmodule(walk->dwfl, pc);
    if (module == NULL)
        return tracer_frames_take(walk, &frame) ? DWARF_CB_OK : DWARF_CB_ABORT;
    frame.module = dwfl_module_info(module, NULL, &base, NULL, NULL, NULL, NULL, NULL);
    frame.offset = frame.address - base;
    Dwfl_Line *line = dwfl_module_getsrc(module, pc);
    frame.file = line == NULL ? NULL : dwfl_lineinfo(line, NULL, &frame.line, NULL, NULL, NULL);
    if (!tracer_frames_inlined(walk, module, &frame, pc))
        return DWARF_CB_ABORT;
    if (frame.function == NULL)
        frame.function = dwfl_module_addrname(module, pc);
    return tracer_frames_take(walk, &frame) ? DWARF_CB_OK : DWARF_CB_ABORT;
}

unsigned tracer_frames_walk(struct tracer_frames *frames, pid_t tid,
                            bool (*take)(void *context, const struct tracer_frame *frame),
                            void *context)
{
    struct tracer_frames_walk walk = {frames->dwfl, take, context, 0};
    /* On some machines a complete walk ends with an error, so only the frames count. */
    (void)dwfl_getthread_frames(frames->dwfl, tid, tracer_frames_on_frame, &walk);
    return walk.count;
}

#endif
