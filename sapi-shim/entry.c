/* entry.c: see entry.h. */
#include "sapi-shim/entry.h"
#include "sapi-shim/access.h"
#include "sapi-shim/clock.h"
#include "sapi-shim/slot.h"

#include <sys/resource.h>

enum {
    ENTRY_STATUS = 200,     /* of a response that says nothing */
    ENTRY_STATUS_GONE = 499 /* of a client that left before there was one */
};

struct format_facts entry_unknown(void)
{
    return (struct format_facts){
        .content_length = FORMAT_UNKNOWN,
        .sent = FORMAT_UNKNOWN,
        .discarded = FORMAT_UNKNOWN,
        .began = FORMAT_UNKNOWN,
        .ended = FORMAT_UNKNOWN,
        .duration = FORMAT_UNKNOWN,
        .answer = FORMAT_UNKNOWN,
        .post_response = FORMAT_UNKNOWN,
        .shutdown = FORMAT_UNKNOWN,
        .cpu_user = FORMAT_UNKNOWN,
        .cpu_system = FORMAT_UNKNOWN,
        .memory = FORMAT_UNKNOWN,
    };
}

/* ---- what the kernel is asked for where the format does ---- */

static int64_t entry_time(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_usec * 1000;
}

static void entry_cpu_begin(struct entry *entry)
{
    struct rusage usage;
    if ((access_needs() & FORMAT_NEEDS_CPU) == 0 || getrusage(RUSAGE_THREAD, &usage) != 0)
        return;
    entry->cpu_user = entry_time(usage.ru_utime);
    entry->cpu_system = entry_time(usage.ru_stime);
    entry->thread = pthread_self();
}

/* A request that two threads served has no processor time of its own. */
static void entry_cpu_end(const struct entry *entry, struct format_facts *facts)
{
    struct rusage usage;
    if ((access_needs() & FORMAT_NEEDS_CPU) == 0 || entry->cpu_user < 0 ||
        !pthread_equal(entry->thread, pthread_self()) || getrusage(RUSAGE_THREAD, &usage) != 0)
        return;
    facts->cpu_user = entry_time(usage.ru_utime) - entry->cpu_user;
    facts->cpu_system = entry_time(usage.ru_stime) - entry->cpu_system;
}

static void entry_memory(struct format_facts *facts)
{
    struct rusage usage;
    if ((access_needs() & FORMAT_NEEDS_MEMORY) != 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        facts->memory = (int64_t)usage.ru_maxrss * 1024;
}

/* ---- a request ---- */

void entry_begin(struct entry *entry, struct ot_record *record, uint64_t accepted_at,
                 const char *remote, const char *user)
{
    if (!access_on())
        return;
    *entry = (struct entry){
        .number = record->requests, .accepted_at = accepted_at, .cpu_user = FORMAT_UNKNOWN};
    record->http_status = 0;
    record->response_bytes = 0;
    record->request_discarded = 0;
    slot_text(record->remote, sizeof record->remote, remote);
    slot_text(record->user, sizeof record->user, user);
    entry_cpu_begin(entry);
}

void entry_sent(struct entry *entry, struct ot_record *record, size_t bytes, unsigned status)
{
    entry->sent += bytes;
    slot_begin(record);
    record->response_bytes = entry->sent;
    record->http_status = status;
    slot_end(record);
}

void entry_discarded(struct entry *entry, struct ot_record *record, size_t bytes)
{
    entry->discarded += bytes;
    record->request_discarded = entry->discarded;
}

void entry_detach(struct ot_record *record)
{
    record->logged = record->requests;
}

static enum format_outcome entry_outcome(unsigned bits)
{
    if (bits & OT_BIT_TIMEOUT)
        return FORMAT_TIMEOUT;
    return bits & OT_BIT_ABORTED ? FORMAT_ABORTED : FORMAT_OK;
}

static unsigned entry_status(const struct format_facts *facts)
{
    if (facts->status != 0 || facts->outcome == FORMAT_TIMEOUT)
        return facts->status;
    return facts->outcome == FORMAT_ABORTED ? ENTRY_STATUS_GONE : ENTRY_STATUS;
}

/* Of stamps a worker writes itself the earlier is never above the later. */
static void entry_durations(const struct entry *entry, uint64_t functions_at, uint64_t now,
                            struct format_facts *facts)
{
    uint64_t wall = clock_read(CLOCK_REALTIME);
    facts->ended = (int64_t)wall;
    facts->began = (int64_t)(wall - (now - entry->accepted_at));
    facts->duration = (int64_t)(now - entry->accepted_at);
    facts->post_response = 0;
    facts->shutdown = (int64_t)(functions_at - entry->shutdown_at);
    if ((facts->bits & OT_BIT_ABORTED) == 0)
        facts->answer = (int64_t)(entry->finished_at - entry->accepted_at);
    if (entry->finished_at < entry->shutdown_at)
        facts->post_response = (int64_t)(entry->shutdown_at - entry->finished_at);
}

/* The mark comes after the line: a worker that is killed between the two owes nothing, but the
 * manager cannot know; the writer then sees both lines and drops the second. */
void entry_end(struct entry *entry, struct ot_record *record, int thread, uint64_t functions_at,
               struct format_facts *facts)
{
    uint64_t now = clock_now();
    facts->outcome = entry_outcome(facts->bits);
    facts->status = entry_status(facts);
    facts->sent = (int64_t)entry->sent;
    facts->discarded = (int64_t)entry->discarded;
    entry_durations(entry, functions_at, now, facts);
    entry_cpu_end(entry, facts);
    entry_memory(facts);
    if (thread < 0) {
        (void)access_write(0, 0, facts);
        return;
    }
    bool written = access_write((unsigned)thread, entry->number, facts);
    slot_begin(record);
    record->logged = entry->number;
    record->unlogged += !written;
    slot_end(record);
}

void entry_dropped(struct ot_record *record, int thread, unsigned status, uint64_t accepted_at,
                   const struct format_facts *known)
{
    struct format_facts facts = known != NULL ? *known : entry_unknown();
    bool written = true;
    if (access_on()) {
        uint64_t wall = clock_read(CLOCK_REALTIME);
        facts.outcome = FORMAT_DROPPED;
        facts.status = status;
        facts.began = facts.ended = (int64_t)wall;
        if (accepted_at != 0) {
            facts.duration = (int64_t)(clock_now() - accepted_at);
            facts.began -= facts.duration;
        }
        written = access_write(thread < 0 ? 0 : (unsigned)thread, 0, &facts);
    }
    slot_begin(record);
    record->dropped++;
    record->unlogged += !written;
    slot_end(record);
}
