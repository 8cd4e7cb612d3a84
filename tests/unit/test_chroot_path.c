/* test_chroot_path.c: paths inside a chroot, whose links do not lead out of it. */
#include "fpm/util/chroot_path.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/ot-jail-XXXXXX";

static const char *under(const char *name)
{
    static char path[256];
    cr_assert(snprintf(path, sizeof path, "%s/%s", root, name) < (int)sizeof path);
    return path;
}

static void make_root(void)
{
    cr_assert_not_null(mkdtemp(root));
    cr_assert(mkdir(under("bin"), 0755) == 0);
    cr_assert(symlink("/bin", under("absolute")) == 0);
    cr_assert(symlink("../../..", under("bin/up")) == 0);
    cr_assert(symlink("/bin/tool", under("link")) == 0);
    cr_assert(close(open(under("bin/tool"), O_CREAT | O_WRONLY, 0755)) == 0);
    cr_assert(close(open(under("bin/text"), O_CREAT | O_WRONLY, 0644)) == 0);
}

static void remove_root(void)
{
    char command[64];
    cr_assert(snprintf(command, sizeof command, "rm -rf %s", root) > 0);
    cr_assert(system(command) == 0); // NOLINT(cert-env33-c)
}

TestSuite(jail, .init = make_root, .fini = remove_root);

Test(jail, folders)
{
    cr_expect(chroot_path_folder(NULL, "/bin") == 0);
    cr_expect(chroot_path_folder(NULL, root) == 0);
    cr_expect(chroot_path_folder(root, "/bin") == 0);
    cr_expect(chroot_path_folder(root, "/") == 0);
    cr_expect(chroot_path_folder(root, "/absolute") == 0, "the link leads to the folder inside");
    cr_expect(chroot_path_folder(root, "/bin/up/usr") == ENOENT, "nothing leads out");
    cr_expect(chroot_path_folder(root, "/etc") == ENOENT);
    cr_expect(chroot_path_folder(root, "/bin/tool") == ENOTDIR);
    cr_expect(chroot_path_folder("/nonexistent", "/") == ENOENT);
}

Test(jail, programs)
{
    cr_expect(chroot_path_runnable(NULL, "/bin/sh") == 0);
    cr_expect(chroot_path_runnable(NULL, "/bin") == EISDIR);
    cr_expect(chroot_path_runnable(NULL, "/etc/passwd") == EACCES);
    cr_expect(chroot_path_runnable(root, "/bin/tool") == 0);
    cr_expect(chroot_path_runnable(root, "/link") == 0);
    cr_expect(chroot_path_runnable(root, "/absolute/tool") == 0);
    cr_expect(chroot_path_runnable(root, "/bin/text") == EACCES);
    cr_expect(chroot_path_runnable(root, "/bin/sh") == ENOENT);
}
