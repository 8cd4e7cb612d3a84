/* safe_path.h: opens files in folders where other users may write.
 *
 * A symbolic link on the way is followed only if root or the manager's own user owns it: whoever
 * may write a folder could otherwise lead root to any file. A regular file with several names is
 * refused where others can give names. Paths are absolute.
 */
#ifndef FPM_SAFE_PATH_H
#define FPM_SAFE_PATH_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

/* As open(2). Returns a descriptor, or -1 with errno; ELOOP = refused. */
int safe_path_open(const char *path, int flags, mode_t mode);

/* Opens the folder of `path` (O_PATH) and copies the last part to name[NAME_MAX + 1]; a link as
 * last part is not followed. Returns a descriptor, or -1 with errno; ELOOP = refused. */
int safe_path_folder(const char *path, char name[NAME_MAX + 1]);

/* Why opening failed, as the end of a sentence: strerror, but for what is refused here. */
const char *safe_path_reason(int error);

#endif
