/* path_access.h: what keeps a user from a file, by the permissions of the folders on its path.
 *
 * Looks at permission bits alone. Where an access control list stands it says nothing, since the
 * bits do not decide there. Changes nothing.
 */
#ifndef FPM_PATH_ACCESS_H
#define FPM_PATH_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

struct path_access_user {
    const char *name; /* NULL: only the number is known */
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* the supplementary ones */
    size_t count;
};

/* Do the bits of this file let the user execute it, or enter it as a folder? */
bool path_access_allowed(const struct path_access_user *user, const struct stat *status);

/* Finds the first folder on the way to the absolute `path` inside `root` (NULL: /) that the user
 * cannot enter, or else the file at its end that the user cannot execute. True with a sentence such
 * as "user shop cannot enter the folder /srv (mode 0700, of user 0 and group 0)". */
bool path_access_obstacle(const struct path_access_user *user, const char *root, const char *path,
                          char *text, size_t size);

#endif
