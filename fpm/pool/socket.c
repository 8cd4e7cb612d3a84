/* socket.c: see socket.h. */
#include "fpm/pool/socket.h"

#include "fpm/log/log.h"
#include "fpm/util/client_filter.h"
#include "fpm/util/error.h"
#include "fpm/util/fd.h"
#include "sapi-shim/util/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

/* SIOCUNIXFILE of <linux/un.h>, which cannot be included beside <sys/un.h>. */
enum {
    SOCKET_FILE_OF = 0x89E0
};

static int socket_fail(char *error, size_t size, const char *deed, const char *where)
{
    int number = errno;
    const char *remedy = number == EMFILE ? "; check `rlimit_files` in [global]" : "";
    snprintf(error, size, "cannot %s %s: %s%s", deed, where, strerror(number), remedy);
    errno = number;
    return -1;
}

bool socket_may_pass(int error)
{
    static const int passing[] = {EADDRINUSE, EADDRNOTAVAIL, EMFILE,   ENFILE,
                                  ENOBUFS,    ENOMEM,        ENETDOWN, EINTR};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (passing[i] == error)
            return true;
    return false;
}

static int socket_unix_address(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 0;
}

int socket_answered(const char *path)
{
    struct sockaddr_un address;
    if (socket_unix_address(&address, path) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int answer = 1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        /* A full queue (EAGAIN) belongs to a process that listens. */
        if (errno == ECONNREFUSED || errno == ENOENT)
            answer = 0;
        else if (errno != EAGAIN && errno != EINPROGRESS)
            answer = -1;
    }
    fd_close(&fd);
    return answer;
}

pid_t socket_listening_process(const char *path)
{
    struct sockaddr_un address;
    struct ucred peer = {0};
    socklen_t length = sizeof peer;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || socket_unix_address(&address, path) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
        peer.pid = 0;
    fd_close(&fd);
    return peer.pid;
}

/* Opens the folder, so that what is looked at is what is removed, whatever others put in its place:
 * they can exchange entries of a folder of theirs alone. -1 with errno. */
static int socket_folder(const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    char folder[sizeof((struct sockaddr_un *)0)->sun_path + 1];
    *name = slash != NULL ? slash + 1 : path;
    int length = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    if (length >= (int)sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    snprintf(folder, sizeof folder, "%.*s", length, slash == NULL ? "." : path);
    return open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Removes the file if it is still the one that was made. */
static void socket_unlink_file(const char *path, const struct stat *made)
{
    const char *name;
    struct stat status;
    int folder = socket_folder(path, &name);
    if (folder >= 0 && fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_dev == made->st_dev && status.st_ino == made->st_ino)
        (void)unlinkat(folder, name, 0);
    fd_close(&folder);
}

/* Removes the file of a socket on which no process listens any more. */
static int socket_clear_stale(const char *path, char *error, size_t size)
{
    const char *name;
    struct stat status;
    int folder = socket_folder(path, &name);
    if (folder < 0)
        return socket_fail(error, size, "listen on", path);
    int found = fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW), result = 0;
    if (found != 0 && errno != ENOENT) {
        result = socket_fail(error, size, "look at", path);
    } else if (found == 0 && !S_ISSOCK(status.st_mode)) {
        snprintf(error, size, "cannot listen on %s: the file exists and is not a socket", path);
        errno = ENOTSOCK;
        result = -1;
    } else if (found == 0) {
        int answered = socket_answered(path);
        if (answered < 0) {
            result = socket_fail(error, size, "test whether a process listens on", path);
        } else if (answered > 0) {
            snprintf(error, size, "cannot listen on %s: another process listens there", path);
            errno = EADDRINUSE;
            result = -1;
        } else if (unlinkat(folder, name, 0) != 0 && errno != ENOENT) {
            result = socket_fail(error, size, "remove the stale socket", path);
        }
    }
    fd_close(&folder);
    return result;
}

/* Opens the file of the socket that `fd` is bound to, and no other. The kernel gives it to who may
 * administrate the network; otherwise it must look as a file does that was just made here, with a
 * mode that no other socket has. -1 with errno. */
static int socket_bound_file(int fd, const char *path, struct stat *status)
{
    int file = ioctl(fd, SOCKET_FILE_OF);
    if (file >= 0 && fstat(file, status) == 0)
        return file;
    fd_close(&file);
    file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0 && fstat(file, status) == 0 && S_ISSOCK(status->st_mode) &&
        (status->st_mode & 07777) == 0 && status->st_uid == geteuid() && status->st_nlink == 1)
        return file;
    if (file >= 0)
        errno = EEXIST; /* another was put in its place */
    fd_close(&file);
    return -1;
}

/* By descriptor, because others may write the folder. O_PATH alone has no fchmod. */
static int socket_set_mode(int file, mode_t mode)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    return chmod(link, mode);
}

/* An access list that the folder gives its files would let in users whom the mode does not: the
 * mode is only the most that the list may give. Returns 0, or -1 with errno. */
static int socket_drop_acl(int file, const char *path)
{
    static const char list[] = "system.posix_acl_access";
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (getxattr(link, list, NULL, 0) < 0)
        return 0;
    if (removexattr(link, list) != 0)
        return -1;
    log_warning("%s: its folder has a default access list (ACL), which would let in more users "
                "than the mode: it was removed from the socket; see setfacl(1)",
                path);
    return 0;
}

/* The file is created for no user and opened by a change of its mode, which is so never wider than
 * configured. */
static int socket_bind_unix(int fd, const struct sockaddr_un *address,
                            const struct socket_spec *spec, struct stat *status, char *error,
                            size_t size)
{
    mode_t old = umask(0777);
    int bound = bind(fd, (const struct sockaddr *)address, sizeof *address);
    const char *failed = NULL;
    umask(old);
    if (bound != 0)
        return socket_fail(error, size, "listen on", spec->path);
    int file = socket_bound_file(fd, spec->path, status);
    if (file < 0)
        failed = "find the file that was made for";
    else if ((spec->uid != (uid_t)-1 || spec->gid != (gid_t)-1) &&
             fchownat(file, "", spec->uid, spec->gid, AT_EMPTY_PATH) != 0)
        failed = "change the owner of";
    else if (socket_drop_acl(file, spec->path) != 0)
        failed = "remove the access list (ACL) of";
    else if (socket_set_mode(file, (mode_t)spec->mode) != 0)
        failed = "change the mode of";
    else if (listen(fd, spec->backlog < 0 ? SOMAXCONN : spec->backlog) != 0)
        failed = "listen on";
    if (failed != NULL)
        socket_fail(error, size, failed, spec->path);
    int number = errno;
    bool known = file >= 0;
    fd_close(&file); /* the descriptor may be needed */
    if (failed != NULL && known)
        socket_unlink_file(spec->path, status);
    /* Without one to spare, a socket that may not be used is what bind() has just made. */
    else if (failed != NULL && lstat(spec->path, status) == 0 && S_ISSOCK(status->st_mode) &&
             (status->st_mode & 07777) == 0)
        (void)unlink(spec->path);
    errno = number;
    return failed == NULL ? 0 : -1;
}

static int socket_listen_unix(struct socket_listener *listener, const struct socket_spec *spec,
                              char *error, size_t size)
{
    struct sockaddr_un address;
    struct stat status;
    if (socket_unix_address(&address, spec->path) != 0)
        return socket_fail(error, size, "listen on", spec->path);
    if (socket_clear_stale(spec->path, error, size) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_fail(error, size, "make a socket for", spec->path);
    char *path = strdup(spec->path);
    if (path == NULL || socket_bind_unix(fd, &address, spec, &status, error, size) != 0) {
        int number = path == NULL ? ENOMEM : errno;
        if (path == NULL)
            snprintf(error, size, "out of memory");
        free(path);
        fd_close(&fd);
        errno = number;
        return -1;
    }
    *listener = (struct socket_listener){
        .fd = fd, .path = path, .device = status.st_dev, .inode = status.st_ino};
    return 0;
}

int socket_allow(int fd, const struct value_parse_list *clients, char *error, size_t size)
{
    int domain = AF_UNIX, result = -1;
    socklen_t length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX)
        return 0;
    size_t count = clients != NULL ? clients->count : 0;
    if (count == 0) {
        int unused = 0;
        if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0 ||
            errno == ENOENT)
            return 0;
        return socket_fail(error, size, "serve all clients of", "the port");
    }
    struct cidr *nets = calloc(count, sizeof *nets);
    struct sock_filter *code = calloc(CLIENT_FILTER_MAX, sizeof *code);
    struct sock_fprog program = {.len = 0, .filter = code};
    errno = ENOMEM;
    if (nets != NULL && code != NULL) {
        for (size_t i = 0; i < count; i++)
            (void)cidr_parse(clients->items[i], strlen(clients->items[i]), &nets[i]);
        program.len = (unsigned short)client_filter_build(nets, count, code);
        errno = E2BIG;
    }
    if (program.len > 0)
        result = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    if (result != 0)
        socket_fail(error, size, "keep the clients that listen.allowed_clients does not list from",
                    "the port");
    free(nets);
    free(code);
    return result;
}

uint32_t socket_dropped(int fd)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof memory;
    bool known = getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0 &&
                 length > SK_MEMINFO_DROPS * sizeof *memory;
    return known ? memory[SK_MEMINFO_DROPS] : 0;
}

/* Listens on one address. Accepted connections inherit TCP_NODELAY. `why` becomes the result of
 * getaddrinfo; returns -1 with errno if that is 0. */
static int socket_listen_host(const char *host, const struct socket_spec *spec, int *why)
{
    char error[ERROR_SIZE];
    size_t size = sizeof error;
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
    };
    int on = 1, off = 0;
    struct addrinfo *found = NULL;
    *why = getaddrinfo(host, spec->port, &hints, &found);
    if (*why != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool both_families = spec->host == NULL && found->ai_family == AF_INET6;
    if (fd >= 0 &&
        (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
         setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
         (spec->freebind && setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on) != 0) ||
         socket_allow(fd, spec->clients, error, size) != 0 ||
         (both_families && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
         bind(fd, found->ai_addr, found->ai_addrlen) != 0 ||
         listen(fd, spec->backlog < 0 ? SOMAXCONN : spec->backlog) != 0)) {
        int number = errno;
        fd_close(&fd);
        errno = number;
    }
    int saved = errno;
    freeaddrinfo(found);
    errno = saved;
    return fd;
}

/* For any address, one socket serves both families if the machine has IPv6, else IPv4 alone. */
static int socket_listen_tcp(struct socket_listener *listener, const struct socket_spec *spec,
                             char *error, size_t size)
{
    int why = 0;
    int fd = socket_listen_host(spec->host != NULL ? spec->host : "::", spec, &why);
    if (fd < 0 && spec->host == NULL && (why != 0 || errno != EADDRINUSE))
        fd = socket_listen_host("0.0.0.0", spec, &why);
    if (fd < 0) {
        const char *host = spec->host != NULL ? spec->host : "any address";
        int number = why != 0 && why != EAI_SYSTEM ? EINVAL : errno;
        snprintf(error, size, "cannot listen on %s, port %s: %s%s", host, spec->port,
                 why != 0 && why != EAI_SYSTEM ? gai_strerror(why) : strerror(errno),
                 number == EMFILE          ? "; check `rlimit_files` in [global]"
                 : number == EADDRNOTAVAIL ? "; bring it up first, or set `listen.freebind`"
                                           : "");
        errno = number;
        return -1;
    }
    *listener = (struct socket_listener){.fd = fd};
    return 0;
}

int socket_listen(struct socket_listener *listener, const struct socket_spec *spec, char *error,
                  size_t size)
{
    *listener = SOCKET_NONE;
    if (spec->path != NULL)
        return socket_listen_unix(listener, spec, error, size);
    return socket_listen_tcp(listener, spec, error, size);
}

/* ---- sockets that another process made ---- */

static int socket_option(int fd, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
}

/* Why the descriptor is no socket that listens, as the end of a sentence; NULL if it is one. */
static const char *socket_fault(int fd)
{
    struct stat status;
    int family = socket_option(fd, SO_DOMAIN);
    if (fstat(fd, &status) != 0 || !S_ISSOCK(status.st_mode))
        return "is no socket";
    if (socket_option(fd, SO_TYPE) != SOCK_STREAM)
        return "is no stream socket (ListenStream= makes one)";
    if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
        return "is of an address family that is not served";
    if (socket_option(fd, SO_ACCEPTCONN) != 1)
        return "does not listen (Accept=yes hands over connections, Accept=no the socket)";
    return NULL;
}

int socket_adopt(struct socket_listener *listener, int fd, char *error, size_t size)
{
    int on = 1, flags = fcntl(fd, F_GETFL);
    const char *fault = socket_fault(fd);
    *listener = SOCKET_NONE;
    if (fault != NULL) {
        snprintf(error, size, "%s", fault);
        return -1;
    }
    /* Workers without the library wait in accept. */
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        snprintf(error, size, "cannot be made blocking: %s", strerror(errno));
        return -1;
    }
    if (socket_option(fd, SO_DOMAIN) != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *listener = (struct socket_listener){.fd = fd, .given = true};
    return 0;
}

/* ---- addresses ---- */

union socket_address {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* The address as two texts; the path of a unix socket is in `host`. False if it has none. */
static bool socket_texts(int fd, char host[NI_MAXHOST], char port[NI_MAXSERV])
{
    union socket_address address = {0};
    socklen_t length = sizeof address;
    *port = '\0';
    if (getsockname(fd, &address.any, &length) != 0)
        return false;
    if (address.any.sa_family != AF_UNIX)
        return getnameinfo(&address.any, length, host, NI_MAXHOST, port, NI_MAXSERV,
                           NI_NUMERICHOST | NI_NUMERICSERV) == 0;
    size_t used = length - offsetof(struct sockaddr_un, sun_path);
    bool abstract = used > 1 && address.local.sun_path[0] == '\0';
    snprintf(host, NI_MAXHOST, "%s%.*s", abstract ? "@" : "", (int)(used - abstract),
             address.local.sun_path + abstract);
    return used > 0;
}

/* Compares numeric hosts however they are written: [0:0::1] is ::1. */
static bool socket_same_host(const char *a, const char *b)
{
    struct in6_addr left, right;
    if (strcmp(a, b) == 0)
        return true;
    return inet_pton(AF_INET6, a, &left) == 1 && inet_pton(AF_INET6, b, &right) == 1 &&
           memcmp(&left, &right, sizeof left) == 0;
}

bool socket_is_at(int fd, const struct socket_spec *spec)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (!socket_texts(fd, host, port))
        return false;
    if (spec->path != NULL)
        return *port == '\0' && strcmp(host, spec->path) == 0;
    if (strcmp(port, spec->port) != 0)
        return false;
    if (spec->host == NULL)
        return strcmp(host, "::") == 0 || strcmp(host, "0.0.0.0") == 0;
    return socket_same_host(host, spec->host);
}

const char *socket_where(int fd, char *out, size_t size)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (!socket_texts(fd, host, port))
        snprintf(out, size, "an unknown address");
    else if (*port == '\0')
        snprintf(out, size, "%s", host);
    else
        snprintf(out, size, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
    return out;
}

/* ---- sockets of a manager that has gone ---- */

/* Does the file lead to this socket? Both name the process that made it listen. */
static bool socket_is_at_file(int fd, const char *path)
{
    struct ucred listener = {0};
    socklen_t length = sizeof listener;
    pid_t pid = socket_listening_process(path);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &length) != 0)
        return false;
    return pid == listener.pid || (pid == 0 && socket_answered(path) == 1);
}

int socket_take(struct socket_listener *listener, int fd, const struct socket_spec *spec,
                char *error, size_t size)
{
    struct stat status = {0};
    char *path = NULL;
    if (spec->path != NULL &&
        (!socket_is_at_file(fd, spec->path) || lstat(spec->path, &status) != 0)) {
        snprintf(error, size, "%s is the socket of another process", spec->path);
        return -1;
    }
    if (spec->path != NULL && (path = strdup(spec->path)) == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    if (socket_adopt(listener, fd, error, size) != 0) {
        free(path);
        return -1;
    }
    *listener = (struct socket_listener){
        .fd = fd, .path = path, .device = status.st_dev, .inode = status.st_ino};
    if (socket_update(listener, spec, error, size) == 0)
        return 0;
    free(path);
    *listener = SOCKET_NONE;
    return -1;
}

/* ---- while it listens, and its end ---- */

/* Is the file still the one that was made here? */
static bool socket_is_ours(const struct socket_listener *listener, struct stat *status)
{
    return listener->path != NULL && lstat(listener->path, status) == 0 &&
           status->st_dev == listener->device && status->st_ino == listener->inode;
}

bool socket_is_lost(const struct socket_listener *listener)
{
    struct stat status;
    return listener->path != NULL && !socket_is_ours(listener, &status);
}

static int socket_update_file(const struct socket_listener *listener,
                              const struct socket_spec *spec, char *error, size_t size)
{
    struct stat status;
    mode_t mode = (mode_t)spec->mode;
    if (listener->path == NULL)
        return 0;
    int file = open(listener->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0 || status.st_dev != listener->device ||
        status.st_ino != listener->inode) {
        fd_close(&file);
        snprintf(error, size, "the file %s is no longer the one made here: restart the manager",
                 listener->path);
        return -1;
    }
    uid_t uid = spec->uid != (uid_t)-1 ? spec->uid : geteuid();
    gid_t gid = spec->gid != (gid_t)-1 ? spec->gid : getegid();
    bool other = status.st_uid != uid || status.st_gid != gid;
    int result = 0;
    if (other && (socket_set_mode(file, status.st_mode & mode) != 0 ||
                  fchownat(file, "", uid, gid, AT_EMPTY_PATH) != 0)) {
        result = socket_fail(error, size, "change the owner of", listener->path);
        (void)socket_set_mode(file, status.st_mode & 07777);
    } else if ((other || (status.st_mode & 0777) != mode) && socket_set_mode(file, mode) != 0) {
        result = socket_fail(error, size, "change the mode of", listener->path);
    }
    fd_close(&file);
    return result;
}

int socket_update(const struct socket_listener *listener, const struct socket_spec *spec,
                  char *error, size_t size)
{
    if (listener->given)
        return 0;
    if (listen(listener->fd, spec->backlog < 0 ? SOMAXCONN : spec->backlog) != 0)
        return socket_fail(error, size, "change the backlog of",
                           spec->path != NULL ? spec->path : spec->port);
    return socket_update_file(listener, spec, error, size);
}

int socket_share(const struct socket_listener *from, struct socket_listener *to, char *error,
                 size_t size)
{
    *to = *from;
    to->path = from->path != NULL ? strdup(from->path) : NULL;
    to->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
    if (to->fd >= 0 && (to->path != NULL || from->path == NULL))
        return 0;
    socket_fail(error, size, "share", from->path != NULL ? from->path : "a socket");
    fd_close(&to->fd);
    free(to->path);
    *to = SOCKET_NONE;
    return -1;
}

void socket_saved_state(struct socket_listener *listener, struct saved_state *state)
{
    listener->fd = saved_state_fd(state, "socket", listener->fd);
    listener->given = saved_state_flag(state, "socket_given", listener->given);
    saved_state_text(state, "socket_path", &listener->path);
    listener->device = (dev_t)saved_state_number(state, "socket_device", (int64_t)listener->device,
                                                 INT64_MIN, INT64_MAX);
    listener->inode = (ino_t)saved_state_number(state, "socket_inode", (int64_t)listener->inode,
                                                INT64_MIN, INT64_MAX);
}

void socket_disown(struct socket_listener *listener)
{
    free(listener->path);
    listener->path = NULL;
}

void socket_unlink(struct socket_listener *listener)
{
    const struct stat made = {.st_dev = listener->device, .st_ino = listener->inode};
    if (listener->path != NULL)
        socket_unlink_file(listener->path, &made);
    socket_disown(listener);
}

/* A filter on the listening socket drops packets that begin a connection. Byte 13 of a TCP header
 * holds the flags. */
void socket_refuse(struct socket_listener *listener)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
    int domain = AF_UNIX;
    socklen_t length = sizeof domain;
    if (listener->given)
        return;
    socket_unlink(listener);
    if (getsockopt(listener->fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain != AF_UNIX)
        (void)setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

void socket_close(struct socket_listener *listener)
{
    socket_unlink(listener);
    fd_close(&listener->fd);
    *listener = SOCKET_NONE;
}

bool socket_pending(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN | POLLRDHUP};
    return poll(&look, 1, 0) == 1 && (look.revents & (POLLIN | POLLRDHUP | POLLHUP)) == POLLIN;
}

bool socket_is_shut(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    return fd >= 0 && (socket_option(fd, SO_ACCEPTCONN) != 1 ||
                       (poll(&look, 1, 0) == 1 && (look.revents & (POLLRDHUP | POLLHUP)) != 0));
}

int socket_listen_again(int fd, int backlog)
{
    if (listen(fd, backlog < 0 ? SOMAXCONN : backlog) != 0)
        return -1;
    errno = EPIPE; /* of a unix socket, whose end is final */
    return socket_is_shut(fd) ? -1 : 0;
}
