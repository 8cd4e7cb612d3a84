/* backoff.c: see backoff.h. */
#include "fpm/pool/backoff.h"

#include <signal.h>

/* Nobody crashes by these: somebody sent them. */
static bool backoff_sent_from_outside(int signal)
{
    return signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGQUIT ||
           signal == SIGHUP;
}

enum backoff_verdict backoff_judge(const struct backoff_death *death)
{
    int64_t lived = death->now - death->started;
    if (death->exec_failed)
        return BACKOFF_FAILED;
    if (death->asked || lived >= BACKOFF_GROWN_MS)
        return BACKOFF_RECYCLED;
    if (death->attached && death->served > 0)
        return BACKOFF_RECYCLED;
    bool settled = death->attached ? death->accepting : lived >= BACKOFF_SETTLED_MS;
    if (settled && backoff_sent_from_outside(death->signal))
        return BACKOFF_KILLED;
    if (settled && !death->attached && death->exit_status == 0)
        return BACKOFF_RECYCLED;
    return BACKOFF_FAILED;
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

int64_t backoff_wait(const struct backoff *backoff, int64_t now)
{
    if (backoff->failures == 0 || now >= backoff->until)
        return 0;
    return backoff->until - now;
}

int64_t backoff_note(struct backoff *backoff, const struct backoff_death *death, bool *news)
{
    if (news != NULL)
        *news = false;
    enum backoff_verdict verdict = backoff_judge(death);
    if (verdict == BACKOFF_RECYCLED)
        *backoff = (struct backoff){0};
    if (verdict != BACKOFF_FAILED)
        return backoff_wait(backoff, death->now);
    /* Workers started together fail together: one step for the lot. */
    if (backoff->failures > 0 && death->started <= backoff->last)
        return backoff_wait(backoff, death->now);
    /* The pool served, or nothing failed for as long as a worker takes to grow up: that was another
     * trouble. */
    if (death->pool_served || death->now - backoff->until >= BACKOFF_GROWN_MS)
        backoff->failures = 0;
    if (backoff_delay(backoff->failures) < BACKOFF_LONGEST_MS)
        backoff->failures++;
    if (news != NULL)
        *news = true;
    backoff->last = death->now;
    backoff->until = death->now + backoff_delay(backoff->failures);
    return backoff_wait(backoff, death->now);
}
