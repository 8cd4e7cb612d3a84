/* backoff.c: see backoff.h. */
#include "fpm/pool/backoff.h"

#include "fpm/util/invariant.h"

#include <signal.h>
#include <stdlib.h>

enum backoff_verdict backoff_judge(const struct backoff_death *death)
{
    int64_t lived = death->now - death->started;
    if (death->exec_failed)
        return BACKOFF_FAILED;
    if (death->stopped || lived >= BACKOFF_STABLE_MS || (death->attached && death->served > 0))
        return BACKOFF_RECYCLED;
    bool useful = death->accepting || (!death->attached && lived >= BACKOFF_USEFUL_MS);
    if (!useful)
        return BACKOFF_FAILED;
    /* No program crashes by these signals: another process sent them. */
    if (death->signal == SIGKILL || death->signal == SIGTERM || death->signal == SIGINT ||
        death->signal == SIGQUIT || death->signal == SIGHUP)
        return BACKOFF_KILLED;
    return !death->attached && death->exit_status == 0 ? BACKOFF_RECYCLED : BACKOFF_FAILED;
}

int64_t backoff_delay(unsigned failures)
{
    if (failures == 0)
        return 0;
    int64_t delay = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < failures && delay < BACKOFF_LONGEST_MS; i++)
        delay *= 2;
    return delay < BACKOFF_LONGEST_MS ? delay : BACKOFF_LONGEST_MS;
}

/* What a worker says of its requests may be a lie; how long it lived is what the manager sees. So
 * however early ends are judged, they are replaced at a rate, after a burst. */
int64_t backoff_rate_wait(const struct backoff *backoff, int64_t now)
{
    int64_t from = backoff->early - BACKOFF_BURST * 1000 / BACKOFF_RATE;
    return now < from ? from - now : 0;
}

static void backoff_note_early(struct backoff *backoff, const struct backoff_death *death)
{
    if (death->stopped || death->now - death->started >= BACKOFF_EARLY_MS)
        return;
    if (backoff->early < death->now)
        backoff->early = death->now;
    backoff->early += 1000 / BACKOFF_RATE;
}

int64_t backoff_wait(const struct backoff *backoff, int64_t now)
{
    int64_t rate = backoff_rate_wait(backoff, now);
    int64_t failures = backoff->failures > 0 && now < backoff->until ? backoff->until - now : 0;
    return rate > failures ? rate : failures;
}

int64_t backoff_note(struct backoff *backoff, const struct backoff_death *death, bool *new_step)
{
    enum backoff_verdict verdict = backoff_judge(death);
    backoff_note_early(backoff, death);
    /* Workers that were started together fail together: one step for all of them. */
    bool counts =
        verdict == BACKOFF_FAILED && (backoff->failures == 0 || death->started > backoff->last);
    if (new_step != NULL)
        *new_step = counts;
    if (verdict == BACKOFF_RECYCLED)
        *backoff = (struct backoff){.early = backoff->early};
    if (!counts)
        return backoff_wait(backoff, death->now);
    /* Earlier failures had another cause if the pool has served since, or if nothing failed for as
     * long as it takes a worker to be stable. */
    if (death->pool_served || death->now - backoff->until >= BACKOFF_STABLE_MS)
        backoff->failures = 0;
    if (backoff_delay(backoff->failures) < BACKOFF_LONGEST_MS)
        backoff->failures++;
    INVARIANT(backoff->failures > 0 && backoff_delay(backoff->failures) <= BACKOFF_LONGEST_MS);
    backoff->last = death->now;
    backoff->until = death->now + backoff_delay(backoff->failures);
    return backoff_wait(backoff, death->now);
}

bool backoff_note_crash(struct backoff_crashes *crashes, size_t threshold, int64_t interval_ms,
                        int64_t now)
{
    if (threshold == 0 || interval_ms <= 0)
        return false;
    if (crashes->size != threshold) {
        backoff_free_crashes(crashes);
        crashes->at = calloc(threshold, sizeof *crashes->at);
        if (crashes->at == NULL)
            return false;
        crashes->size = threshold;
    }
    INVARIANT(crashes->next < crashes->size && crashes->count <= crashes->size);
    crashes->at[crashes->next] = now;
    crashes->next = (crashes->next + 1) % crashes->size;
    crashes->count += crashes->count < crashes->size;
    /* Once the ring is full, its next place holds the oldest. */
    if (crashes->count < crashes->size || now - crashes->at[crashes->next] > interval_ms)
        return false;
    crashes->count = crashes->next = 0;
    return true;
}

void backoff_free_crashes(struct backoff_crashes *crashes)
{
    free(crashes->at);
    *crashes = (struct backoff_crashes){0};
}
