/* path_access.c: see path_access.h. */
#include "fpm/util/path_access.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

bool path_access_allowed(const struct path_access_user *user, const struct stat *status)
{
    bool member = user->gid == status->st_gid;
    if (user->uid == 0)
        return S_ISDIR(status->st_mode) || (status->st_mode & 0111) != 0;
    if (user->uid == status->st_uid)
        return (status->st_mode & S_IXUSR) != 0;
    for (size_t i = 0; i < user->count && !member; i++)
        member = user->groups[i] == status->st_gid;
    return (status->st_mode & (member ? S_IXGRP : S_IXOTH)) != 0;
}

static bool path_access_refused(const struct path_access_user *user, const char *path, char *text,
                                size_t size)
{
    struct stat status;
    char who[64];
    if (stat(path, &status) != 0 || path_access_allowed(user, &status) ||
        getxattr(path, "system.posix_acl_access", NULL, 0) > 0)
        return false;
    if (user->name != NULL)
        snprintf(who, sizeof who, "%.60s", user->name);
    else
        snprintf(who, sizeof who, "%u", (unsigned)user->uid);
    snprintf(text, size, "user %s cannot %s %s (mode %04o, of user %u and group %u)", who,
             S_ISDIR(status.st_mode) ? "enter the folder" : "execute", path,
             (unsigned)status.st_mode & 07777, (unsigned)status.st_uid, (unsigned)status.st_gid);
    return true;
}

/* Each folder from the root on, and the file at the end. */
static bool path_access_walk(const struct path_access_user *user, const char *whole, char *text,
                             size_t size)
{
    char path[PATH_MAX];
    size_t length = strlen(whole);
    if (length >= sizeof path)
        return false;
    if (path_access_refused(user, "/", text, size))
        return true;
    for (size_t i = 1; i <= length; i++) {
        if ((whole[i] != '/' && whole[i] != '\0') || whole[i - 1] == '/')
            continue;
        memcpy(path, whole, i);
        path[i] = '\0';
        if (path_access_refused(user, path, text, size))
            return true;
    }
    return false;
}

/* The folders of a symbolic link count, and so do those of what it leads to. Inside another root
 * links lead elsewhere than here: only the path as it is written is looked at. */
bool path_access_obstacle(const struct path_access_user *user, const char *root, const char *path,
                          char *text, size_t size)
{
    char joined[2 * PATH_MAX];
    bool found;
    if (root != NULL) {
        int length = snprintf(joined, sizeof joined, "%s%s", root, path);
        return length > 0 && (size_t)length < sizeof joined &&
               path_access_walk(user, joined, text, size);
    }
    char *real = realpath(path, NULL);
    found = path_access_walk(user, path, text, size) ||
            (real != NULL && path_access_walk(user, real, text, size));
    free(real);
    return found;
}
