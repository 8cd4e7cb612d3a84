/* startup.c: measures how long a program takes to start, without anybody else between.
 *
 * usage: startup COUNT PROGRAM             from fork to the end of a program that ends by itself
 *        startup COUNT PROGRAM SOCKET      from fork to the answer of a FastCGI worker that
 * inherits the listening SOCKET, where a connection waits for it already
 *
 * Prints COUNT lines of microseconds. Exit 64 usage, 70 something failed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* BEGIN_REQUEST, one parameter, no body. */
static const unsigned char request[] = "\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0"
                                       "\1\4\0\1\0\3\0\0\1\0A"
                                       "\1\4\0\1\0\0\0\0"
                                       "\1\5\0\1\0\0\0\0";

static void fail(const char *what)
{
    perror(what);
    exit(70);
}

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int open_socket(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        listen(fd, 16))
        fail(address->sun_path);
    return fd;
}

/* A connection that waits in the queue, its request sent. */
static int ask(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        write(fd, request, sizeof request - 1) != (ssize_t)sizeof request - 1)
        fail(address->sun_path);
    return fd;
}

static pid_t start(const char *program, int listener)
{
    pid_t pid = fork();

    if (pid < 0)
        fail("fork");
    if (pid > 0)
        return pid;
    if (listener >= 0)
        (void)dup2(listener, 0);
    execl(program, program, (char *)NULL);
    _exit(127);
}

/* One start, in microseconds; ends what was started. */
static double once(const char *program, int listener, const struct sockaddr_un *address)
{
    char bytes[512];
    int status = 0;
    int fd = listener < 0 ? -1 : ask(address);
    double begin = now_us();
    pid_t pid = start(program, listener);

    if (fd >= 0) {
        if (read(fd, bytes, sizeof bytes) <= 0)
            fail("no answer");
        double took = now_us() - begin;
        close(fd);
        kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
        return took;
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        fail(program);
    return now_us() - begin;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = -1;

    if (argc < 3 || argc > 4 || (argc == 4 && strlen(argv[3]) >= sizeof address.sun_path))
        return 64;
    if (argc == 4) {
        (void)stpcpy(address.sun_path, argv[3]);
        listener = open_socket(&address);
    }
    for (long left = strtol(argv[1], NULL, 10); left > 0; left--)
        printf("%.1f\n", once(argv[2], listener, &address));
    if (listener >= 0)
        (void)unlink(address.sun_path);
    return 0;
}
