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

bool peer_cred_may(const struct peer_cred *peer, const struct peer_cred_door *door, uid_t manager)
{
    bool member = peer->gid == door->gid;
    if (!peer->known)
        return false;
    for (size_t i = 0; i < peer->group_count; i++)
        member = member || peer->groups[i] == door->gid;
    return peer->uid == 0 || peer->uid == manager || (door->mode & S_IWOTH) != 0 ||
           ((door->mode & S_IWUSR) != 0 && peer->uid == door->uid) ||
           ((door->mode & S_IWGRP) != 0 && member);
}
