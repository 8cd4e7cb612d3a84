/* request_tracking.c: see request_tracking.h. */
#include "fpm/pool/request_tracking.h"

#include "sapi-shim/util/clock.h"

#include <sys/param.h>
#include <sys/random.h>

static struct {
    struct {
        uint64_t id;
        struct request_tracking last; /* REQUEST_TRACKING_UNSEEN: no worker ended with it */
    } entries[REQUEST_TRACKING_MAX];
    unsigned begun;
} request_tracking_table;

uint64_t request_tracking_begin(void)
{
    uint64_t id = 0;
    if (getrandom(&id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id || id == 0)
        return 0;
    unsigned at = request_tracking_table.begun++ % REQUEST_TRACKING_MAX;
    request_tracking_table.entries[at].id = id;
    request_tracking_table.entries[at].last = (struct request_tracking){0};
    return id;
}

/* What the slot says is copied and checked, never followed as a pointer. */
static bool request_tracking_read(const struct ot_record *record, uint64_t id,
                                  struct request_tracking *out)
{
    for (unsigned i = 0; i < OT_TRACKING_MAX; i++) {
        const struct ot_tracking *found = &record->tracking[i];
        if (found->id != id)
            continue;
        out->at = found->ended_at;
        out->state = found->ended_at == OT_TRACKING_LOST ? REQUEST_TRACKING_LOST
                     : found->ended_at == 0              ? REQUEST_TRACKING_RUNNING
                                                         : REQUEST_TRACKING_ENDED;
        return true;
    }
    return false;
}

bool request_tracking_look(uint64_t id, const struct scoreboard *scoreboard, unsigned slot,
                           pid_t pid, struct request_tracking *out)
{
    struct ot_record record;
    *out = (struct request_tracking){.state = REQUEST_TRACKING_UNSEEN};
    for (unsigned i = 0; id != 0 && scoreboard_thread_dead(scoreboard, slot, i, &record); i++) {
        bool whole = slot_view_thread(scoreboard_slot(scoreboard, slot), i, &record);
        if (whole && request_tracking_read(&record, id, out)) {
            out->pid = pid;
            return true;
        }
        /* The record is being changed, which may take long on a busy machine. */
        if (!whole)
            out->state = REQUEST_TRACKING_RUNNING;
    }
    return false;
}

bool request_tracking_look_up_ended(uint64_t id, struct request_tracking *out)
{
    for (unsigned i = 0; i < REQUEST_TRACKING_MAX && id != 0; i++) {
        *out = request_tracking_table.entries[i].last;
        if (request_tracking_table.entries[i].id == id && out->state != REQUEST_TRACKING_UNSEEN)
            return true;
    }
    return false;
}

void request_tracking_note_end(const struct scoreboard *scoreboard, unsigned slot, pid_t pid)
{
    struct ot_record record;
    unsigned count = MIN(request_tracking_table.begun, (unsigned)REQUEST_TRACKING_MAX);
    if (count == 0)
        return;
    for (unsigned i = 0; scoreboard_thread_dead(scoreboard, slot, i, &record); i++) {
        for (unsigned j = 0; j < count; j++) {
            struct request_tracking found = {.pid = pid};
            if (!request_tracking_read(&record, request_tracking_table.entries[j].id, &found))
                continue;
            if (found.state == REQUEST_TRACKING_RUNNING) {
                found.state = REQUEST_TRACKING_DIED;
                found.at = clock_ns();
            }
            request_tracking_table.entries[j].last = found;
        }
    }
}
