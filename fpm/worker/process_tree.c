/* process_tree.c: see process_tree.h. */
#include "fpm/worker/process_tree.h"

#include "fpm/util/child.h"
#include "fpm/util/fd.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROCESS_TREE_THREADS_MAX = 64,       /* whose children are read, of one process */
    PROCESS_TREE_CHILDREN_BYTES = 65536, /* of one thread's list of children */
    PROCESS_TREE_ENVIRON = 65536,        /* that are read, of an environment */
    PROCESS_TREE_DEPTH_MAX = 32,
    PROCESS_TREE_ROUNDS = 3 /* a signal is repeated for processes that were forked meanwhile */
};

/* ---- /proc ---- */

/* The fields behind the name: state, parent, group, and as the 20th the start. */
bool process_tree_parse(const char *text, struct process_tree_process *process)
{
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    int pid = 0, parent = 0, group = 0;
    uint64_t started = 0;
    char state = '\0';
    if (open == NULL || close == NULL || close < open || sscanf(text, "%d", &pid) != 1 ||
        sscanf(close + 1,
               " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
               "%" SCNu64,
               &state, &parent, &group, &started) != 4)
        return false;
    *process = (struct process_tree_process){.pid = pid,
                                             .parent = parent,
                                             .group = group,
                                             .started = started,
                                             .ended = state == 'Z' || state == 'X',
                                             .stopped = state == 'T' || state == 't',
                                             .frozen = state == 'T'};
    size_t length = (size_t)(close - open - 1);
    length = length < sizeof process->name ? length : sizeof process->name - 1;
    for (size_t i = 0; i < length; i++)
        process->name[i] = (char)(isprint((unsigned char)open[1 + i]) ? open[1 + i] : '?');
    return true;
}

/* Reads up to `size` bytes and adds a NUL. Returns their number, or -1. */
static ssize_t process_tree_read_file(const char *path, char *text, size_t size)
{
    size_t used = 0;
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while (used < size - 1 && got > 0) {
        got = read(fd, text + used, size - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    fd_close(&fd);
    text[used] = '\0';
    return (ssize_t)used;
}

bool process_tree_read(pid_t pid, struct process_tree_process *process)
{
    char path[64], text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    return process_tree_read_file(path, text, sizeof text) > 0 && process_tree_parse(text, process);
}

/* Adds the children of one thread, which the file lists as decimal numbers with blanks. */
static unsigned process_tree_thread_children(pid_t pid, long thread, pid_t *children,
                                             unsigned count, unsigned max)
{
    static char text[PROCESS_TREE_CHILDREN_BYTES];
    char path[64], *at = text, *end = NULL;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%ld/children", (int)pid, thread);
    if (process_tree_read_file(path, text, sizeof text) <= 0)
        return count;
    for (long child; count < max && (child = strtol(at, &end, 10)) > 0; at = end)
        children[count++] = (pid_t)child;
    return count;
}

/* The children of a process, of whichever thread. */
static unsigned process_tree_children(pid_t pid, pid_t *children, unsigned max)
{
    char path[64];
    unsigned count = 0, threads = 0;
    const struct dirent *entry;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    while ((entry = readdir(folder)) != NULL && threads < PROCESS_TREE_THREADS_MAX) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        threads++;
        count = process_tree_thread_children(pid, strtol(entry->d_name, NULL, 10), children, count,
                                             max);
    }
    (void)closedir(folder);
    return count;
}

unsigned process_tree_orphans(pid_t *pids, unsigned max)
{
    static pid_t children[PROCESS_TREE_CHILDREN_BYTES / 2];
    unsigned all = process_tree_thread_children(getpid(), getpid(), children, 0,
                                                sizeof children / sizeof *children);
    unsigned count = 0;
    for (unsigned i = 0; i < all && count < max; i++)
        if (!child_is_watched(children[i]))
            pids[count++] = children[i];
    return count;
}

/* ---- what is known outside of the group ---- */

static struct process_tree *process_tree_all; /* that remember some; a list */

void process_tree_begin(struct process_tree *tree, pid_t leader)
{
    process_tree_free(tree);
    tree->leader = leader;
    tree->led = true;
}

void process_tree_free(struct process_tree *tree)
{
    struct process_tree **link = &process_tree_all;
    while (tree->remembered != NULL && *link != NULL && *link != tree)
        link = &(*link)->next;
    if (tree->remembered != NULL && *link == tree)
        *link = tree->next;
    free(tree->remembered);
    *tree = (struct process_tree){.leader = 0};
}

static struct process_tree_key *process_tree_find(const struct process_tree *tree,
                                                  const struct process_tree_process *process)
{
    for (unsigned i = 0; i < tree->remembered_count; i++)
        if (tree->remembered[i].pid == process->pid &&
            tree->remembered[i].started == process->started)
            return &tree->remembered[i];
    return NULL;
}

static void process_tree_add(struct process_tree *tree, const struct process_tree_key *key)
{
    if (tree->remembered == NULL) {
        tree->remembered = calloc(PROCESS_TREE_REMEMBERED_MAX, sizeof *tree->remembered);
        if (tree->remembered == NULL)
            return;
        tree->next = process_tree_all;
        process_tree_all = tree;
    }
    if (tree->remembered_count < PROCESS_TREE_REMEMBERED_MAX)
        tree->remembered[tree->remembered_count++] = *key;
}

void process_tree_remember(struct process_tree *tree, const struct process_tree_process *process)
{
    const struct process_tree_key key = {.pid = process->pid, .started = process->started};
    if (process_tree_find(tree, process) == NULL)
        process_tree_add(tree, &key);
}

void process_tree_adopt(struct process_tree *tree, const struct process_tree *before)
{
    for (unsigned i = 0; i < before->remembered_count; i++)
        process_tree_add(tree, &before->remembered[i]);
}

bool process_tree_is_claimed(const struct process_tree_process *process)
{
    const struct process_tree *tree = process_tree_all;
    while (tree != NULL && process_tree_find(tree, process) == NULL)
        tree = tree->next;
    return tree != NULL;
}

/* ---- looking ---- */

static bool process_tree_lists(const struct process_tree_list *list, pid_t pid)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->items[i].pid == pid)
            return true;
    return false;
}

/* The processes from which all others are found: the leader, and children of the manager that were
 * this worker's. */
static void process_tree_add_roots(const struct process_tree *tree, struct process_tree_list *list)
{
    struct process_tree_process process;
    if (tree->led && process_tree_read(tree->leader, &process))
        list->items[list->count++] = process;
    if (tree->led && tree->remembered_count == 0)
        return;
    pid_t adopted[PROCESS_TREE_MAX];
    unsigned count = process_tree_orphans(adopted, PROCESS_TREE_MAX);
    for (unsigned i = 0; i < count && list->count < PROCESS_TREE_MAX; i++)
        if (process_tree_read(adopted[i], &process) &&
            (process.group == tree->leader || process_tree_find(tree, &process) != NULL))
            list->items[list->count++] = process;
}

void process_tree_look(struct process_tree *tree, struct process_tree_list *list)
{
    pid_t children[PROCESS_TREE_MAX];
    list->count = 0;
    if (tree->leader == 0)
        return;
    process_tree_add_roots(tree, list);
    for (unsigned i = 0; i < list->count; i++) {
        unsigned count = process_tree_children(list->items[i].pid, children, PROCESS_TREE_MAX);
        for (unsigned j = 0; j < count && list->count < PROCESS_TREE_MAX; j++)
            if (!process_tree_lists(list, children[j]) &&
                process_tree_read(children[j], &list->items[list->count]))
                list->count++;
    }

    /* Forget what is not there any more, drop what has ended and waits to be reaped, and remember
     * the rest. */
    unsigned kept = 0;
    for (unsigned i = 0; i < tree->remembered_count; i++)
        if (process_tree_lists(list, tree->remembered[i].pid))
            tree->remembered[kept++] = tree->remembered[i];
    tree->remembered_count = kept;
    kept = 0;
    for (unsigned i = 0; i < list->count; i++)
        if (!list->items[i].ended)
            list->items[kept++] = list->items[i];
    list->count = kept;
    for (unsigned i = 0; i < list->count; i++)
        if (list->items[i].group != tree->leader)
            process_tree_remember(tree, &list->items[i]);
}

/* Have we a child, ended or not, in the group? Only we reap it, so until then the group's number
 * cannot become another's. */
static bool process_tree_holds_group(const struct process_tree *tree)
{
    siginfo_t any = {0};
    if (tree->led)
        return true;
    return waitid(P_PGID, (id_t)tree->leader, &any, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool process_tree_may_remain(const struct process_tree *tree)
{
    return tree->remembered_count > 0 || process_tree_holds_group(tree);
}

/* From a process up to the leader, or to the manager through a process of this worker. */
bool process_tree_has(const struct process_tree *tree, pid_t pid)
{
    struct process_tree_process process;
    bool found = false;
    pid_t self = getpid();
    if (tree->leader == 0 || pid <= 1)
        return false;
    for (int depth = 0; depth < PROCESS_TREE_DEPTH_MAX; depth++) {
        if (tree->led && pid == tree->leader)
            return true;
        if (!process_tree_read(pid, &process))
            return false;
        found = found || process.group == tree->leader || process_tree_find(tree, &process) != NULL;
        if (process.parent == self)
            return found && !child_is_watched(pid);
        pid = process.parent;
        if (pid <= 1)
            return false;
    }
    return false;
}

/* ---- signals ---- */

/* The descriptor keeps meaning the process that had this number when it was opened; only if that is
 * still the one that was found, it is signalled. */
void process_tree_signal_process(const struct process_tree_process *process, int signal)
{
    struct process_tree_process now;
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (fd >= 0 && process_tree_read(process->pid, &now) && now.started == process->started)
        (void)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
    fd_close(&fd);
}

void process_tree_signal_one(const struct process_tree *tree, pid_t pid, int signal)
{
    struct process_tree_process process;
    if (tree->led && pid == tree->leader)
        (void)kill(pid, signal);
    else if (process_tree_read(pid, &process) && process_tree_has(tree, pid))
        process_tree_signal_process(&process, signal);
}

/* Each process outside of the group gets the signal once, but for KILL, which is repeated until a
 * look finds nothing new. */
void process_tree_signal(struct process_tree *tree, int signal)
{
    struct process_tree_list list;
    int rounds = signal == SIGKILL ? PROCESS_TREE_ROUNDS : 1;
    if (tree->leader == 0)
        return;
    for (int round = 0; round < rounds; round++) {
        /* Before the leader gets it: its children are found below it. */
        process_tree_look(tree, &list);
        if (process_tree_holds_group(tree))
            (void)kill(-tree->leader, signal);
        unsigned outside = 0;
        for (unsigned i = 0; i < list.count; i++) {
            if (list.items[i].group == tree->leader)
                continue;
            process_tree_signal_process(&list.items[i], signal);
            outside++;
        }
        if (outside == 0)
            break;
    }
    if (tree->led && getpgid(tree->leader) != tree->leader)
        (void)kill(tree->leader, signal);
}

bool process_tree_catches(pid_t pid, int signal)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (process_tree_read_file(path, text, sizeof text) <= 0)
        return false;
    const char *line = strstr(text, "\nSigCgt:");
    return line != NULL &&
           (strtoull(line + strlen("\nSigCgt:"), NULL, 16) >> (unsigned)(signal - 1) & 1) != 0;
}

unsigned process_tree_signal_handlers(struct process_tree *tree, pid_t program, int signal)
{
    struct process_tree_list list;
    bool leads = tree->led && program == tree->leader;
    unsigned count = leads;
    process_tree_look(tree, &list);
    for (unsigned i = 0; i < list.count; i++) {
        const struct process_tree_process *one = &list.items[i];
        if ((leads && one->pid == program) ||
            (one->pid != program && !process_tree_catches(one->pid, signal)))
            continue;
        /* Each is asked once; one that cannot be remembered is not. */
        process_tree_remember(tree, one);
        struct process_tree_key *key = process_tree_find(tree, one);
        if (key == NULL || key->asked)
            continue;
        key->asked = 1;
        process_tree_signal_process(one, signal);
        count++;
    }
    if (leads)
        (void)kill(program, signal);
    return count;
}

bool process_tree_was_given(pid_t pid, const char *variable)
{
    static char text[PROCESS_TREE_ENVIRON];
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    ssize_t size = process_tree_read_file(path, text, sizeof text);
    size_t length = strlen(variable);
    const char *at = text, *end = text + (size > 0 ? size : 0);
    while (at < end && strncmp(at, variable, length) != 0)
        at += strlen(at) + 1;
    return at < end;
}

void process_tree_names(const struct process_tree_list *list, char *text, size_t size)
{
    enum {
        SHOWN = 4
    };
    size_t used = 0;
    *text = '\0';
    for (unsigned i = 0; i < list->count && i < SHOWN && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%d (%s)", i > 0 ? ", " : "",
                                 (int)list->items[i].pid, list->items[i].name);
    if (list->count > SHOWN && used < size)
        (void)snprintf(text + used, size - used, " and %u more", list->count - SHOWN);
}
