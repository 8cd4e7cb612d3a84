/* recorder.c: see recorder.h. */
#include "fpm/ctl/recorder.h"

#include "fpm/control/control_proto.h"
#include "fpm/ctl/client.h"
#include "fpm/ctl/top.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define RECORDER_MARK "{\"time_ms\":"

const char recorder_more[] =
    "Ends with --count, or when it is interrupted. The file has one JSON object a line, with the\n"
    "status' own names: time_ms (since 1970), pid and, for each of \"pools\", workers by state,\n"
    "limits, listen queue, counters, and the histogram of the time to answer. \"pools\" is null "
    "when\n"
    "there was no manager, and \"error\" says why. An existing recording goes on.\n";

static volatile sig_atomic_t recorder_ended;

static void recorder_signal(int number)
{
    recorder_ended = 1;
}

/* ---- a line ---- */

/* Adds the status; returns whether it is valid. */
static bool recorder_status(json_t *line, const char *status)
{
    static const char *const keys[] = {"pool",         "start_time",
                                       "max_children", "post_response_max_children",
                                       "starting",     "idle",
                                       "serving",      "post_response",
                                       "shutdown",     "exiting",
                                       "unknown",      "listen_queue",
                                       "requests",     "post_response_requests",
                                       "died"};
    json_t *root = json_loads(status, 0, NULL), *pools = json_array();
    const json_t *from = json_object_get(root, "pools");
    bool sane = json_is_array(from) && json_is_integer(json_object_get(root, "pid"));
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *pool = json_array_get(from, i);
        const json_t *histograms = json_object_get(pool, "histograms");
        const json_t *answer = json_object_get(json_object_get(histograms, "answer"), "buckets");
        json_t *out = json_object(), *buckets = json_array();
        for (size_t key = 0; key < sizeof keys / sizeof *keys; key++)
            if (json_object_get(pool, keys[key]) != NULL)
                (void)json_object_set(out, keys[key], json_object_get(pool, keys[key]));

        /* Buckets up to the last that is not empty. */
        size_t count = json_array_size(answer);
        while (count > 0 && json_integer_value(json_array_get(answer, count - 1)) == 0)
            count--;
        for (size_t at = 0; at < count; at++)
            (void)json_array_append(buckets, json_array_get(answer, at));
        if (json_is_array(answer))
            (void)json_object_set_new(out, "histograms",
                                      json_pack("{s:O*, s:{s:O}}", "bounds_ms",
                                                json_object_get(histograms, "bounds_ms"), "answer",
                                                "buckets", buckets));
        json_decref(buckets);
        (void)json_array_append_new(pools, out);
    }
    if (sane)
        (void)json_object_set(line, "pid", json_object_get(root, "pid"));
    (void)json_object_set_new(line, "pools", pools);
    json_decref(root);
    return sane;
}

char *recorder_line(int64_t time_ms, const char *status, const char *reason)
{
    json_t *line = json_pack("{s:I}", "time_ms", (json_int_t)time_ms);
    char *text = NULL, *out = NULL;
    bool sane = true;
    if (status != NULL)
        sane = recorder_status(line, status);
    else {
        (void)json_object_set_new(line, "pools", json_null());
        (void)json_object_set_new(line, "error", json_string(reason));
    }
    if (sane)
        text = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(10));
    if (text != NULL && asprintf(&out, "%s\n", text) < 0)
        out = NULL;
    free(text);
    json_decref(line);
    return out;
}

/* ---- the file ---- */

static int recorder_fail(const char *path, const char *what)
{
    fprintf(stderr, "overtimectl: %s: %s\n", path, what);
    return OPTIONS_FAILED;
}

/* Is the file empty or a recording? An incomplete last line gets its newline. */
static int recorder_check(int fd, const char *path)
{
    char start[sizeof RECORDER_MARK] = "", last = '\n';
    struct stat file;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return recorder_fail(path, "another process records into it already");
    if (fstat(fd, &file) != 0)
        return recorder_fail(path, strerror(errno));
    if (!S_ISREG(file.st_mode) || file.st_size == 0)
        return EX_OK;
    if (pread(fd, start, sizeof start - 1, 0) < 0 || pread(fd, &last, 1, file.st_size - 1) < 0)
        return recorder_fail(path, strerror(errno));
    if (strncmp(start, RECORDER_MARK, strlen(start)) != 0)
        return recorder_fail(path, "is no recording, and is left as it is; choose another name");
    if (last != '\n' && write(fd, "\n", 1) != 1)
        return recorder_fail(path, strerror(errno));
    return EX_OK;
}

/* ---- samples ---- */

/* Takes one sample and writes it. An absent manager is a line, too, but an error at the start. */
static int recorder_sample(const char *socket, int fd, const char *path, bool first)
{
    struct client_words words = {.verb = CONTROL_STATUS, .switches = {CONTROL_JSON}};
    struct timespec now = {0};
    struct stat file;
    char error[512], *answer = NULL, *line = NULL;
    int status = client_fetch(socket, &words, &answer, error, sizeof error);
    if (!recorder_ended && (!first || status == EX_OK)) {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        line = recorder_line((int64_t)now.tv_sec * 1000 + now.tv_nsec / CLOCK_NS_PER_MS,
                             status == EX_OK ? answer : NULL, error);
    }
    free(answer);
    if (recorder_ended)
        return EX_OK;
    if (first && status != EX_OK) {
        fprintf(stderr, "overtimectl: %s\n", error);
        return status;
    }
    if (line == NULL)
        return recorder_fail(socket, "the manager's status makes no sense");

    /* Whole lines only: a part for which the disk has no space is removed again. */
    bool regular = fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
    size_t length = strlen(line);
    ssize_t done = write(fd, line, length);
    free(line);
    if (done == (ssize_t)length)
        return EX_OK;
    const char *why = done < 0 ? strerror(errno) : "no space left";
    if (done > 0 && regular && ftruncate(fd, file.st_size) != 0)
        why = strerror(errno);
    return recorder_fail(path, why);
}

static int recorder_loop(const char *socket, int fd, const char *path, long interval, long count)
{
    struct sigaction action = {.sa_handler = recorder_signal};
    sigset_t blocked, open;
    int64_t due = clock_ms();
    int status = EX_OK;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGINT);
    (void)sigaddset(&blocked, SIGTERM);
    for (long taken = 0; status == EX_OK && !recorder_ended && (count == 0 || taken < count);
         taken++) {
        /* Sleep until the next sample is due, or until a signal. */
        (void)sigprocmask(SIG_BLOCK, &blocked, &open);
        for (int64_t left; taken > 0 && !recorder_ended && (left = due - clock_ms()) > 0;) {
            struct timespec time = {.tv_sec = left / 1000,
                                    .tv_nsec = left % 1000 * CLOCK_NS_PER_MS};
            (void)ppoll(NULL, 0, &time, &open);
        }
        (void)sigprocmask(SIG_SETMASK, &open, NULL);
        if (!recorder_ended)
            status = recorder_sample(socket, fd, path, taken == 0);
        due += interval;
        if (due < clock_ms())
            due = clock_ms(); /* missed samples are not made up for */
    }
    return status;
}

int recorder_run(const struct options *call)
{
    const char *path = call->argv[0], *text = options_value(call, 'n');
    char *end = NULL;
    long interval = top_interval(call, 1000), count = 0;
    if (interval < 0)
        return EX_USAGE;
    errno = 0;
    if (text != NULL)
        count = strtol(text, &end, 10);
    if (text != NULL && (errno != 0 || *end != '\0' || *text < '0' || *text > '9' || count <= 0)) {
        fprintf(stderr, "overtimectl: --count \"%.32s\": a whole number from 1\n", text);
        return EX_USAGE;
    }
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return recorder_fail(path, strerror(errno));
    int status = recorder_check(fd, path);
    if (status == EX_OK)
        status = recorder_loop(options_socket(call), fd, path, interval, count);
    if (close(fd) != 0 && status == EX_OK)
        status = recorder_fail(path, strerror(errno));
    return status;
}
