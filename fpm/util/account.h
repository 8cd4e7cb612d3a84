/* account.h: users and groups by name or number, from the system's databases (nsswitch.conf).
 *
 * Changes nothing. A database on the network can make it slow: not for use while requests wait.
 */
#ifndef FPM_ACCOUNT_H
#define FPM_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ACCOUNT_NAME_SIZE 256

struct account {
    uid_t uid;
    gid_t gid;                    /* the user's first group; (gid_t)-1 when listed is false */
    bool listed;                  /* false: a number without an entry */
    char name[ACCOUNT_NAME_SIZE]; /* "" when listed is false */
};

/* Both return 0, or -1 with the end of a sentence in `error`. A number needs no entry. */
int account_user(const char *text, struct account *out, char *error, size_t size);
int account_group(const char *text, gid_t *out, char *error, size_t size);

/* From true to false the last user and the last group that were found are remembered: for a reading
 * of many lines that name the same ones. Both forget what was remembered before. */
void account_remember(bool on);

/* The groups of the user `name`, `gid` among them; NULL = only that one. The caller frees them.
 * Returns NULL without memory, or if there are too many. */
gid_t *account_groups(const char *name, gid_t gid, size_t *count);

#endif
