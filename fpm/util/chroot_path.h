/* chroot_path.h: paths as they are seen from inside a folder that becomes somebody's root.
 *
 * Links are followed as they will be then: one that points to /usr stays inside. It looks and
 * changes nothing. Anybody may call it.
 */
#ifndef FPM_CHROOT_PATH_H
#define FPM_CHROOT_PATH_H

/* Both look at the absolute `path` inside `root` (NULL: the root of this process). They return 0,
 * or an errno: chroot_path_folder if no folder is there, chroot_path_runnable if the manager could
 * not run it. */
int chroot_path_folder(const char *root, const char *path);
int chroot_path_runnable(const char *root, const char *path);

#endif
