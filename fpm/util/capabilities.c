/* capabilities.c: see capabilities.h. */
#include "fpm/util/capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CAPABILITIES_WORDS = _LINUX_CAPABILITY_U32S_3,
    CAPABILITIES_MAX = 32 * CAPABILITIES_WORDS
};

static struct __user_cap_header_struct capabilities_header(void)
{
    return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
}

/* A kernel without ambient capabilities says EINVAL. */
static int capabilities_clear_ambient(void)
{
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 || errno == EINVAL ? 0
                                                                                            : -1;
}

int capabilities_clear_inherited(bool bounding)
{
    struct __user_cap_header_struct header = capabilities_header();
    struct __user_cap_data_struct sets[CAPABILITIES_WORDS];
    if (capabilities_clear_ambient() != 0 || syscall(SYS_capget, &header, sets) != 0)
        return -1;
    for (size_t i = 0; i < CAPABILITIES_WORDS; i++)
        sets[i].inheritable = 0;
    if (syscall(SYS_capset, &header, sets) != 0)
        return -1;
    /* The first number that the kernel does not know ends the set. */
    for (int number = 0; bounding && number < CAPABILITIES_MAX; number++)
        if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0)
            break;
    return 0;
}

int capabilities_drop(int keep)
{
    struct __user_cap_header_struct header = capabilities_header();
    struct __user_cap_data_struct sets[CAPABILITIES_WORDS];
    if (capabilities_clear_ambient() != 0 || syscall(SYS_capget, &header, sets) != 0)
        return -1;
    uint32_t held = 0;
    for (int i = 0; i < CAPABILITIES_WORDS; i++) {
        uint32_t kept = keep >= 32 * i && keep < 32 * (i + 1) ? UINT32_C(1) << (keep % 32) : 0;
        kept &= sets[i].permitted;
        held |= kept;
        sets[i].effective = sets[i].permitted = sets[i].inheritable = kept;
    }
    if (syscall(SYS_capset, &header, sets) != 0)
        return -1;
    return held != 0 ? prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, keep, 0, 0) : 0;
}
