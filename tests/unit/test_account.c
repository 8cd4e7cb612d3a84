/* test_account.c: users and groups that account_remember keeps. */
#include "fpm/util/account.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <grp.h>
#include <pwd.h>

/* Users and groups take turns: what is remembered is never another's. */
Test(account, remembers_the_last_one_only)
{
    static const char *const names[] = {"root", "nobody", "nobody", "0", "root"};
    char error[256];
    account_remember(true);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct account account;
        gid_t gid;
        const struct passwd *entry = getpwnam(*names[i] == '0' ? "root" : names[i]);
        cr_assert(entry != NULL);
        cr_assert(eq(int, account_user(names[i], &account, error, sizeof error), 0));
        cr_expect(eq(uint, account.uid, entry->pw_uid));
        cr_expect(eq(uint, account.gid, entry->pw_gid));
        const struct group *group = getgrnam(i % 2 == 0 ? "root" : "daemon");
        cr_assert(group != NULL);
        cr_assert(eq(int, account_group(group->gr_name, &gid, error, sizeof error), 0));
        cr_expect(eq(uint, gid, group->gr_gid));
        cr_expect(eq(int, account_user("no such user", &account, error, sizeof error), -1));
    }
    account_remember(false);
}
