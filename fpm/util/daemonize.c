/* daemonize.c: see daemonize.h. */
#include "fpm/util/daemonize.h"

#include "fpm/util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static _Noreturn void daemonize_wait(int fd)
{
    unsigned char status, more;
    ssize_t got;
    while (waitpid(-1, NULL, 0) < 0 && errno == EINTR)
        continue;
    do
        got = read(fd, &status, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1) {
        fputs("overtime: the manager exited before it was ready; see its log\n", stderr);
        status = EX_SOFTWARE;
    }
    /* After a failure, wait until the other process has exited and its sockets are closed. */
    while (read(fd, &more, 1) < 0 && errno == EINTR)
        continue;
    _exit(status);
}

/* The session leader exits after the second fork, so that the manager can never acquire a
 * controlling terminal. */
int daemonize(struct daemonize *daemon, char *error, size_t size)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(error, size, "cannot go to the background: pipe: %s", strerror(errno));
        return -1;
    }
    pid_t pid = fork();
    if (pid > 0) {
        fd_close(&ends[1]);
        daemonize_wait(ends[0]);
    }
    fd_close(&ends[0]);
    if (pid == 0 && setsid() >= 0)
        pid = fork();
    else
        pid = -1;
    if (pid > 0)
        _exit(0);
    if (pid < 0 || chdir("/") != 0) {
        snprintf(error, size, "cannot go to the background: %s", strerror(errno));
        fd_close(&ends[1]);
        return -1;
    }
    daemon->fd = ends[1];
    return 0;
}

void daemonize_report(struct daemonize *daemon, int status)
{
    unsigned char byte = (unsigned char)status;
    if (daemon->fd < 0)
        return;
    while (write(daemon->fd, &byte, 1) < 0 && errno == EINTR)
        continue;
    if (status != EX_OK)
        return;
    fd_close(&daemon->fd);
    (void)fd_null_standard();
}
