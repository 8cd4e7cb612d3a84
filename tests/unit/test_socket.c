/* test_socket.c: open listening sockets: compared, given another owner and mode, shared, given up.
 */
#include "fpm/pool/socket.h"

#include "fpm/util/fd.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ot-socket-XXXXXX", path[64], error[512];

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert(snprintf(path, sizeof path, "%s/s", folder) > 0);
}

static void remove_folder(void)
{
    (void)unlink(path);
    cr_assert(rmdir(folder) == 0);
}

TestSuite(socket, .init = make_folder, .fini = remove_folder);

static struct socket_spec local(int mode)
{
    return (struct socket_spec){
        .path = path, .backlog = 5, .mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
}

static struct socket_listener open_local(int mode)
{
    struct socket_listener listener;
    struct socket_spec spec = local(mode);
    cr_assert(socket_listen(&listener, &spec, error, sizeof error) == 0, "%s", error);
    return listener;
}

static struct stat look(void)
{
    struct stat status = {0};
    (void)lstat(path, &status);
    return status;
}

Test(socket, where_it_listens)
{
    static const char *const hosts[] = {"127.0.0.1", "::1", NULL};
    char where[128], port[16];
    struct socket_listener listener = open_local(0600);
    struct socket_spec spec = local(0600);
    cr_expect_str_eq(socket_where(listener.fd, where, sizeof where), path);
    cr_expect(socket_is_at(listener.fd, &spec));
    spec.path = "/elsewhere";
    cr_expect(!socket_is_at(listener.fd, &spec));
    socket_close(&listener);
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct socket_spec tcp = {.host = hosts[i], .port = "0", .backlog = 1};
        if (socket_listen(&listener, &tcp, error, sizeof error) != 0)
            continue; /* no IPv6 here */
        const char *text = strrchr(socket_where(listener.fd, where, sizeof where), ':');
        cr_assert_not_null(text);
        cr_assert(snprintf(port, sizeof port, "%s", text + 1) > 0);
        tcp.port = port;
        cr_expect(socket_is_at(listener.fd, &tcp), "%s", where);
        tcp.host = hosts[i] != NULL ? NULL : "127.0.0.1";
        cr_expect(!socket_is_at(listener.fd, &tcp), "%s", where);
        socket_close(&listener);
    }
    int ends[2];
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    cr_expect_str_eq(socket_where(ends[0], where, sizeof where), "an unknown address");
    cr_assert(close(ends[0]) == 0 && close(ends[1]) == 0);
}

Test(socket, mode_and_owner_change_while_it_listens)
{
    struct socket_listener listener = open_local(0600);
    struct socket_spec spec = local(0666);
    ino_t inode = look().st_ino;
    cr_expect(socket_update(&listener, &spec, error, sizeof error) == 0, "%s", error);
    cr_expect((look().st_mode & 07777) == 0666 && look().st_ino == inode);
    cr_expect(socket_answered(path) == 1);
    if (geteuid() == 0) {
        spec = local(0660);
        spec.uid = 12345;
        spec.gid = 23456;
        cr_expect(socket_update(&listener, &spec, error, sizeof error) == 0, "%s", error);
        cr_expect(look().st_uid == 12345 && look().st_gid == 23456);
        cr_expect((look().st_mode & 07777) == 0660 && look().st_ino == inode);
        spec = local(0600);
        cr_expect(socket_update(&listener, &spec, error, sizeof error) == 0, "%s", error);
        cr_expect(look().st_uid == geteuid() && look().st_gid == getegid());
        cr_expect((look().st_mode & 07777) == 0600);
    }
    socket_close(&listener);
    cr_expect(access(path, F_OK) != 0);
}

/* With a backlog of 0 one connection waits; the next one finds the queue full. */
Test(socket, backlog_changes_while_it_listens)
{
    struct socket_spec spec = local(0600);
    struct socket_listener listener;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int clients[4], connected = 0;
    spec.backlog = 0;
    cr_assert(socket_listen(&listener, &spec, error, sizeof error) == 0, "%s", error);
    cr_assert(getsockname(listener.fd, (struct sockaddr *)&address, &length) == 0);
    for (int i = 0; i < 4; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        cr_assert(clients[i] >= 0);
        if (i == 2) {
            cr_expect(connected == 1, "%d", connected);
            spec.backlog = 10;
            cr_expect(socket_update(&listener, &spec, error, sizeof error) == 0, "%s", error);
        }
        connected += connect(clients[i], (struct sockaddr *)&address, length) == 0;
    }
    cr_expect(connected == 3, "%d", connected);
    for (int i = 0; i < 4; i++)
        fd_close(&clients[i]);
    socket_close(&listener);
}

Test(socket, a_file_that_is_no_longer_ours_is_left_alone)
{
    struct socket_listener listener = open_local(0600);
    struct socket_spec spec = local(0666);
    cr_assert(unlink(path) == 0);
    cr_assert(close(open(path, O_CREAT | O_WRONLY, 0640)) == 0);
    cr_expect(socket_update(&listener, &spec, error, sizeof error) == -1);
    cr_expect_not_null(strstr(error, "no longer the one made here"));
    cr_expect((look().st_mode & 0777) == 0640);
    socket_unlink(&listener);
    cr_expect(access(path, F_OK) == 0);
    socket_close(&listener);
    cr_expect(access(path, F_OK) == 0);
}

Test(socket, shared_and_disowned)
{
    struct socket_listener listener = open_local(0600), other;
    cr_assert(socket_share(&listener, &other, error, sizeof error) == 0, "%s", error);
    cr_expect(other.fd != listener.fd && fcntl(other.fd, F_GETFD) == FD_CLOEXEC);
    socket_disown(&listener);
    socket_close(&listener);
    cr_expect(listener.fd == -1 && socket_answered(path) == 1, "the other listens on");
    socket_unlink(&other);
    cr_expect(access(path, F_OK) != 0 && fcntl(other.fd, F_GETFD) >= 0);
    socket_close(&other);
}

Test(socket, what_others_made)
{
    struct socket_listener made = open_local(0600), given;
    struct socket_spec spec = local(0666);
    int ends[2], null = open("/dev/null", O_RDONLY), fd = dup(made.fd);
    cr_assert(fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    cr_assert(socket_adopt(&given, fd, error, sizeof error) == 0, "%s", error);
    cr_expect(given.given && given.path == NULL && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    cr_expect((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
    cr_expect(socket_update(&given, &spec, error, sizeof error) == 0);
    cr_expect((look().st_mode & 07777) == 0600, "nothing of it is changed");
    socket_close(&given);
    cr_expect(socket_answered(path) == 1);
    socket_close(&made);

    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    cr_expect(socket_adopt(&given, ends[0], error, sizeof error) == -1 && given.fd == -1);
    cr_expect_not_null(strstr(error, "does not listen"));
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    cr_assert(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    cr_expect(socket_adopt(&given, ends[0], error, sizeof error) == -1);
    cr_expect_not_null(strstr(error, "no stream socket"));
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    cr_expect(socket_adopt(&given, null, error, sizeof error) == -1);
    cr_expect_not_null(strstr(error, "no socket"));
    fd_close(&null);
}

Test(socket, shut_down_by_a_process_that_shares_it)
{
    static const int ways[] = {SHUT_RD, SHUT_RDWR};
    for (size_t i = 0; i < 2; i++) {
        struct socket_listener listener = open_local(0600);
        cr_expect(!socket_is_shut(listener.fd));
        cr_assert(shutdown(listener.fd, ways[i]) == 0);
        cr_expect(socket_is_shut(listener.fd) && !socket_pending(listener.fd));
        cr_expect(socket_listen_again(listener.fd, 5) == -1, "its end is final");

        /* Another takes its place while it is open. */
        struct socket_listener next = open_local(0600);
        socket_close(&listener);
        cr_expect(socket_answered(path) == 1 && !socket_is_shut(next.fd));
        socket_close(&next);

        struct socket_spec tcp = {.host = "127.0.0.1", .port = "0", .backlog = 1};
        cr_assert(socket_listen(&listener, &tcp, error, sizeof error) == 0, "%s", error);
        cr_expect(!socket_is_shut(listener.fd));
        cr_assert(shutdown(listener.fd, ways[i]) == 0);
        cr_expect(socket_is_shut(listener.fd) && !socket_pending(listener.fd));
        cr_expect(socket_listen_again(listener.fd, 1) == 0 && !socket_is_shut(listener.fd));
        socket_close(&listener);
    }
    cr_expect(!socket_is_shut(-1));
}
