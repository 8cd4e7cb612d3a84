/* account.c: see account.h. */
#include "fpm/util/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Largest entry that is read. */
#define ACCOUNT_ENTRY_MAX ((size_t)1024 * 1024)

enum {
    ACCOUNT_GROUPS_MAX = 65536
};

/* What account_remember keeps; `user` and `group` are the texts that were asked for. */
static struct {
    bool on;
    char user[ACCOUNT_NAME_SIZE], group[ACCOUNT_NAME_SIZE]; /* "": none */
    struct account account;
    gid_t gid;
} account_last;

void account_remember(bool on)
{
    account_last.on = on;
    account_last.user[0] = account_last.group[0] = '\0';
}

static void account_keep(char kept[ACCOUNT_NAME_SIZE], const char *text)
{
    kept[0] = '\0';
    if (account_last.on && strlen(text) < ACCOUNT_NAME_SIZE)
        memcpy(kept, text, strlen(text) + 1);
}

/* A user or group number; (uid_t)-1 means "no change" to the kernel and is none. */
static bool account_number(const char *text, uint32_t *out)
{
    if (*text == '\0' || strlen(text) > 10 || strspn(text, "0123456789") != strlen(text))
        return false;
    unsigned long long wide = strtoull(text, NULL, 10);
    *out = (uint32_t)wide;
    return wide < UINT32_MAX;
}

static int account_fill(struct account *out, const struct passwd *entry)
{
    if (strlen(entry->pw_name) >= sizeof out->name)
        return ERANGE;
    *out = (struct account){.uid = entry->pw_uid, .gid = entry->pw_gid, .listed = true};
    memcpy(out->name, entry->pw_name, strlen(entry->pw_name));
    return 0;
}

/* Both return 0, ENOENT for an unknown name, or another errno. */
static int account_find_user(const char *text, bool by_number, uid_t uid, struct account *out)
{
    int result = ERANGE;
    for (size_t size = 1024; result == ERANGE && size <= ACCOUNT_ENTRY_MAX; size *= 4) {
        struct passwd entry, *found = NULL;
        char *buffer = malloc(size);
        if (buffer == NULL)
            return ENOMEM;
        result = by_number ? getpwuid_r(uid, &entry, buffer, size, &found)
                           : getpwnam_r(text, &entry, buffer, size, &found);
        if (result == 0)
            result = found != NULL ? account_fill(out, found) : ENOENT;
        free(buffer);
    }
    return result;
}

static int account_find_group(const char *text, gid_t *out)
{
    int result = ERANGE;
    for (size_t size = 1024; result == ERANGE && size <= ACCOUNT_ENTRY_MAX; size *= 4) {
        struct group entry, *found = NULL;
        char *buffer = malloc(size);
        if (buffer == NULL)
            return ENOMEM;
        result = getgrnam_r(text, &entry, buffer, size, &found);
        if (result == 0)
            result = found != NULL ? 0 : ENOENT;
        if (result == 0)
            *out = found->gr_gid;
        free(buffer);
    }
    return result;
}

/* Databases report "no such entry" in several ways; see getpwnam(3). */
static int account_refuse(int result, const char *what, char *error, size_t size)
{
    if (result == ENOENT || result == ESRCH || result == EBADF || result == EPERM)
        (void)snprintf(error, size, "no such %s on this machine", what);
    else
        (void)snprintf(error, size, "the %s database failed: %s%s", what, strerror(result),
                       result == EMFILE ? "; check `rlimit_files` in [global]" : "");
    return -1;
}

int account_user(const char *text, struct account *out, char *error, size_t size)
{
    uint32_t uid = 0;
    if (*text != '\0' && strcmp(text, account_last.user) == 0) {
        *out = account_last.account;
        return 0;
    }
    bool by_number = account_number(text, &uid);
    int result = account_find_user(text, by_number, uid, out);
    if (result == 0) {
        account_last.account = *out;
        account_keep(account_last.user, text);
        return 0;
    }
    if (!by_number)
        return account_refuse(result, "user", error, size);
    *out = (struct account){.uid = uid, .gid = (gid_t)-1};
    return 0;
}

int account_group(const char *text, gid_t *out, char *error, size_t size)
{
    uint32_t gid = 0;
    if (account_number(text, &gid)) {
        *out = gid;
        return 0;
    }
    if (*text != '\0' && strcmp(text, account_last.group) == 0) {
        *out = account_last.gid;
        return 0;
    }
    int result = account_find_group(text, out);
    if (result != 0)
        return account_refuse(result, "group", error, size);
    account_last.gid = *out;
    account_keep(account_last.group, text);
    return 0;
}

gid_t *account_groups(const char *name, gid_t gid, size_t *count)
{
    int found = 1;
    gid_t first;
    if (name != NULL)
        (void)getgrouplist(name, gid, &first, &found);
    if (found < 1 || found > ACCOUNT_GROUPS_MAX)
        found = ACCOUNT_GROUPS_MAX;
    gid_t *groups = calloc((size_t)found, sizeof *groups);
    if (groups == NULL)
        return NULL;
    groups[0] = gid;
    if (name != NULL && getgrouplist(name, gid, groups, &found) < 0) {
        free(groups);
        return NULL;
    }
    *count = (size_t)found;
    return groups;
}
