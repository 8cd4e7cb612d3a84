/* inheritance.c: see inheritance.h. */
#include "sapi-shim/scoreboard/inheritance.h"

#include "sapi-shim/util/diagnostics.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum inheritance_fault {
    INHERITANCE_FINE,
    INHERITANCE_OTHER_VERSION,
    INHERITANCE_UNUSABLE
};

static struct {
    enum inheritance_fault fault;
    int error;         /* with INHERITANCE_UNUSABLE: an errno, 0 = the layout is wrong */
    struct stat board; /* of OT_FD_BOARD */
} inheritance_seen;

/* ---- the scoreboard ---- */

static bool inheritance_fits(const struct ot_board *board, size_t size, unsigned slot)
{
    return board->magic == OT_BOARD_MAGIC && board->version == OT_CONTRACT_VERSION &&
           board->slot_stride >= sizeof(struct ot_slot) && slot < board->slot_count &&
           board->settings_size == sizeof(struct ot_settings) &&
           board->slots_offset >= sizeof *board &&
           (size - board->slots_offset) / board->slot_stride >= board->slot_count &&
           board->members_offset >= sizeof *board && board->members_offset <= size &&
           (size - board->members_offset) / sizeof(struct ot_member) >= board->slot_count;
}

static void inheritance_map(struct inheritance *found)
{
    size_t size = (size_t)inheritance_seen.board.st_size;
    if (inheritance_seen.error != 0 || size < sizeof(struct ot_board))
        return;
    errno = 0;
    const struct ot_board *board = mmap(NULL, size, PROT_READ, MAP_SHARED, OT_FD_BOARD, 0);
    void *own = MAP_FAILED;
    if (board != MAP_FAILED && inheritance_fits(board, size, found->slot))
        own = mmap(NULL, sizeof(struct ot_slot), PROT_READ | PROT_WRITE, MAP_SHARED, OT_FD_SLOT,
                   (off_t)board->slots_offset + (off_t)found->slot * board->slot_stride);
    if (own != MAP_FAILED) {
        found->board = board;
        found->size = size;
        found->own = own;
        return;
    }
    inheritance_seen.error = errno;
    if (board != MAP_FAILED)
        (void)munmap((void *)(uintptr_t)board, size);
}

/* ---- LD_PRELOAD ---- */

/* The list without the library's own file; the caller frees it. NULL if it is not in the list, or
 * without memory. */
static char *inheritance_other_preloads(void)
{
    Dl_info self;
    const char *list = getenv("LD_PRELOAD");
    if (list == NULL || dladdr((const void *)&inheritance_seen, &self) == 0 ||
        self.dli_fname == NULL)
        return NULL;
    const char *slash = strrchr(self.dli_fname, '/');
    const char *name = slash != NULL ? slash + 1 : self.dli_fname;
    char *copy = strdup(list);
    char *others = calloc(1, strlen(list) + 1);
    char *rest = NULL;
    bool found = false;
    size_t at = 0;
    if (copy == NULL || others == NULL) {
        free(copy);
        free(others);
        return NULL;
    }
    for (char *entry = strtok_r(copy, ": ", &rest); entry != NULL;
         entry = strtok_r(NULL, ": ", &rest)) {
        const char *base = strrchr(entry, '/');
        if (strcmp(base != NULL ? base + 1 : entry, name) == 0) {
            found = true;
            continue;
        }
        size_t length = strlen(entry);
        if (at > 0)
            others[at++] = ':';
        memcpy(others + at, entry, length);
        at += length;
    }
    free(copy);
    if (found)
        return others;
    free(others);
    return NULL;
}

/* ---- load and take ---- */

struct inheritance inheritance_load(void)
{
    struct inheritance found = {.given = false};
    unsigned version = 0;
    char junk;
    const char *text = getenv(OT_CONTRACT_ENV);
    if (text == NULL)
        return found;
    found.given = true;
    inheritance_seen.error = fstat(OT_FD_BOARD, &inheritance_seen.board) == 0 ? 0 : errno;
    if (sscanf(text, "%u %u%c", &version, &found.slot, &junk) != 2 ||
        version != OT_CONTRACT_VERSION) {
        inheritance_seen.fault = INHERITANCE_OTHER_VERSION;
        return found;
    }
    inheritance_map(&found);
    if (found.board == NULL) {
        inheritance_seen.fault = INHERITANCE_UNUSABLE;
        return found;
    }
    char *others = inheritance_other_preloads();
    (void)atomic_fetch_or(&found.own->loaded,
                          others != NULL ? OT_LOADED_PRELOADED : OT_LOADED_LINKED);
    free(others);
    return found;
}

/* Are the contract's descriptors still what the manager made them? Both are of one file. */
static bool inheritance_intact(void)
{
    struct stat board, slot;
    return inheritance_seen.board.st_ino != 0 && fstat(OT_FD_BOARD, &board) == 0 &&
           fstat(OT_FD_SLOT, &slot) == 0 && board.st_ino == inheritance_seen.board.st_ino &&
           board.st_dev == inheritance_seen.board.st_dev && slot.st_ino == board.st_ino &&
           slot.st_dev == board.st_dev;
}

void inheritance_take(struct inheritance *found)
{
    char *others = inheritance_other_preloads();
    if (others != NULL)
        (void)(*others != '\0' ? setenv("LD_PRELOAD", others, 1) : unsetenv("LD_PRELOAD"));
    free(others);
    if (!found->given)
        return;
    found->intact = inheritance_intact();
    if (found->intact && inheritance_seen.fault != INHERITANCE_OTHER_VERSION) {
        diagnostics_attach(fcntl(OT_FD_MESSAGES, F_DUPFD_CLOEXEC, OT_FD_FIRST_FREE));
        (void)close(OT_FD_MESSAGES);
    }
    const char *text = getenv(OT_CONTRACT_ENV);
    if (inheritance_seen.fault == INHERITANCE_OTHER_VERSION)
        diagnostics_error(
            "the manager speaks contract version \"%s\", this library version %u: running without "
            "status and policies of the pool; install matching versions",
            text != NULL ? text : "", OT_CONTRACT_VERSION);
    else if (inheritance_seen.fault == INHERITANCE_UNUSABLE)
        diagnostics_error(
            "the scoreboard handed over by the manager cannot be used (%s); running without it",
            inheritance_seen.error != 0 ? strerror(inheritance_seen.error) : "wrong layout");
    (void)unsetenv(OT_CONTRACT_ENV);
    if (!found->intact)
        return;
    (void)close(OT_FD_BOARD);
    (void)close(OT_FD_SLOT);
}
