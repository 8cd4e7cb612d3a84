/* peer_cred.c: see peer_cred.h. */
#include "fpm/control/peer_cred.h"

#include <sys/socket.h>
#include <sys/stat.h>

struct peer_cred peer_cred_look(int fd)
{
    struct peer_cred peer = {.known = false};
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        return peer;
    peer.known = credentials.uid != (uid_t)-1;
    peer.uid = credentials.uid;
    peer.gid = credentials.gid;
    length = sizeof peer.groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups, &length) == 0)
        peer.group_count = length / sizeof *peer.groups;
    return peer;
}

static bool peer_cred_is_in(const struct peer_cred *peer, gid_t gid)
{
    for (size_t i = 0; i < peer->group_count; i++)
        if (peer->groups[i] == gid)
            return true;
    return peer->gid == gid;
}

bool peer_cred_may(const struct peer_cred *peer, const struct peer_cred_door *door, uid_t manager)
{
    if (!peer->known)
        return false;
    return peer->uid == 0 || peer->uid == manager || (door->mode & S_IWOTH) != 0 ||
           ((door->mode & S_IWUSR) != 0 && peer->uid == door->uid) ||
           ((door->mode & S_IWGRP) != 0 && peer_cred_is_in(peer, door->gid));
}
