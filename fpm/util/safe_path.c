/* safe_path.c: see safe_path.h. */
#include "fpm/util/safe_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    SAFE_PATH_LINKS = 40, /* as the kernel's limit */
    SAFE_PATH_FOLDER = O_PATH | O_DIRECTORY | O_CLOEXEC
};

struct safe_path {
    int folder;              /* of what is left */
    char left[2 * PATH_MAX]; /* components that are not resolved yet */
    char name[NAME_MAX + 1]; /* the component at hand */
    unsigned links;
};

static void safe_path_close(int fd)
{
    int saved = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = saved;
}

static bool safe_path_trusts(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

/* Takes the next component off; false with errno if it is too long, or there is none. */
static bool safe_path_next(struct safe_path *path)
{
    const char *begin = path->left + strspn(path->left, "/");
    size_t length = strcspn(begin, "/");
    errno = length == 0 ? EISDIR : ENAMETOOLONG;
    if (length == 0 || length >= sizeof path->name)
        return false;
    memcpy(path->name, begin, length);
    path->name[length] = '\0';
    memmove(path->left, begin + length, strlen(begin + length) + 1);
    return true;
}

static bool safe_path_is_last(const struct safe_path *path)
{
    return path->left[strspn(path->left, "/")] == '\0';
}

static int safe_path_enter(struct safe_path *path, int folder)
{
    if (folder < 0)
        return -1;
    safe_path_close(path->folder);
    path->folder = folder;
    return 0;
}

/* Puts what the link at hand leads to in front of what is left. Returns 0; 1 for a link of /proc
 * that only the kernel can follow; or -1 with errno. */
static int safe_path_follow(struct safe_path *path)
{
    char target[PATH_MAX], joined[sizeof path->left];
    struct stat status;
    struct statfs system;
    int result = -1;
    int link = openat(path->folder, path->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (link < 0)
        return -1;
    ssize_t length = readlinkat(link, "", target, sizeof target - 1);
    if (fstat(link, &status) != 0 || fstatfs(link, &system) != 0 || length < 0) {
        errno = length < 0 && errno == ENOENT ? ENOTDIR : errno;
    } else if (!safe_path_trusts(status.st_uid) || ++path->links > SAFE_PATH_LINKS) {
        errno = ELOOP;
    } else if (system.f_type == PROC_SUPER_MAGIC && strcmp(path->name, "self") != 0) {
        result = 1;
    } else {
        target[length] = '\0';
        int used = snprintf(joined, sizeof joined, "%s/%s", target, path->left);
        errno = ENAMETOOLONG;
        result = used > 0 && (size_t)used < sizeof joined ? 0 : -1;
        if (result == 0)
            memcpy(path->left, joined, (size_t)used + 1);
        if (result == 0 && *target == '/')
            result = safe_path_enter(path, open("/", SAFE_PATH_FOLDER));
    }
    safe_path_close(link);
    return result;
}

static int safe_path_begin(struct safe_path *path, const char *text)
{
    *path = (struct safe_path){.folder = -1};
    errno = *text == '/' ? ENAMETOOLONG : EINVAL;
    if (*text != '/' || strlen(text) >= PATH_MAX)
        return -1;
    memcpy(path->left, text, strlen(text) + 1);
    return safe_path_enter(path, open("/", SAFE_PATH_FOLDER));
}

/* Enters folder after folder, until the component at hand is the last. */
static int safe_path_walk(struct safe_path *path)
{
    while (safe_path_next(path)) {
        if (safe_path_is_last(path))
            return 0;
        int next = openat(path->folder, path->name, SAFE_PATH_FOLDER | O_NOFOLLOW);
        if (next < 0 && errno != ENOTDIR && errno != ELOOP)
            return -1;
        int magic = next < 0 ? safe_path_follow(path) : 0;
        if (magic > 0)
            next = openat(path->folder, path->name, SAFE_PATH_FOLDER);
        if (magic < 0 || ((next >= 0 || magic > 0) && safe_path_enter(path, next) != 0))
            return -1;
    }
    return -1;
}

/* Others can give a file another name only in a folder where they can write. */
static bool safe_path_has_foreign_name(const struct safe_path *path, int fd)
{
    struct stat file, folder;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_nlink < 2)
        return false;
    return fstat(path->folder, &folder) != 0 || !safe_path_trusts(folder.st_uid) ||
           (folder.st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

int safe_path_open(const char *text, int flags, mode_t mode)
{
    struct safe_path path;
    int fd = -1;
    int magic = safe_path_begin(&path, text);
    while (magic == 0 && fd < 0 && (magic = safe_path_walk(&path)) == 0) {
        fd = openat(path.folder, path.name, flags | O_NOFOLLOW, mode);
        if (fd < 0)
            magic = errno == ELOOP ? safe_path_follow(&path) : -1;
    }
    if (magic > 0)
        fd = openat(path.folder, path.name, flags, mode);
    if (fd >= 0 && safe_path_has_foreign_name(&path, fd)) {
        safe_path_close(fd);
        fd = -1;
        errno = ELOOP;
    }
    safe_path_close(path.folder);
    return fd;
}

int safe_path_folder(const char *text, char name[NAME_MAX + 1])
{
    struct safe_path path;
    if (safe_path_begin(&path, text) != 0 || safe_path_walk(&path) != 0) {
        safe_path_close(path.folder);
        return -1;
    }
    memcpy(name, path.name, sizeof path.name);
    return path.folder;
}

const char *safe_path_reason(int error)
{
    return error == ELOOP ? "another user than root owns a symbolic link on the way to it, or can "
                            "give that file names: name a folder where only root can write"
                          : strerror(error);
}
