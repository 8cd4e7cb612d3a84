/* test_peer_cred.c: which users may command the manager, by the control socket's owner, group and
 * mode. */
#include "fpm/control/peer_cred.h"

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MANAGER = 500,
    OWNER = 600,
    GROUP = 700,
    OTHER = 800
};

Test(peer, who_may)
{
    static const struct {
        uid_t uid;
        gid_t gid, extra;
        int mode;
        bool may;
        const char *what;
    } cases[] = {
        {0, 0, 0, 0, true, "root, for any mode"},
        {MANAGER, 1, 1, 0, true, "the manager's own user"},
        {OWNER, 1, 1, 0600, true, "the owner"},
        {OWNER, 1, 1, 0400, false, "an owner without the right to write"},
        {OWNER, 1, 1, 0060, false, "an owner where the group alone may"},
        {OTHER, 1, 1, 0600, false, "another"},
        {OTHER, GROUP, 1, 0600, false, "the group, where the owner alone may"},
        {OTHER, GROUP, 1, 0660, true, "the group as the first one"},
        {OTHER, 1, GROUP, 0660, true, "the group among the others"},
        {OTHER, GROUP, 1, 0640, false, "a group that may only read"},
        {OTHER, 1, 1, 0660, false, "neither owner nor group"},
        {OTHER, 1, 1, 0666, true, "everybody"},
        {OTHER, 1, 1, 0664, false, "everybody may only read"},
    };
    const struct peer_cred_door door = {.uid = OWNER, .gid = GROUP};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer_cred peer = {.known = true,
                                 .uid = cases[i].uid,
                                 .gid = cases[i].gid,
                                 .group_count = 1,
                                 .groups = {cases[i].extra}};
        struct peer_cred_door with = door;
        with.mode = cases[i].mode;
        cr_expect(peer_cred_may(&peer, &with, MANAGER) == cases[i].may, "%s", cases[i].what);
        peer.known = false;
        cr_expect(!peer_cred_may(&peer, &with, MANAGER), "%s, but not known", cases[i].what);
    }
}

Test(peer, the_kernel_knows)
{
    int ends[2];
    gid_t own[PEER_CRED_GROUPS_MAX];
    int count = getgroups(PEER_CRED_GROUPS_MAX, own);
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    struct peer_cred peer = peer_cred_look(ends[0]);
    cr_expect(peer.known && peer.uid == geteuid() && peer.gid == getegid());
    cr_expect(count < 0 || peer.group_count == (size_t)count);
    cr_assert(close(ends[0]) == 0 && close(ends[1]) == 0);
    cr_expect(!peer_cred_look(-1).known);
}
