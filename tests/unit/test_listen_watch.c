/* test_listen_watch.c: a connection wakes a waiting worker, or else the manager. With processes
 * that wait as workers do, at a unix, a TCP and a hand-over socket. */
#include "fpm/pool/listen_watch.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind {
    UNIX,
    TCP,
    HANDOFF
};

enum {
    WAITERS_MAX = 4,
    CONNECTIONS_MAX = 256
};

/* A process that waits for one connection, says 't' when it has taken it and 'w' before it waits
 * again. Between the two it is busy until it gets a byte. */
struct waiter {
    pid_t pid;
    int said;
    int order;
};

struct scene {
    enum kind kind;
    int source; /* the socket that it waits at */
    int give;   /* HANDOFF: the sending end */
    struct sockaddr_storage address;
    socklen_t length;
    int connections[CONNECTIONS_MAX];
    unsigned count;
    struct waiter waiters[WAITERS_MAX];
    struct ev_loop *loop;
    struct listen_watch arrival;
    unsigned notified;
    unsigned shut;
};

static void say(int fd, char word)
{
    cr_assert(write(fd, &word, 1) == 1);
}

static char hear(int fd)
{
    char word = 0;
    cr_assert(read(fd, &word, 1) == 1, "a waiter died");
    return word;
}

static void on_arrival(void *context)
{
    struct scene *scene = context;
    scene->notified++;
}

static void on_shut(void *context)
{
    struct scene *scene = context;
    scene->shut++;
}

/* ---- the waiters ---- */

static void take(const struct scene *scene)
{
    char byte;
    if (scene->kind == HANDOFF)
        (void)!recv(scene->source, &byte, 1, MSG_DONTWAIT);
    else
        (void)accept4(scene->source, NULL, NULL, SOCK_CLOEXEC);
}

static void wait_as_workers_do(const struct scene *scene, int said, int order)
{
    char word;
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, scene->source, &event) != 0)
        _exit(1);
    for (;;) {
        if (write(said, "w", 1) != 1 || epoll_wait(epfd, &event, 1, -1) != 1)
            _exit(1);
        take(scene);
        if (write(said, "t", 1) != 1 || read(order, &word, 1) != 1)
            _exit(1);
    }
}

static char state_of(pid_t pid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    cr_assert(file != NULL && fgets(line, sizeof line, file) != NULL);
    (void)fclose(file);
    return strrchr(line, ')')[2];
}

/* It has announced that it will wait: from then on it sleeps only there. */
static void until_it_waits(const struct waiter *waiter)
{
    cr_assert(hear(waiter->said) == 'w');
    while (state_of(waiter->pid) != 'S')
        (void)usleep(200);
}

static struct waiter *waiter_start(struct scene *scene, unsigned number)
{
    struct waiter *waiter = &scene->waiters[number];
    int said[2], order[2];
    cr_assert(pipe(said) == 0 && pipe(order) == 0);
    waiter->pid = fork();
    cr_assert(waiter->pid >= 0);
    if (waiter->pid == 0)
        wait_as_workers_do(scene, said[1], order[0]);
    (void)close(said[1]);
    (void)close(order[0]);
    waiter->said = said[0];
    waiter->order = order[1];
    until_it_waits(waiter);
    return waiter;
}

static void waiter_goes_on(struct waiter *waiter)
{
    say(waiter->order, 'g');
    until_it_waits(waiter);
}

/* ---- the scene ---- */

static void open_unix(struct scene *scene)
{
    struct sockaddr_un *address = (struct sockaddr_un *)(void *)&scene->address;
    address->sun_family = AF_UNIX; /* and no name: the kernel gives an abstract one */
    scene->source = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert(bind(scene->source, (struct sockaddr *)address, sizeof address->sun_family) == 0);
}

static void open_tcp(struct scene *scene)
{
    struct sockaddr_in *address = (struct sockaddr_in *)(void *)&scene->address;
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    scene->source = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert(bind(scene->source, (struct sockaddr *)address, sizeof *address) == 0);
}

static void open_pair(struct scene *scene)
{
    int pair[2];
    cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    scene->source = pair[0];
    scene->give = pair[1];
}

/* The arrival's listening socket of a hand-over scene is one where nothing ever arrives. */
static void scene_open(struct scene *scene, enum kind kind)
{
    *scene = (struct scene){.kind = kind, .give = -1, .length = sizeof scene->address};
    (kind == TCP ? open_tcp : open_unix)(scene);
    cr_assert(listen(scene->source, 128) == 0);
    cr_assert(getsockname(scene->source, (struct sockaddr *)&scene->address, &scene->length) == 0);
    int listener = scene->source;
    if (kind == HANDOFF)
        open_pair(scene);
    scene->loop = ev_loop_new(EVFLAG_AUTO);
    cr_assert(scene->loop != NULL);
    cr_assert(listen_watch_open(&scene->arrival, scene->loop, listener,
                                kind == HANDOFF ? scene->source : -1, on_arrival, on_shut,
                                scene) == 0);
}

static void scene_close(struct scene *scene)
{
    listen_watch_close(&scene->arrival);
    cr_expect(scene->arrival.listen_fd == -1);
    listen_watch_close(&scene->arrival);
    for (unsigned i = 0; i < WAITERS_MAX; i++) {
        if (scene->waiters[i].pid == 0)
            continue;
        cr_assert(kill(scene->waiters[i].pid, SIGKILL) == 0);
        cr_assert(waitpid(scene->waiters[i].pid, NULL, 0) == scene->waiters[i].pid);
    }
    ev_loop_destroy(scene->loop);
}

static void arrive(struct scene *scene)
{
    if (scene->kind == HANDOFF) {
        cr_assert(send(scene->give, "x", 1, 0) == 1);
        return;
    }
    int fd = socket(scene->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connect(fd, (struct sockaddr *)&scene->address, scene->length) == 0);
    scene->connections[scene->count++ % CONNECTIONS_MAX] = fd;
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

/* Runs the loop until the owner was notified this often in total. */
static void until_told(struct scene *scene, unsigned times)
{
    ev_timer timer;
    ev_timer_init(&timer, on_timeout, 10., 0.);
    ev_timer_start(scene->loop, &timer);
    while (scene->notified < times && ev_is_active(&timer))
        (void)ev_run(scene->loop, EVRUN_ONCE);
    ev_timer_stop(scene->loop, &timer);
    cr_assert(scene->notified == times, "notified %u times instead of %u", scene->notified, times);
}

static void expect_told(struct scene *scene, unsigned times)
{
    (void)ev_run(scene->loop, EVRUN_NOWAIT);
    cr_expect(scene->notified == times, "notified %u times instead of %u", scene->notified, times);
}

ParameterizedTestParameters(arrival, told_when_none_waits)
{
    static enum kind kinds[] = {UNIX, TCP, HANDOFF};
    return cr_make_param_array(enum kind, kinds, 3);
}

ParameterizedTest(const enum kind *kind, arrival, told_when_none_waits, .timeout = 60)
{
    struct scene scene;
    scene_open(&scene, *kind);
    for (unsigned i = 0; i < 3; i++)
        (void)waiter_start(&scene, i);
    cr_assert(listen_watch_set(&scene.arrival, true) == 0);
    for (unsigned i = 0; i < 3; i++) {
        arrive(&scene);
        cr_assert(hear(scene.waiters[i].said) == 't', "in the order of registration");
    }
    expect_told(&scene, 0);
    arrive(&scene);
    until_told(&scene, 1);
    expect_told(&scene, 1);
    arrive(&scene);
    until_told(&scene, 2);
    scene_close(&scene);
}

static void on_arrival_close(void *context)
{
    struct scene *scene = context;
    scene->notified++;
    listen_watch_close(&scene->arrival);
}

Test(arrival, each_owner_is_notified_of_its_own, .timeout = 60)
{
    struct scene scenes[2];
    for (unsigned i = 0; i < 2; i++) {
        scene_open(&scenes[i], UNIX);
        cr_assert(listen_watch_set(&scenes[i].arrival, true) == 0);
    }
    /* Both loops are one for the watches; the first that was opened runs. */
    arrive(&scenes[1]);
    (void)ev_run(scenes[0].loop, EVRUN_ONCE);
    cr_expect(scenes[0].notified == 0 && scenes[1].notified == 1);

    /* An owner that is closed by what it was told does not hide the other. */
    scenes[0].arrival.on_connection = on_arrival_close;
    arrive(&scenes[0]);
    arrive(&scenes[1]);
    (void)ev_run(scenes[0].loop, EVRUN_ONCE);
    cr_expect(scenes[0].notified == 1 && scenes[1].notified == 2);
    arrive(&scenes[0]);
    arrive(&scenes[1]);
    (void)ev_run(scenes[0].loop, EVRUN_ONCE);
    cr_expect(scenes[0].notified == 1 && scenes[1].notified == 3);

    /* The last one closes with the loop that has the watcher. */
    listen_watch_close(&scenes[1].arrival);
    scene_close(&scenes[0]);
    scene_close(&scenes[1]);
}

ParameterizedTestParameters(arrival, not_told_while_one_waits)
{
    static enum kind kinds[] = {UNIX, TCP, HANDOFF};
    return cr_make_param_array(enum kind, kinds, 3);
}

ParameterizedTest(const enum kind *kind, arrival, not_told_while_one_waits, .timeout = 60)
{
    struct scene scene;
    scene_open(&scene, *kind);
    struct waiter *first = waiter_start(&scene, 0);
    struct waiter *second = waiter_start(&scene, 1);
    cr_assert(listen_watch_set(&scene.arrival, true) == 0);
    arrive(&scene);
    cr_assert(hear(first->said) == 't');
    for (unsigned i = 0; i < 100; i++) {
        arrive(&scene);
        cr_assert(hear(second->said) == 't');
        waiter_goes_on(second);
        (void)ev_run(scene.loop, EVRUN_NOWAIT);
    }
    expect_told(&scene, 0);
    scene_close(&scene);
}

ParameterizedTestParameters(arrival, takes_no_wake_up_and_goes_to_the_end)
{
    static enum kind kinds[] = {UNIX, TCP, HANDOFF};
    return cr_make_param_array(enum kind, kinds, 3);
}

ParameterizedTest(const enum kind *kind, arrival, takes_no_wake_up_and_goes_to_the_end,
                  .timeout = 60)
{
    struct scene scene;
    scene_open(&scene, *kind);
    cr_assert(listen_watch_set(&scene.arrival, true) == 0);
    struct waiter *late = waiter_start(&scene, 0);
    for (unsigned i = 0; i < 20; i++) {
        arrive(&scene);
        cr_assert(hear(late->said) == 't', "woken, though we stand before it");
        waiter_goes_on(late);
        (void)ev_run(scene.loop, EVRUN_NOWAIT);
    }
    unsigned before = scene.notified;
    cr_assert(listen_watch_requeue(&scene.arrival) == 0);
    for (unsigned i = 0; i < 20; i++) {
        arrive(&scene);
        cr_assert(hear(late->said) == 't');
        waiter_goes_on(late);
        (void)ev_run(scene.loop, EVRUN_NOWAIT);
    }
    expect_told(&scene, before);
    scene_close(&scene);
}

ParameterizedTestParameters(arrival, told_once_of_what_waits_already)
{
    static enum kind kinds[] = {UNIX, TCP, HANDOFF};
    return cr_make_param_array(enum kind, kinds, 3);
}

ParameterizedTest(const enum kind *kind, arrival, told_once_of_what_waits_already, .timeout = 60)
{
    struct scene scene;
    scene_open(&scene, *kind);
    arrive(&scene);
    arrive(&scene);
    expect_told(&scene, 0);
    cr_assert(listen_watch_requeue(&scene.arrival) == 0);
    expect_told(&scene, 0);
    cr_assert(listen_watch_set(&scene.arrival, true) == 0);
    until_told(&scene, 1);
    expect_told(&scene, 1);
    cr_assert(listen_watch_set(&scene.arrival, true) == 0);
    expect_told(&scene, 1);
    cr_assert(listen_watch_requeue(&scene.arrival) == 0);
    until_told(&scene, 2);
    cr_assert(listen_watch_set(&scene.arrival, false) == 0);
    arrive(&scene);
    expect_told(&scene, 2);
    scene_close(&scene);
}

/* A connection that was taken before the loop handles its event is not reported. */
Test(arrival, not_notified_of_a_connection_taken_since, .timeout = 60)
{
    struct scene scene;
    scene_open(&scene, UNIX);
    cr_assert(listen_watch_set(&scene.arrival, true) == 0);
    arrive(&scene);
    take(&scene);
    expect_told(&scene, 0);
    arrive(&scene);
    until_told(&scene, 1);
    scene_close(&scene);
}

static void closes_it(void *context)
{
    struct scene *scene = context;
    scene->notified++;
    listen_watch_close(&scene->arrival);
}

Test(arrival, may_be_closed_by_who_is_told, .timeout = 60)
{
    struct scene scene;
    scene_open(&scene, UNIX);
    scene.arrival.on_connection = closes_it;
    cr_assert(listen_watch_set(&scene.arrival, true) == 0);
    arrive(&scene);
    until_told(&scene, 1);
    arrive(&scene);
    expect_told(&scene, 1);
    scene_close(&scene);
}

Test(arrival, a_socket_that_cannot_be_watched_is_said)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct listen_watch arrival;
    int none[2];
    cr_assert(pipe(none) == 0);
    (void)close(none[1]);
    cr_assert(listen_watch_open(&arrival, loop, none[0], none[1], on_arrival, on_shut, NULL) == 0);
    cr_expect(listen_watch_set(&arrival, true) == -1);
    cr_expect(!arrival.on);
    listen_watch_close(&arrival);
    ev_loop_destroy(loop);
}

struct shut_case {
    enum kind kind;
    int how;
    bool on;
};

ParameterizedTestParameters(arrival, told_when_the_socket_is_shut_down)
{
    static struct shut_case cases[] = {
        {UNIX, SHUT_RD, false}, {UNIX, SHUT_RD, true},  {UNIX, SHUT_RDWR, false},
        {TCP, SHUT_RD, false},  {TCP, SHUT_RDWR, true}, {TCP, SHUT_RDWR, false},
    };
    return cr_make_param_array(struct shut_case, cases, sizeof cases / sizeof *cases);
}

/* Whether connections are watched or not; connections do not count. */
ParameterizedTest(const struct shut_case *one, arrival, told_when_the_socket_is_shut_down,
                  .timeout = 60)
{
    struct scene scene;
    scene_open(&scene, one->kind);
    cr_assert(listen_watch_set(&scene.arrival, one->on) == 0);
    arrive(&scene);
    for (unsigned i = 0; i < 10; i++)
        (void)ev_run(scene.loop, EVRUN_NOWAIT);
    cr_expect(scene.shut == 0);
    cr_assert(shutdown(scene.source, one->how) == 0);
    while (scene.shut == 0)
        (void)ev_run(scene.loop, EVRUN_ONCE);
    (void)ev_run(scene.loop, EVRUN_NOWAIT);
    cr_expect(scene.shut == 1, "once");
    scene_close(&scene);
}
