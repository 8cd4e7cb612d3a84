/* process_tree.h: the processes of a worker: its process group and everything below it.
 *
 * A worker's first process leads a process group. Its program may stand behind a shell or another
 * wrapper, or fork children; some of them may have groups or sessions of their own. The manager is
 * a child subreaper: what loses its parent becomes the manager's child, and keeps its number until
 * it is reaped. So no number is signalled that may have become another process's.
 *
 * Reads /proc, within bounds. Without a /proc that shows children, the process group is all that is
 * known. A process that has left its parent and its group before the tree was looked at belongs to
 * it no more: it was made a daemon on purpose.
 */
#ifndef FPM_PROCESS_TREE_H
#define FPM_PROCESS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    PROCESS_TREE_MAX = 256,           /* processes that one look finds at most */
    PROCESS_TREE_REMEMBERED_MAX = 64, /* processes that are known by their numbers */
    PROCESS_TREE_NAME = 16
};

/* One process as /proc shows it. */
struct process_tree_process {
    pid_t pid, parent, group;
    uint64_t started; /* clock ticks since boot: with the pid it names the process for ever */
    bool ended;       /* not reaped yet */
    bool stopped;     /* by a signal, or traced */
    bool frozen;      /* stopped by SIGSTOP */
    char name[PROCESS_TREE_NAME];
};

struct process_tree_key {
    int32_t pid;
    uint32_t asked; /* it got a signal by process_tree_signal_handlers */
    uint64_t started;
};

struct process_tree {
    pid_t leader; /* also the number of the group; 0 = no tree */
    bool led;     /* the leader is not reaped */
    unsigned remembered_count;
    struct process_tree_key *remembered; /* outside of the group; NULL = none yet */
    struct process_tree *next;           /* of all trees that remember some */
};

struct process_tree_list {
    unsigned count;
    struct process_tree_process items[PROCESS_TREE_MAX];
};

/* A tree whose leader is a child that is not reaped. */
void process_tree_begin(struct process_tree *tree, pid_t leader);
void process_tree_free(struct process_tree *tree);

/* Remembers what an earlier tree did (see process_tree_look). */
void process_tree_adopt(struct process_tree *tree, const struct process_tree *before);

/* Lists the processes that have not ended, the leader too. Remembers those outside of the group, so
 * that they are found again when they lose their parents. */
void process_tree_look(struct process_tree *tree, struct process_tree_list *list);

/* May anything be left, now that the leader is reaped? One system call if there never was more than
 * the leader. True for processes that have ended and are not reaped. */
bool process_tree_may_remain(const struct process_tree *tree);

/* Is this process in the tree? */
bool process_tree_has(const struct process_tree *tree, pid_t pid);

/* Adds a process that is not below the leader any more; the caller knows that it is the worker's.
 */
void process_tree_remember(struct process_tree *tree, const struct process_tree_process *process);

/* Does any tree remember this process? */
bool process_tree_is_claimed(const struct process_tree_process *process);

/* Signals the leader, its group, and everything below. */
void process_tree_signal(struct process_tree *tree, int signal);

/* Signals the process `program` of the tree (0 = none), and all others that have a handler for the
 * signal: not wrappers, which it would end before what they wait for. Another call reaches those
 * that have a handler by then, each process once. Returns how many were signalled. */
unsigned process_tree_signal_handlers(struct process_tree *tree, pid_t program, int signal);

/* Signals one process, if it is in the tree. */
void process_tree_signal_one(const struct process_tree *tree, pid_t pid, int signal);

/* Signals the very process that was found; another that has its number now gets nothing. */
void process_tree_signal_process(const struct process_tree_process *process, int signal);

/* Has the process a handler for the signal? */
bool process_tree_catches(pid_t pid, int signal);

/* Was the process started with a variable that begins so, whatever it has done with it since? */
bool process_tree_was_given(pid_t pid, const char *variable);

/* "123 (name), 124 (name) and 3 more" */
void process_tree_names(const struct process_tree_list *list, char *text, size_t size);

/* Reads /proc/PID/stat. False if there is no such process, or it may not be read. */
bool process_tree_read(pid_t pid, struct process_tree_process *process);

/* The same from the file's text. Pure. */
bool process_tree_parse(const char *text, struct process_tree_process *process);

/* The manager's children that nothing watches, up to `max`: those that it adopted. Returns their
 * number. */
unsigned process_tree_orphans(pid_t *pids, unsigned max);

#endif
