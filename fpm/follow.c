/* follow.c: see follow.h. */
#include "fpm/follow.h"

#include "fpm/clock.h"

#include <sys/random.h>

static struct {
    struct {
        uint64_t mark;
        struct follow last; /* FOLLOW_UNSEEN: no worker died with it */
    } entries[FOLLOW_MAX];
    unsigned begun;
} follow_table;

uint64_t follow_begin(void)
{
    uint64_t mark = 0;
    if (getrandom(&mark, sizeof mark, GRND_NONBLOCK) != (ssize_t)sizeof mark || mark == 0)
        return 0;
    unsigned at = follow_table.begun++ % FOLLOW_MAX;
    follow_table.entries[at].mark = mark;
    follow_table.entries[at].last = (struct follow){0};
    return mark;
}

/* What the slot says of the mark is copied and judged, never followed. */
static bool follow_read(const struct ot_record *record, uint64_t mark, struct follow *out)
{
    for (unsigned i = 0; i < OT_MARKS; i++) {
        const struct ot_mark *found = &record->marks[i];
        if (found->mark != mark)
            continue;
        out->at = found->ended_at;
        out->state = found->ended_at == OT_MARK_LOST ? FOLLOW_LOST
                     : found->ended_at == 0          ? FOLLOW_RUNNING
                                                     : FOLLOW_ENDED;
        return true;
    }
    return false;
}

bool follow_look(uint64_t mark, const struct scoreboard *scoreboard, unsigned slot, pid_t pid,
                 struct follow *out)
{
    struct ot_record record;
    *out = (struct follow){.state = FOLLOW_UNSEEN};
    for (unsigned i = 0; mark != 0 && scoreboard_inherit(scoreboard, slot, i, &record); i++) {
        bool whole = scoreboard_thread(scoreboard, slot, i, &record);
        if (whole && follow_read(&record, mark, out)) {
            out->pid = pid;
            return true;
        }
        /* In the middle of a change, whose end may be long in coming on a busy machine. */
        if (!whole)
            out->state = FOLLOW_RUNNING;
    }
    return false;
}

bool follow_remember(uint64_t mark, struct follow *out)
{
    for (unsigned i = 0; i < FOLLOW_MAX && mark != 0; i++) {
        *out = follow_table.entries[i].last;
        if (follow_table.entries[i].mark == mark && out->state != FOLLOW_UNSEEN)
            return true;
    }
    return false;
}

void follow_bury(const struct scoreboard *scoreboard, unsigned slot, pid_t pid)
{
    struct ot_record record;
    unsigned count = follow_table.begun < FOLLOW_MAX ? follow_table.begun : FOLLOW_MAX;
    if (count == 0)
        return;
    for (unsigned i = 0; scoreboard_inherit(scoreboard, slot, i, &record); i++) {
        for (unsigned j = 0; j < count; j++) {
            struct follow found = {.pid = pid};
            if (!follow_read(&record, follow_table.entries[j].mark, &found))
                continue;
            if (found.state == FOLLOW_RUNNING) {
                found.state = FOLLOW_DIED;
                found.at = (uint64_t)clock_ns();
            }
            follow_table.entries[j].last = found;
        }
    }
}
