/* peer_cred.h: the user at the other end of a unix socket, and what a file's mode lets them do.
 *
 * The kernel's answer is of the moment when the other end connected.
 */
#ifndef FPM_PEER_CRED_H
#define FPM_PEER_CRED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* For a user in more supplementary groups only the primary group counts. */
enum {
    PEER_CRED_GROUPS_MAX = 1024
};

struct peer_cred {
    bool known; /* false: the kernel does not say; the rest is then unset */
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t groups[PEER_CRED_GROUPS_MAX];
};

/* The owner, the group and the others may give commands if `mode` lets them write. */
struct peer_cred_door {
    int mode;
    uid_t uid;
    gid_t gid;
};

struct peer_cred peer_cred_look(int fd);

/* Pure. Root and `manager` always may, an unknown peer never. Otherwise the right of the owner, of
 * the group or of the others is enough. */
bool peer_cred_may(const struct peer_cred *peer, const struct peer_cred_door *door, uid_t manager);

#endif
