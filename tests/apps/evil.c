/* evil.c: an application that attacks, for tests/system/hostile/.
 *
 * usage: evil [-d COUNT] [ATTACK]
 * A request's query string names an attack (the table at the end), or is empty. The response,
 * "served", comes first; then the attack runs, and with those that never return the worker stays in
 * post-response work. ATTACK runs before the first accept; -d first opens COUNT descriptors.
 *
 * The descriptors of the contract are copied before the library attaches and closes them, so that
 * an attack has whatever a worker can hold.
 */
#include "sapi-shim/contract.h"
#include "sapi-shim/overtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    EVIL_COPIES = 200, /* the copy of descriptor N is EVIL_COPIES + N */
    EVIL_CHILDREN = 64
};

static pid_t evil_manager;

static int evil_copy(int fd)
{
    return EVIL_COPIES + fd;
}

static void evil_pause(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

static void evil_set_blocking(int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/* ---- what the manager reads, writes and accepts ---- */

/* Takes rings away before the manager reads them, on a description that is made blocking. */
static void evil_doorbell(void)
{
    int fd = evil_copy(OT_FD_DOORBELL);
    for (;;) {
        uint64_t ring = 1;
        (void)!write(fd, &ring, sizeof ring);
        (void)!recv(fd, &ring, sizeof ring, MSG_DONTWAIT);
        evil_set_blocking(fd, false);
        (void)!read(fd, &ring, sizeof ring);
        evil_set_blocking(fd, true);
    }
}

static void evil_rings(void)
{
    uint64_t ring = 1;
    for (;;)
        (void)!write(evil_copy(OT_FD_DOORBELL), &ring, sizeof ring);
}

/* The largest count: a sibling's ring would wait where the description is blocking. */
static void evil_full_doorbell(void)
{
    uint64_t ring = UINT64_MAX - 1;
    evil_set_blocking(evil_copy(OT_FD_DOORBELL), true);
    for (int i = 0; i < 1000; i++)
        (void)!write(evil_copy(OT_FD_DOORBELL), &ring, sizeof ring);
}

static void evil_blocking(void)
{
    for (int fd = 0; fd < OT_FD_FIRST_FREE; fd++)
        evil_set_blocking(evil_copy(fd), true);
}

static void evil_output(void)
{
    static char line[65536];
    memset(line, 'x', sizeof line);
    for (size_t at = 99; at < sizeof line; at += 100)
        line[at] = '\n';
    for (;;)
        (void)!write(STDERR_FILENO, line, sizeof line);
}

static void evil_output_without_line(void)
{
    static char zeros[65536];
    for (;;)
        (void)!write(STDERR_FILENO, zeros, sizeof zeros);
}

static void evil_messages(void)
{
    static const char message[] = "E\033[2Jpool www: all is well\n";
    for (;;)
        (void)!write(evil_copy(OT_FD_MESSAGES), message, sizeof message - 1);
}

/* ---- between siblings ---- */

static void evil_handoff(void)
{
    (void)shutdown(evil_copy(OT_FD_HANDOFF_IN), SHUT_RDWR);
    (void)shutdown(evil_copy(OT_FD_HANDOFF_OUT), SHUT_RDWR);
}

static void evil_handoff_half(void)
{
    (void)shutdown(evil_copy(OT_FD_HANDOFF_OUT), SHUT_WR);
}

/* Sends one message with up to four descriptors through the pair. */
static ssize_t evil_hand(const void *bytes, size_t size, const int *fds, size_t count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof *fds);
        memcpy(CMSG_DATA(header), fds, count * sizeof *fds);
    }
    return sendmsg(evil_copy(OT_FD_HANDOFF_OUT), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void evil_hand_many(size_t size, size_t count, unsigned char kind)
{
    int pair[2];
    unsigned char bytes[64];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return;
    const int fds[] = {pair[0], pair[1], pair[0], pair[1]};
    memset(bytes, 0xff, sizeof bytes);
    bytes[0] = kind;
    for (int sent = 0, tries = 0; sent < 3000 && tries < 60000; tries++)
        if (evil_hand(bytes, size, fds, count) >= 0)
            sent++;
        else
            evil_pause(1);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* Descriptors that no sibling expects, which it must close. */
static void evil_two_descriptors(void)
{
    evil_hand_many(64, 2, OT_HANDOFF_IDLE);
    evil_hand_many(64, 4, OT_HANDOFF_REQUEST);
}

/* Connections that came at the end of time. */
static void evil_stamps(void)
{
    evil_hand_many(64, 1, OT_HANDOFF_IDLE);
    evil_hand_many(64, 1, OT_HANDOFF_REQUEST);
}

static void evil_empty_messages(void)
{
    evil_hand_many(0, 0, 0);
    evil_hand_many(1, 0, OT_HANDOFF_REQUEST);
    evil_hand_many(0, 1, 0);
}

/* What is no connection: a listening socket, a file, a pipe, the doorbell. */
static void evil_no_connections(void)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), ends[2] = {-1, -1};
    unsigned char bytes[64] = {OT_HANDOFF_REQUEST};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    const int fds[] = {null_fd, ends[0], ends[1], evil_copy(OT_FD_LISTEN),
                       evil_copy(OT_FD_DOORBELL)};
    for (int i = 0; i < 1000; i++)
        (void)evil_hand(bytes, sizeof bytes, &fds[i % 5], 1);
}

/* ---- the listening socket ---- */

static void evil_listen(void)
{
    (void)shutdown(evil_copy(OT_FD_LISTEN), SHUT_RDWR);
}

static void evil_listen_half(void)
{
    (void)shutdown(evil_copy(OT_FD_LISTEN), SHUT_RD);
}

/* Whatever the manager does about it. */
static void evil_listen_again(void)
{
    for (;;) {
        evil_listen();
        evil_pause(1);
    }
}

static void evil_backlog(void)
{
    (void)listen(evil_copy(OT_FD_LISTEN), 0);
}

static void evil_listen_blocking(void)
{
    evil_set_blocking(evil_copy(OT_FD_LISTEN), true);
}

/* Accepts and holds. */
static void evil_accept(void)
{
    for (;;)
        if (accept4(evil_copy(OT_FD_LISTEN), NULL, NULL, SOCK_CLOEXEC) < 0)
            evil_pause(1);
}

/* ---- the access log ---- */

static void evil_read_access(void)
{
    static char bytes[65536];
    char path[64];
    int fd = evil_copy(OT_FD_ACCESS);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    evil_set_blocking(fd, false);
    for (;;) {
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got <= 0 && again >= 0)
            got = read(again, bytes, sizeof bytes);
        if (got <= 0)
            (void)sched_yield();
    }
}

static void evil_write_access(void)
{
    static char bytes[65536];
    memset(bytes, '\033', sizeof bytes);
    for (;;)
        (void)!write(evil_copy(OT_FD_ACCESS), bytes, sizeof bytes);
}

/* ---- the slot ---- */

static struct ot_slot *evil_slot(void)
{
    static struct ot_slot *slot;
    struct stat status;
    int fd = evil_copy(OT_FD_BOARD);
    if (slot != NULL || fstat(fd, &status) != 0)
        return slot;
    const struct ot_board *board = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED)
        return NULL;
    const char *contract = getenv("EVIL_CONTRACT");
    unsigned long number = contract != NULL ? strtoul(strchr(contract, ' ') + 1, NULL, 10) : 0;
    off_t at = (off_t)(board->slots_offset + number * board->slot_stride);
    void *own = mmap(
        NULL, board->slot_stride, PROT_READ | PROT_WRITE, MAP_SHARED, evil_copy(OT_FD_SLOT),
        fstat(evil_copy(OT_FD_SLOT), &status) == 0 && status.st_size > (off_t)board->slot_stride
            ? at
            : 0);
    if (own != MAP_FAILED)
        slot = own;
    return slot;
}

static void evil_histograms(void)
{
    struct ot_slot *slot = evil_slot();
    if (slot == NULL)
        return;
    memset(slot->records[0].measures, 0xff, sizeof slot->records[0].measures);
    slot->records[0].requests = slot->records[0].finished = UINT64_MAX;
    slot->records[0].kept = UINT32_MAX;
}

/* Anything, but for the head by which the manager knows that a library attached. */
static void evil_random_slot(void)
{
    struct ot_slot *slot = evil_slot();
    unsigned seed = (unsigned)getpid();
    while (slot != NULL) {
        unsigned char *bytes = (unsigned char *)slot->records;
        for (size_t i = 0; i < sizeof slot->records; i++)
            bytes[i] = (unsigned char)(rand_r(&seed) >> 7);
        atomic_store(&slot->threads, (uint32_t)rand_r(&seed));
        slot->exit_reason = (uint32_t)rand_r(&seed);
        evil_pause(5);
    }
}

/* A record that is always being changed. */
static void evil_changing_record(void)
{
    struct ot_slot *slot = evil_slot();
    for (;;) {
        atomic_store(&slot->records[0].change, 1);
        evil_pause(1);
    }
}

static void evil_forged_pid(void)
{
    struct ot_slot *slot = evil_slot();
    for (int i = 0; i < 1000; i++) {
        atomic_store(&slot->pid, i % 2 == 0 ? (int32_t)evil_manager : 1);
        evil_pause(1);
    }
}

static void evil_future(void)
{
    struct ot_record *record = &evil_slot()->records[0];
    record->running_at = record->finished_at = record->accepted_at = record->state_since =
        UINT64_MAX - 1;
    record->state = OT_STATE_RUNNING;
    for (;;)
        evil_pause(1000);
}

/* Says that it has served, and dies. */
static void evil_lie(void)
{
    struct ot_slot *slot = evil_slot();
    atomic_store(&slot->threads, 1);
    slot->version = OT_CONTRACT_VERSION;
    slot->records[0].requests = 1000;
    slot->records[0].state = OT_STATE_IDLE;
    slot->exit_reason = OT_EXIT_MAX_REQUESTS;
    atomic_store(&slot->magic, OT_SLOT_MAGIC);
    _exit(0);
}

/* ---- processes ---- */

/* Calls `act` for each process with our user whose parent is `parent`, itself not. */
static void evil_each(pid_t parent, void (*act)(pid_t pid))
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char path[sizeof entry->d_name + 16], text[512] = "";
        struct stat status;
        int pid = (int)strtol(entry->d_name, NULL, 10), ppid = 0;
        if (pid <= 1 || pid == getpid())
            continue;
        (void)snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        (void)close(fd);
        const char *end = got > 0 ? strrchr(text, ')') : NULL;
        if (end != NULL && sscanf(end + 1, " %*c %d", &ppid) == 1 && ppid == parent &&
            stat(path, &status) == 0)
            act(pid);
    }
    if (folder != NULL)
        (void)closedir(folder);
}

static void evil_kill_one(pid_t pid)
{
    (void)kill(pid, SIGKILL);
}

/* Stops what the manager starts between its change of user and its exec, when it still has the
 * manager's name. Siblings are killed so that others are started, with the next process numbers. */
static void evil_stop_starts(void)
{
    for (int round = 0; round < 40; round++) {
        pid_t last = fork();
        if (last == 0)
            _exit(0);
        (void)waitpid(last, NULL, 0);
        evil_each(evil_manager, evil_kill_one);
        for (int i = 0; i < 4000; i++) {
            char path[64], text[512] = "";
            int pid = last + 1 + i % 20, parent = 0;
            (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                continue;
            (void)!read(fd, text, sizeof text - 1);
            (void)close(fd);
            const char *end = strrchr(text, ')');
            if (end != NULL && strstr(text, "(overtime)") != NULL &&
                sscanf(end + 1, " %*c %d", &parent) == 1 && parent == evil_manager)
                (void)kill(pid, SIGSTOP);
        }
    }
}

static void evil_trace_one(pid_t pid)
{
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0)
        (void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
}

static void evil_trace_siblings(void)
{
    evil_each(evil_manager, evil_trace_one);
    evil_trace_one(evil_manager);
    evil_pause(500);
}

static void evil_signal_manager(void)
{
    static const int signals[] = {SIGSTOP, SIGKILL, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        (void)kill(evil_manager, signals[i]);
        (void)kill(-getpgid(evil_manager), signals[i]);
    }
}

static void evil_join_one(pid_t pid)
{
    (void)setpgid(0, pid);
    pid_t child = fork();
    if (child == 0) {
        (void)setpgid(0, pid);
        for (;;)
            evil_pause(1000);
    }
}

/* Into the groups of siblings and of the manager. */
static void evil_groups(void)
{
    evil_each(evil_manager, evil_join_one);
    (void)setpgid(0, getpgid(evil_manager));
    for (;;)
        evil_pause(1000);
}

static void evil_files_of_manager(void)
{
    static const char *const names[] = {"mem",  "environ",       "fd/0", "fd/3",     "fd/4",
                                        "maps", "oom_score_adj", "root", "map_files"};
    char path[64], bytes[256];
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)evil_manager,
                       names[(size_t)i % (sizeof names / sizeof *names)]);
        int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        (void)!read(fd, bytes, sizeof bytes);
        (void)!write(fd, bytes, 1);
        (void)close(fd);
    }
    int process = (int)syscall(SYS_pidfd_open, evil_manager, 0);
    for (int number = 0; number < 64; number++)
        (void)close((int)syscall(SYS_pidfd_getfd, process, number, 0));
}

/* Children of children, in sessions of their own, with everything that this worker holds. */
static void evil_double_forks(void)
{
    for (int i = 0; i < EVIL_CHILDREN; i++) {
        pid_t child = fork();
        if (child != 0)
            continue;
        (void)setsid();
        if (fork() != 0)
            _exit(0);
        for (int fd = 0; fd < OT_FD_FIRST_FREE; fd++)
            (void)fcntl(evil_copy(fd), F_SETFD, 0);
        evil_pause(3000);
        _exit(0);
    }
    _exit(3);
}

static void evil_fork_and_die(void)
{
    for (int i = 0; i < EVIL_CHILDREN; i++)
        if (fork() == 0) {
            (void)signal(SIGTERM, SIG_IGN);
            evil_pause(3000);
            _exit(0);
        }
    _exit(3);
}

static void *evil_sleep(void *argument)
{
    for (;;)
        evil_pause(1000);
    return argument;
}

static void evil_threads(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, 65536);
    for (int i = 0; i < 1000; i++)
        (void)pthread_create(&thread, &attributes, evil_sleep, NULL);
    for (;;)
        evil_pause(1000);
}

/* ---- resources ---- */

static void evil_descriptors(void)
{
    while (fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) >= 0) {
    }
}

/* Descriptors in flight count for their user, and fill the pair. */
static void evil_flight(void)
{
    int pair[2];
    const unsigned char bytes[64] = {OT_HANDOFF_IDLE};
    while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        if (evil_hand(bytes, sizeof bytes, pair, 1) < 0)
            break;
        (void)close(pair[0]);
    }
    for (;;)
        evil_pause(1000);
}

static void evil_memory_file(void)
{
    (void)!ftruncate(evil_copy(OT_FD_SLOT), 0);
    (void)!ftruncate(evil_copy(OT_FD_BOARD), 0);
    (void)fcntl(evil_copy(OT_FD_SLOT), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL);
    (void)!fallocate(evil_copy(OT_FD_SLOT), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
}

static void evil_nice(void)
{
    (void)setpriority(PRIO_PROCESS, 0, 19);
}

static void evil_spin(void)
{
    for (;;) {
    }
}

static void evil_ignore(void)
{
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_IGN);
    for (;;)
        evil_pause(1000);
}

static const struct evil_attack {
    const char *name;
    void (*run)(void);
} evil_attacks[] = {
    {"doorbell", evil_doorbell},
    {"rings", evil_rings},
    {"full-doorbell", evil_full_doorbell},
    {"blocking", evil_blocking},
    {"output", evil_output},
    {"output-without-line", evil_output_without_line},
    {"messages", evil_messages},
    {"handoff", evil_handoff},
    {"handoff-half", evil_handoff_half},
    {"two-descriptors", evil_two_descriptors},
    {"stamps", evil_stamps},
    {"empty-messages", evil_empty_messages},
    {"no-connections", evil_no_connections},
    {"flight", evil_flight},
    {"listen", evil_listen},
    {"listen-half", evil_listen_half},
    {"listen-again", evil_listen_again},
    {"backlog", evil_backlog},
    {"listen-blocking", evil_listen_blocking},
    {"accept", evil_accept},
    {"read-access", evil_read_access},
    {"write-access", evil_write_access},
    {"histograms", evil_histograms},
    {"random-slot", evil_random_slot},
    {"changing-record", evil_changing_record},
    {"forged-pid", evil_forged_pid},
    {"future", evil_future},
    {"lie", evil_lie},
    {"stop-starts", evil_stop_starts},
    {"trace-siblings", evil_trace_siblings},
    {"signal-manager", evil_signal_manager},
    {"groups", evil_groups},
    {"files-of-manager", evil_files_of_manager},
    {"double-forks", evil_double_forks},
    {"fork-and-die", evil_fork_and_die},
    {"threads", evil_threads},
    {"descriptors", evil_descriptors},
    {"memory-file", evil_memory_file},
    {"nice", evil_nice},
    {"spin", evil_spin},
    {"ignore", evil_ignore},
};

static void evil_run(const char *name)
{
    for (size_t i = 0; i < sizeof evil_attacks / sizeof *evil_attacks; i++)
        if (strcmp(evil_attacks[i].name, name) == 0)
            evil_attacks[i].run();
}

int main(int argc, char **argv)
{
    int descriptors = 0;
    FCGX_Request request;
    const char *contract = getenv(OT_CONTRACT_ENV);
    evil_manager = getppid();
    if (contract != NULL)
        (void)setenv("EVIL_CONTRACT", contract, 1);
    while (getopt(argc, argv, "d:") == 'd')
        descriptors = (int)strtol(optarg, NULL, 10);
    for (int fd = 0; fd < OT_FD_FIRST_FREE; fd++) {
        struct stat status;
        if (fstat(fd, &status) == 0 && dup2(fd, evil_copy(fd)) >= 0)
            (void)fcntl(evil_copy(fd), F_SETFD, FD_CLOEXEC);
    }
    for (int i = 0; i < descriptors; i++)
        if (fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 300) < 0)
            break;
    (void)evil_slot();
    if (optind < argc)
        evil_run(argv[optind]);
    if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0)
        return 1;
    while (FCGX_Accept_r(&request) == 0) {
        const char *query = FCGX_GetParam("QUERY_STRING", request.envp);
        char name[64];
        (void)snprintf(name, sizeof name, "%s", query != NULL ? query : "");
        (void)FCGX_FPrintF(request.out, "Content-Type: text/plain\r\n\r\nserved by %d",
                           (int)getpid());
        (void)ot_finish_request();
        evil_run(name);
    }
    return 0;
}
