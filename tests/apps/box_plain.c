/* box_plain.c: a FastCGI program without libfcgi, like PHP or Go programs: a blocking accept loop
 * on descriptor 0, one request at a time, each connection closed after it.
 *
 * Parses the query string itself; steps are joined by '&':
 *   text=TEXT   the response's body, else "box"
 *   note=FILE   makes FILE in DIRECTORY when the request has arrived
 *   wait=FILE   goes on when FILE is in DIRECTORY
 *   sleep=MS    waits
 *
 * usage: box_plain DIRECTORY [DESCRIPTORS]
 * DESCRIPTORS: opens so many, accepts nothing, and looks busy now and then.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BEGIN_REQUEST = 1,
    END_REQUEST = 3,
    STDIN = 5,
    STDOUT = 6,
    HEADER = 8,
    INPUT_MAX = 65536
};

static const char *directory;

static void path_of(char *path, size_t size, const char *name)
{
    int length = snprintf(path, size, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= size)
        _exit(70);
}

static void pause_for(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static bool take(int fd, void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, (char *)bytes + done, size - done);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* All records up to the end of the input, in one buffer. Returns the number of bytes, -1 if the
 * input ended early. */
static ssize_t take_request(int fd, char *input)
{
    size_t used = 0;
    for (;;) {
        uint8_t header[HEADER];
        if (!take(fd, header, sizeof header))
            return -1;
        size_t content = (size_t)(header[4] << 8 | header[5]);
        size_t size = content + header[6];
        if (used + size > INPUT_MAX || !take(fd, input + used, size))
            return -1;
        if (header[1] == STDIN && content == 0)
            return (ssize_t)used;
        used += size;
    }
}

static void send_record(int fd, uint8_t kind, const char *content, size_t size)
{
    uint8_t record[HEADER + 1024] = {1, kind, 0, 1, (uint8_t)(size >> 8), (uint8_t)size, 0, 0};
    memcpy(record + HEADER, content, size);
    (void)!send(fd, record, HEADER + size, MSG_NOSIGNAL);
}

static void step(const char *name, const char *value, char *body, size_t size)
{
    char path[PATH_MAX];
    if (strcmp(name, "text") == 0) {
        (void)snprintf(body, size, "%s", value);
    } else if (strcmp(name, "sleep") == 0) {
        pause_for(strtol(value, NULL, 10));
    } else if (strcmp(name, "system") == 0) {
        (void)!system(value);
    } else if (strcmp(name, "note") == 0) {
        path_of(path, sizeof path, value);
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
    } else if (strcmp(name, "wait") == 0) {
        path_of(path, sizeof path, value);
        while (access(path, F_OK) != 0)
            pause_for(2);
    }
}

static void serve(int fd)
{
    static char input[INPUT_MAX + 1];
    char body[256] = "box", answer[512], query[1024] = "";
    ssize_t size = take_request(fd, input);
    if (size < 0)
        return;
    const char *at = memmem(input, (size_t)size, "QUERY_STRING", 12);
    if (at != NULL) /* its length stands before the name, in one byte */
        (void)snprintf(query, sizeof query, "%.*s", (uint8_t)at[-1] & 127, at + 12);
    char *rest = query, *word;
    while ((word = strsep(&rest, "&")) != NULL) {
        char *value = strchr(word, '=');
        if (value != NULL)
            *value++ = '\0';
        step(word, value != NULL ? value : "", body, sizeof body);
    }
    int length =
        snprintf(answer, sizeof answer, "Content-Type: text/plain\r\nX-Worker: %d\r\n\r\n%s",
                 (int)getpid(), body);
    send_record(fd, STDOUT, answer, (size_t)length);
    send_record(fd, STDOUT, "", 0);
    send_record(fd, END_REQUEST, "\0\0\0\0\0\0\0", 8);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: box_plain DIRECTORY [DESCRIPTORS]\n");
        return 64;
    }
    for (long i = argc == 3 ? strtol(argv[2], NULL, 10) : 0; i > 0; i--)
        (void)!fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (argc == 3)
        for (;;)
            pause_for(5);
    directory = argv[1];
    for (;;) {
        int fd = accept(0, NULL, NULL);
        if (fd < 0)
            return 1;
        serve(fd);
        close(fd);
    }
}
