/* chroot_path.h: paths as a process sees them whose root is another folder (chroot(2)).
 *
 * Symbolic links are followed as they will be then: a link to /usr stays inside. Changes nothing.
 */
#ifndef FPM_CHROOT_PATH_H
#define FPM_CHROOT_PATH_H

/* Both look at the absolute `path` inside `root` (NULL: the root of this process). They return 0,
 * or an errno: chroot_path_folder if no folder is there, chroot_path_runnable if the manager could
 * not run it. */
int chroot_path_folder(const char *root, const char *path);
int chroot_path_runnable(const char *root, const char *path);

#endif
