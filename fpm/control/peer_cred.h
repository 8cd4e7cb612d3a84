/* peer_cred.h: who is at the other end of a unix socket, and what a file's mode would let them do.
 *
 * Looks once, when asked; what the kernel answers is who the other end was when it connected.
 * Anybody may call it.
 */
#ifndef FPM_PEER_CRED_H
#define FPM_PEER_CRED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Of somebody in more supplementary groups than this the first group alone counts. */
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

/* Whom a door is for: the owner, the group and the others that `mode` gives the right to write. */
struct peer_cred_door {
    int mode;
    uid_t uid;
    gid_t gid;
};

struct peer_cred peer_cred_look(int fd);

/* Pure. Root and `manager` always may. Whoever is nobody known never may. The owner's, the group's
 * and the others' right are each enough by itself. */
bool peer_cred_may(const struct peer_cred *peer, const struct peer_cred_door *door, uid_t manager);

#endif
