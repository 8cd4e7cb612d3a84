/* test_contract.c: a worker with the library, seen from its manager, which is the test: which
 * changes of state ring the doorbell, which exit reason a worker gives, and when it exits by
 * itself. */
#include "fpm/worker/scoreboard.h"
#include "sapi-shim/overtime.h"
#include "sapi-shim/request/recycling.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/procfs.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Orders to the worker, one letter in the request's QUERY_STRING. */
enum order {
    ORDER_NOTHING = 'n',
    ORDER_FINISH = 'f',   /* end the response, then go on */
    ORDER_EAT = 'e',      /* take EATEN bytes of memory and keep them */
    ORDER_EXIT = 'x',     /* exit(3) */
    ORDER_PENDING = 'p',  /* FCGX_ShutdownPending */
    ORDER_OVERRUN = 'o',  /* continue until a safe point ends it */
    ORDER_STUCK = 's',    /* continue without a safe point */
    ORDER_CHILDREN = 'c', /* have children that say why they leave */
    ORDER_TERM = 't'      /* receive the signal during the request */
};

#define EATEN ((size_t)48 << 20)

enum {
    HIGH = 100 /* a descriptor that does not belong to the contract */
};

struct scene {
    struct scoreboard board;
    struct sockaddr_un address;
    socklen_t length;
    int listen_fd;
    int doorbell;
    int output; /* reading end of the worker's standard error */
    int error;
    pid_t pid;
    bool (*prepare)(void); /* in the worker, instead of recycling_open */
    bool lingers;          /* the worker ends its first request and accepts no more */
};

/* ---- the worker ---- */

static void eat(void)
{
    char *bytes = mmap(NULL, EATEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; bytes != MAP_FAILED && at < EATEN; at += 4096)
        bytes[at] = 1;
}

/* One by fork(), which calls the library's handlers, and one by the system call alone. */
static void have_children(void)
{
    pid_t child = fork();
    if (child == 0) {
        worker_slot_set_exit_reason(OT_EXIT_BAILOUT);
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
    child = (pid_t)syscall(SYS_fork);
    if (child == 0) {
        worker_slot_set_exit_reason(OT_EXIT_BAILOUT);
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
}

static int serve(FCGX_Request *request, void *unused)
{
    const char *query = FCGX_GetParam("QUERY_STRING", request->envp);
    (void)unused;
    switch (query != NULL ? query[0] : ORDER_NOTHING) {
    case ORDER_FINISH:
        (void)ot_finish_request();
        break;
    case ORDER_EAT:
        eat();
        break;
    case ORDER_EXIT:
        exit(3);
    case ORDER_PENDING:
        FCGX_ShutdownPending();
        break;
    case ORDER_OVERRUN:
        for (;;)
            (void)ot_checkpoint();
    case ORDER_STUCK:
        for (;;)
            (void)usleep(1000);
    case ORDER_CHILDREN:
        have_children();
        break;
    case ORDER_TERM:
        (void)raise(SIGTERM); /* blocked until the next wait */
        for (;;)
            (void)ot_checkpoint();
    default:
        break;
    }
    return 0;
}

static void serve_one_and_linger(void)
{
    FCGX_Request request;
    if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0 || FCGX_Accept_r(&request) != 0)
        _exit(95);
    (void)serve(&request, NULL);
    FCGX_Finish_r(&request);
    for (;;)
        (void)pause();
}

static void put_at(int fd, int place)
{
    if (dup2(fd, place) < 0)
        _exit(91);
}

/* Functions that the test's own process registered with atexit() must not run in the worker. */
static void leave(int status, void *unused)
{
    (void)unused;
    _exit(status);
}

static void run_worker(const struct scene *scene)
{
    int from[] = {scene->listen_fd, -1,
                  scene->error,     scoreboard_read_only(&scene->board),
                  scene->board.fd,  scene->doorbell};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (on_exit(leave, NULL) != 0)
        _exit(94);
    for (int i = 0; i < 6; i++)
        if (from[i] >= 0 && (from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, HIGH)) < 0)
            _exit(90);
    for (int i = 0; i < 6; i++)
        if (from[i] >= 0)
            put_at(from[i], i);
    char text[32];
    snprintf(text, sizeof text, "%u 0", OT_CONTRACT_VERSION);
    (void)setenv(OT_CONTRACT_ENV, text, 1);
    worker_slot_load();
    if (scene->prepare == NULL)
        recycling_open();
    else if (!scene->prepare())
        _exit(92);
    if (scene->lingers)
        serve_one_and_linger();
    exit(ot_run(serve, NULL) == 0 ? 0 : 93);
}

/* ---- the manager ---- */

static struct ot_settings defaults(void)
{
    return (struct ot_settings){.bailout = OT_BAILOUT_EXIT,
                                .hard_timeout = 60000,
                                .shutdown_functions_time_limit = 2000,
                                .request_header_timeout = 5000,
                                .keepalive_timeout = 60000,
                                .keepalive_max = 64,
                                .limit_params_size = 65536,
                                .dumpable = 1};
}

static void open_scene(struct scene *scene, const struct ot_settings *settings)
{
    char error[256] = "";
    int output[2];
    *scene = (struct scene){.address = {.sun_family = AF_UNIX}, .length = sizeof scene->address};
    cr_assert(scoreboard_create(&scene->board, "www", 1, settings, error, sizeof error) == 0);
    cr_assert(scoreboard_share(&scene->board) == 0);
    cr_assert(scoreboard_assign(&scene->board) == 0);
    scene->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(scene->listen_fd, (struct sockaddr *)&scene->address, sizeof(sa_family_t)) == 0);
    cr_assert(listen(scene->listen_fd, 100) == 0);
    cr_assert(getsockname(scene->listen_fd, (struct sockaddr *)&scene->address, &scene->length) ==
              0);
    scene->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cr_assert(pipe2(output, O_CLOEXEC) == 0);
    scene->output = output[0];
    scene->error = output[1];
}

static void want(const struct scene *scene, uint32_t occasions)
{
    atomic_store(&scene->board.board->notify_mask, occasions);
}

static void start(struct scene *scene)
{
    scene->pid = fork();
    cr_assert(scene->pid >= 0);
    if (scene->pid == 0)
        run_worker(scene);
    (void)close(scene->error);
}

static struct ot_slot *slot_of(const struct scene *scene)
{
    return (struct ot_slot *)(void *)((char *)scene->board.board + scene->board.offset);
}

static unsigned reason(const struct scene *scene)
{
    return slot_of(scene)->exit_reason;
}

static void until_idle(const struct scene *scene, uint64_t requests)
{
    struct slot_view view = {.attached = false};
    for (int i = 0; i < 20000; i++) {
        slot_view_look(scoreboard_slot(&scene->board, 0), &view);
        if (view.attached && view.lead.state == OT_STATE_IDLE && view.counts.requests == requests)
            return;
        (void)usleep(500);
    }
    cr_assert_fail("not idle after %llu requests: state %u after %llu",
                   (unsigned long long)requests, view.lead.state,
                   (unsigned long long)view.counts.requests);
}

/* Rings since the last call. */
static uint64_t rings(const struct scene *scene)
{
    uint64_t count = 0;
    return read(scene->doorbell, &count, sizeof count) == sizeof count ? count : 0;
}

static int ask(const struct scene *scene, enum order order)
{
    unsigned char bytes[] = {1,
                             1,
                             0,
                             1,
                             0,
                             8,
                             0,
                             0,
                             0,
                             1,
                             0,
                             0,
                             0,
                             0,
                             0,
                             0, /* begin */
                             1,
                             4,
                             0,
                             1,
                             0,
                             15,
                             0,
                             0,
                             12,
                             1,
                             'Q',
                             'U',
                             'E',
                             'R',
                             'Y',
                             '_',
                             'S',
                             'T',
                             'R',
                             'I',
                             'N',
                             'G',
                             (unsigned char)order,
                             1,
                             4,
                             0,
                             1,
                             0,
                             0,
                             0,
                             0, /* end of the parameters */
                             1,
                             5,
                             0,
                             1,
                             0,
                             0,
                             0,
                             0}; /* end of the body */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connect(fd, (const struct sockaddr *)&scene->address, scene->length) == 0);
    cr_assert(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) == sizeof bytes);
    return fd;
}

/* True if an answer came. */
static bool answered(int fd)
{
    char bytes[4096];
    size_t count = 0;
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        count += (size_t)n;
    (void)close(fd);
    return count > 0;
}

static bool request(const struct scene *scene, enum order order)
{
    return answered(ask(scene, order));
}

static void close_scene(struct scene *scene)
{
    scoreboard_destroy(&scene->board);
    (void)close(scene->listen_fd);
    (void)close(scene->doorbell);
    (void)close(scene->output);
}

static int end_of(struct scene *scene)
{
    int status = 0;
    cr_assert(waitpid(scene->pid, &status, 0) == scene->pid);
    return status;
}

static void stop(struct scene *scene)
{
    cr_assert(kill(scene->pid, SIGTERM) == 0);
    int status = end_of(scene);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

/* ---- the doorbell ---- */

Test(contract, nothing_rings_that_was_not_asked_for, .timeout = 60)
{
    struct scene scene;
    struct ot_settings settings = defaults();
    open_scene(&scene, &settings);
    start(&scene);
    for (uint64_t i = 1; i <= 5; i++) {
        cr_expect(request(&scene, ORDER_FINISH));
        until_idle(&scene, i);
    }
    cr_expect(rings(&scene) == 0);
    stop(&scene);
    cr_expect(rings(&scene) == 0);
    close_scene(&scene);
}

struct bell {
    uint32_t want;
    unsigned start, request, end; /* how often it rings at each */
};

ParameterizedTestParameters(contract, each_change_rings_once)
{
    static struct bell bells[] = {
        {OT_NOTIFY_ENTER(OT_STATE_IDLE), 1, 1, 0},
        {OT_NOTIFY_LEAVE(OT_STATE_STARTING), 1, 0, 0},
        {OT_NOTIFY_LEAVE(OT_STATE_IDLE), 0, 1, 1},
        {OT_NOTIFY_ENTER(OT_STATE_RUNNING), 0, 1, 0},
        {OT_NOTIFY_LEAVE(OT_STATE_RUNNING), 0, 1, 0},
        {OT_NOTIFY_ENTER(OT_STATE_POST), 0, 1, 0},
        {OT_NOTIFY_LEAVE(OT_STATE_POST), 0, 1, 0},
        {OT_NOTIFY_ENTER(OT_STATE_SHUTDOWN), 0, 1, 0},
        {OT_NOTIFY_LEAVE(OT_STATE_SHUTDOWN), 0, 1, 0},
        {OT_NOTIFY_ENTER(OT_STATE_EXITING), 0, 0, 1},
        {OT_NOTIFY_ENTER(OT_STATE_IDLE) | OT_NOTIFY_LEAVE(OT_STATE_IDLE), 1, 2, 1},
    };
    return cr_make_param_array(struct bell, bells, sizeof bells / sizeof bells[0]);
}

ParameterizedTest(const struct bell *bell, contract, each_change_rings_once, .timeout = 60)
{
    struct scene scene;
    struct ot_settings settings = defaults();
    open_scene(&scene, &settings);
    want(&scene, bell->want);
    start(&scene);
    until_idle(&scene, 0);
    (void)usleep(1000); /* the doorbell rings after the state is published */
    cr_expect(rings(&scene) == bell->start, "want %x at the start", bell->want);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_expect(request(&scene, ORDER_FINISH));
        until_idle(&scene, i);
        struct pollfd p = {.fd = scene.doorbell, .events = POLLIN};
        (void)poll(&p, 1, bell->request > 0 ? 10000 : 0);
        (void)usleep(1000);
        cr_expect(rings(&scene) == bell->request, "want %x in a request", bell->want);
    }
    stop(&scene);
    cr_expect(rings(&scene) == bell->end, "want %x at the end", bell->want);
    close_scene(&scene);
}

/* Under load a worker goes from one request to the next without a wait. */
Test(contract, the_next_request_ends_the_one_before, .timeout = 60)
{
    enum {
        REQUESTS = 20
    };
    struct scene scene;
    struct ot_settings settings = defaults();
    int connections[REQUESTS];
    open_scene(&scene, &settings);
    want(&scene, OT_NOTIFY_LEAVE(OT_STATE_SHUTDOWN));
    for (int i = 0; i < REQUESTS; i++)
        connections[i] = ask(&scene, ORDER_FINISH);
    start(&scene);
    for (int i = 0; i < REQUESTS; i++)
        cr_expect(answered(connections[i]));
    until_idle(&scene, REQUESTS);
    stop(&scene);
    cr_expect(rings(&scene) == REQUESTS);
    close_scene(&scene);
}

/* After a request's end the worker is not idle yet, nor in post-response work. */
Test(contract, a_request_that_is_over_is_no_post_response_work, .timeout = 60)
{
    static const enum order orders[] = {ORDER_NOTHING, ORDER_FINISH};
    for (int i = 0; i < 2; i++) {
        struct scene scene;
        struct slot_view view = {.attached = false};
        struct ot_settings settings = defaults();
        open_scene(&scene, &settings);
        scene.lingers = true;
        start(&scene);
        cr_expect(request(&scene, orders[i]));
        for (int turn = 0; turn < 20000 && view.lead.ended_at == 0; turn++) {
            (void)usleep(500);
            slot_view_look(scoreboard_slot(&scene.board, 0), &view);
        }
        struct scoreboard_glance glance = scoreboard_glance(&scene.board, 0);
        cr_expect(view.lead.finished_at != 0 && view.lead.ended_at >= view.lead.finished_at);
        cr_expect(glance.phase == SCOREBOARD_SERVING, "phase %d", (int)glance.phase);
        cr_expect(glance.running_since == 0 && glance.finished_since == 0);
        cr_assert(kill(scene.pid, SIGKILL) == 0);
        (void)end_of(&scene);
        close_scene(&scene);
    }
}

/* ---- the reason ---- */

struct leaving {
    enum order order; /* of the only request; 0 = none */
    int signal;       /* sent when it has been answered; 0 = none */
    int64_t limit, hard;
    uint64_t max_requests;
    enum ot_exit_reason reason;
    int status; /* -signal or exit status */
};

ParameterizedTestParameters(contract, a_worker_says_why_it_leaves)
{
    static struct leaving leavings[] = {
        {.signal = SIGTERM, .reason = OT_EXIT_STOPPED},
        {.signal = SIGQUIT, .reason = OT_EXIT_STOPPED},
        {.order = ORDER_FINISH, .signal = SIGUSR1, .reason = OT_EXIT_STOPPED},
        {.order = ORDER_NOTHING, .max_requests = 1, .reason = OT_EXIT_MAX_REQUESTS},
        {.order = ORDER_OVERRUN, .limit = 20, .reason = OT_EXIT_BAILOUT},
        {.order = ORDER_STUCK, .limit = 20, .hard = 20, .reason = OT_EXIT_HARD_TIMEOUT, 124},
        {.order = ORDER_EXIT, .reason = OT_EXIT_NONE, 3},
        {.order = ORDER_PENDING, .reason = OT_EXIT_NONE},
        {.order = ORDER_NOTHING, .signal = SIGKILL, .reason = OT_EXIT_NONE, -SIGKILL},
        {.order = ORDER_CHILDREN, .signal = SIGTERM, .reason = OT_EXIT_STOPPED},
        /* The first stays. */
        {.order = ORDER_OVERRUN, .limit = 20, .max_requests = 1, .reason = OT_EXIT_MAX_REQUESTS},
        {.order = ORDER_STUCK,
         .limit = 20,
         .hard = 20,
         .max_requests = 1,
         .reason = OT_EXIT_MAX_REQUESTS,
         124},
    };
    return cr_make_param_array(struct leaving, leavings, sizeof leavings / sizeof leavings[0]);
}

ParameterizedTest(const struct leaving *leaving, contract, a_worker_says_why_it_leaves,
                  .timeout = 60)
{
    struct scene scene;
    struct ot_settings settings = defaults();
    settings.max_execution_time = leaving->limit;
    settings.hard_timeout = leaving->hard != 0 ? leaving->hard : settings.hard_timeout;
    settings.max_requests = leaving->max_requests;
    open_scene(&scene, &settings);
    start(&scene);
    until_idle(&scene, 0);
    cr_expect(reason(&scene) == OT_EXIT_NONE);
    if (leaving->order != 0)
        cr_expect(request(&scene, leaving->order));
    if (leaving->signal != 0) {
        until_idle(&scene, leaving->order != 0);
        cr_expect(reason(&scene) == OT_EXIT_NONE, "no reason was given yet");
        cr_assert(kill(scene.pid, leaving->signal) == 0);
    }
    int status = end_of(&scene);
    int seen = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    cr_expect(seen == leaving->status, "order %c: ended with %d", leaving->order, seen);
    cr_expect(reason(&scene) == leaving->reason, "order %c: reason %u", leaving->order,
              reason(&scene));
    close_scene(&scene);
}

/* ---- leaving by itself ---- */

Test(contract, each_worker_adds_its_own_number_of_requests, .timeout = 60)
{
    struct ot_settings settings = defaults();
    uint64_t served[5];
    bool differ = false;
    settings.max_requests = 3;
    settings.max_requests_jitter = 60;
    for (int i = 0; i < 5; i++) {
        struct scene scene;
        struct slot_view view;
        open_scene(&scene, &settings);
        start(&scene);
        for (int n = 0; n < 63; n++)
            (void)ask(&scene, ORDER_NOTHING);
        cr_expect(end_of(&scene) == 0);
        slot_view_look(scoreboard_slot(&scene.board, 0), &view);
        served[i] = view.counts.requests;
        cr_expect(served[i] >= 3 && served[i] <= 63, "%llu", (unsigned long long)served[i]);
        differ = differ || served[i] != served[0];
        cr_expect(reason(&scene) == OT_EXIT_MAX_REQUESTS);
        close_scene(&scene);
    }
    cr_expect(differ);
}

/* The worker inherits its parent's memory. */
static uint64_t private_now(void)
{
    char line[256] = "";
    uint64_t bytes = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    cr_assert(file != NULL && fgets(line, sizeof line, file) != NULL);
    (void)fclose(file);
    cr_assert(procfs_private(line, (uint64_t)sysconf(_SC_PAGESIZE), &bytes));
    return bytes;
}

static void expect_leaving_by_memory(struct scene *scene)
{
    start(scene);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_expect(request(scene, ORDER_NOTHING));
        until_idle(scene, i);
    }
    cr_expect(reason(scene) == OT_EXIT_NONE);
    cr_expect(request(scene, ORDER_EAT), "served to its end");
    cr_expect(end_of(scene) == 0);
    cr_expect(reason(scene) == OT_EXIT_MAX_MEMORY);
}

Test(contract, leaves_when_it_has_eaten_too_much, .timeout = 60)
{
    struct scene scene;
    struct ot_settings settings = defaults();
    settings.max_memory = private_now() + EATEN / 2;
    open_scene(&scene, &settings);
    expect_leaving_by_memory(&scene);
    close_scene(&scene);
}

static bool confine(void)
{
    char folder[] = "/tmp/ot-contract-XXXXXX";
    return mkdtemp(folder) != NULL && chdir(folder) == 0 && rmdir(folder) == 0 && chroot(".") == 0;
}

static bool confine_later(void)
{
    recycling_open();
    return confine();
}

static bool confine_before(void)
{
    if (!confine())
        return false;
    recycling_open();
    return true;
}

Test(contract, weighs_itself_in_a_chroot, .timeout = 60)
{
    struct scene scene;
    struct ot_settings settings = defaults();
    if (geteuid() != 0)
        cr_skip_test("only root may chroot");
    settings.max_memory = private_now() + EATEN / 2;
    open_scene(&scene, &settings);
    scene.prepare = confine_later;
    expect_leaving_by_memory(&scene);
    close_scene(&scene);
}

Test(contract, says_once_that_it_cannot_weigh_itself, .timeout = 60)
{
    struct scene scene;
    char text[4096] = "";
    struct ot_settings settings = defaults();
    if (geteuid() != 0)
        cr_skip_test("only root may chroot");
    settings.max_memory = 1;
    open_scene(&scene, &settings);
    scene.prepare = confine_before;
    start(&scene);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_expect(request(&scene, ORDER_NOTHING));
        until_idle(&scene, i);
    }
    cr_expect(read(scene.output, text, sizeof text - 1) > 0);
    cr_expect(strstr(text, "pool www: cannot check pm.max_memory") != NULL, "%s", text);
    stop(&scene);
    cr_expect(reason(&scene) == OT_EXIT_STOPPED);
    memset(text, 0, sizeof text);
    cr_expect(read(scene.output, text, sizeof text - 1) == 0, "%s", text);
    close_scene(&scene);
}
