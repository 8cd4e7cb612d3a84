/* test_proc_activity.c: what /proc shows of processes in different system calls. */
#include "fpm/worker/proc_activity.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define EATEN ((size_t)32 << 20)

static int listener;
static int silent[2]; /* a pipe to which no process writes */

static void accepts(void)
{
    (void)accept(listener, NULL, NULL);
}

static void accepts4(void)
{
    (void)accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static void reads(void)
{
    char byte;
    (void)!read(silent[0], &byte, 1);
}

static void sleeps(void)
{
    (void)usleep(100000000);
}

static void spins(void)
{
    for (volatile unsigned turn = 0;; turn++) {
    }
}

static void polls(void)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    (void)poll(&p, 1, -1);
}

static void waits_for_events(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epfd = epoll_create1(0);
    (void)epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event);
    (void)epoll_wait(epfd, &event, 1, -1);
}

static void waits_for_a_child(void)
{
    if (fork() == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        sleeps();
        _exit(0);
    }
    (void)wait(NULL);
}

struct life {
    void (*first)(void);
    void (*second)(void); /* of another thread; NULL = none */
    enum proc_activity doing;
};

static void *second_thread(void *argument)
{
    const struct life *life = argument;
    life->second();
    return NULL;
}

static pid_t start(const struct life *life)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
    cr_assert(listen(listener, 5) == 0 && pipe(silent) == 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (life->second != NULL &&
        pthread_create(&thread, NULL, second_thread, (void *)(uintptr_t)life) != 0)
        _exit(1);
    life->first();
    _exit(0);
}

static bool may_ask(void)
{
    char line[256];
    FILE *file = fopen("/proc/self/syscall", "re");
    if (file == NULL)
        return false;
    bool may = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    return may;
}

static void end(pid_t pid)
{
    cr_assert(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static const struct life lives[] = {
    {accepts, NULL, PROC_ACTIVITY_WAITING},
    {accepts4, NULL, PROC_ACTIVITY_WAITING},
    {accepts, accepts4, PROC_ACTIVITY_WAITING},
    {reads, NULL, PROC_ACTIVITY_BUSY},
    {sleeps, NULL, PROC_ACTIVITY_BUSY},
    {spins, NULL, PROC_ACTIVITY_BUSY},
    {reads, spins, PROC_ACTIVITY_BUSY},
    {accepts, reads, PROC_ACTIVITY_UNKNOWN},
    {accepts, polls, PROC_ACTIVITY_UNKNOWN},
    {polls, NULL, PROC_ACTIVITY_UNKNOWN},
    {waits_for_events, NULL, PROC_ACTIVITY_UNKNOWN},
    {waits_for_a_child, NULL, PROC_ACTIVITY_UNKNOWN},
};

/* By its number: a test runs in a process of its own, where functions lie elsewhere. */
ParameterizedTestParameters(proc_activity, tells_what_it_is_doing)
{
    enum {
        LIVES = sizeof lives / sizeof lives[0]
    };
    static unsigned numbers[LIVES];
    for (unsigned i = 0; i < LIVES; i++)
        numbers[i] = i;
    return cr_make_param_array(unsigned, numbers, LIVES);
}

/* The activity is final once the process sleeps at its last place; before, any is possible. */
ParameterizedTest(const unsigned *number, proc_activity, tells_what_it_is_doing, .timeout = 60)
{
    const struct life *life = &lives[*number];
    unsigned same = 0;
    if (!may_ask())
        cr_skip_test("no right to ask");
    pid_t pid = start(life);
    for (int i = 0; i < 20000 && same < 5; i++) {
        same = proc_activity_doing(pid) == life->doing ? same + 1 : 0;
        (void)usleep(1000);
    }
    cr_expect(same == 5, "life %u", *number);
    end(pid);
}

Test(proc_activity, a_missing_process_is_unknown)
{
    static const struct life life = {accepts, NULL, PROC_ACTIVITY_WAITING};
    uint64_t bytes = 77;
    pid_t pid = start(&life);
    end(pid);
    cr_expect(proc_activity_doing(pid) == PROC_ACTIVITY_UNKNOWN);
    cr_expect(proc_activity_memory(pid, &bytes) == -1 && bytes == 77);
}

static void eats(void)
{
    char *own = mmap(NULL, EATEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *all = mmap(NULL, EATEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; own != MAP_FAILED && all != MAP_FAILED && at < EATEN; at += 4096)
        own[at] = all[at] = 1;
    (void)!write(silent[1], "e", 1);
    sleeps();
}

/* Memory that is shared with others is not its own. */
Test(proc_activity, weighs_what_a_process_has_to_itself, .timeout = 60)
{
    static const struct life life = {eats, NULL, PROC_ACTIVITY_BUSY};
    uint64_t before = 0, bytes = 0;
    char byte;
    cr_assert(proc_activity_memory(getpid(), &before) == 0);
    pid_t pid = start(&life);
    cr_assert(read(silent[0], &byte, 1) == 1);
    cr_assert(proc_activity_memory(pid, &bytes) == 0);
    cr_expect(bytes >= EATEN && bytes < before + EATEN + EATEN / 2, "%llu after %llu",
              (unsigned long long)bytes, (unsigned long long)before);
    end(pid);
}

static void holds_a_connection(void)
{
    int pair[2];
    (void)socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    (void)!write(silent[1], "h", 1);
    waits_for_events();
}

static void holds_none(void)
{
    (void)!write(silent[1], "n", 1);
    waits_for_events();
}

static ino_t number_of(int fd)
{
    struct stat status;
    cr_assert(fstat(fd, &status) == 0);
    return status.st_ino;
}

/* A process that waits for events may be between two requests, or inside one. */
Test(proc_activity, without_a_connection_there_is_no_request, .timeout = 60)
{
    static const struct life without = {holds_none, NULL, PROC_ACTIVITY_WAITING};
    static const struct life with = {holds_a_connection, NULL, PROC_ACTIVITY_UNKNOWN};
    char byte;
    pid_t pid = start(&without);
    ino_t given[16];
    size_t count = 0;
    /* The test's own sockets were inherited. */
    for (int fd = 0; fd < 64 && count < 16; fd++) {
        struct stat status;
        if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
            given[count++] = status.st_ino;
    }
    cr_assert(read(silent[0], &byte, 1) == 1);
    cr_expect(proc_activity_between_requests(pid, given, count) == PROC_ACTIVITY_WAITING);
    end(pid);
    pid = start(&with);
    cr_assert(read(silent[0], &byte, 1) == 1 && count < 16);
    given[count++] = number_of(listener);
    cr_expect(proc_activity_between_requests(pid, given, count) != PROC_ACTIVITY_WAITING);
    end(pid);
}
