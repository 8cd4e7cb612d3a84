/* test_lifecycle.c: the table of a request's life: every pair, and all lives up to eight events
 * against a model. */
#include "sapi-shim/request/lifecycle.h"

#include <criterion/criterion.h>
#include <stdbool.h>

Test(lifecycle, every_pair_has_a_name_and_stays_in_the_table)
{
    for (int s = 0; s < LIFECYCLE_STATES; s++) {
        cr_assert_not_null(lifecycle_name((enum lifecycle_state)s));
        for (int e = 0; e < LIFECYCLE_EVENTS; e++) {
            const struct lifecycle_row *row =
                lifecycle_step((enum lifecycle_state)s, (enum lifecycle_event)e);
            cr_assert_not_null(row->name, "state %d, event %d", s, e);
            cr_assert_lt(row->next, LIFECYCLE_STATES);
            if (row->actions & LIFECYCLE_IMPOSSIBLE) {
                cr_assert_eq((int)row->next, s, "impossible moves nothing: %s", row->name);
                cr_assert_eq(row->actions, LIFECYCLE_IMPOSSIBLE);
            }
        }
    }
}

/* Only these pairs may complete a response; a second END_REQUEST would need another one. */
Test(lifecycle, only_open_states_respond_and_leave_openness)
{
    for (int s = 0; s < LIFECYCLE_STATES; s++)
        for (int e = 0; e < LIFECYCLE_EVENTS; e++) {
            const struct lifecycle_row *row =
                lifecycle_step((enum lifecycle_state)s, (enum lifecycle_event)e);
            bool open = s == LIFECYCLE_RUNNING || s == LIFECYCLE_SHUTDOWN_OPEN;
            if (row->actions & LIFECYCLE_RESPOND) {
                cr_assert(open, "%s", row->name);
                cr_assert(row->next != LIFECYCLE_RUNNING && row->next != LIFECYCLE_SHUTDOWN_OPEN);
            }
        }
}

Test(lifecycle, abort_after_the_response_changes_nothing)
{
    cr_assert_eq(lifecycle_step(LIFECYCLE_POST, LIFECYCLE_ABORT)->actions, LIFECYCLE_NOTHING);
    cr_assert_eq(lifecycle_step(LIFECYCLE_SHUTDOWN, LIFECYCLE_ABORT)->actions, LIFECYCLE_NOTHING);
}

/* The model: flags instead of states. */
struct model {
    bool left;     /* the application's part is over */
    bool answered; /* the response is complete */
    bool ended;    /* the request is over */
    bool aborted;
    bool late;
    int ends; /* END_REQUESTs of this request */
};

/* Nothing but an END out of turn is impossible. */
static bool model_allows(const struct model *m, enum lifecycle_event event)
{
    return event != LIFECYCLE_END || (m->left && !m->ended);
}

static void model_answer(struct model *m)
{
    if (!m->answered)
        m->ends++;
    m->answered = true;
}

static void model_apply(struct model *m, enum lifecycle_event event)
{
    if (m->ended)
        return;
    switch (event) {
    case LIFECYCLE_ABORT:
        m->aborted = m->aborted || !m->answered;
        break;
    case LIFECYCLE_TIMEOUT:
        m->late = true;
        break;
    case LIFECYCLE_FINISH:
        model_answer(m);
        break;
    case LIFECYCLE_LEAVE:
        m->left = true;
        break;
    case LIFECYCLE_END:
        model_answer(m);
        m->ended = true;
        break;
    default:
        break;
    }
}

static void check(const struct model *m, enum lifecycle_state state, bool aborted, bool late,
                  int ends)
{
    bool left = state == LIFECYCLE_SHUTDOWN_OPEN || state == LIFECYCLE_SHUTDOWN;
    bool answered = state == LIFECYCLE_POST || state == LIFECYCLE_SHUTDOWN;
    bool ended = state == LIFECYCLE_ENDED;
    /* One assertion: it costs microseconds. */
    if (ended != m->ended || (!ended && (left != m->left || answered != m->answered)) ||
        aborted != m->aborted || late != m->late || ends != m->ends || ends > 1)
        cr_assert_fail("state %s is not the model's", lifecycle_name(state));
}

/* 5 states with 4 kinds of flags: within eight events everything has happened. */
Test(lifecycle, all_lives_of_eight_events_agree_with_the_model)
{
    for (unsigned long number = 0; number < 390625; number++) { /* 5 to the power of 8 */
        struct model m = {.left = false};
        enum lifecycle_state state = LIFECYCLE_RUNNING;
        bool aborted = false;
        bool late = false;
        int ends = 0;
        unsigned long events = number;
        for (int i = 0; i < 8; i++, events /= LIFECYCLE_EVENTS) {
            enum lifecycle_event event = (enum lifecycle_event)(events % LIFECYCLE_EVENTS);
            const struct lifecycle_row *row = lifecycle_step(state, event);
            bool impossible = row->actions & LIFECYCLE_IMPOSSIBLE;
            if (impossible == model_allows(&m, event))
                cr_assert_fail("\"%s\" in state %s", row->name, lifecycle_name(state));
            if (impossible)
                continue;
            aborted = aborted || (row->actions & LIFECYCLE_SET_ABORTED);
            late = late || (row->actions & LIFECYCLE_SET_TIMEOUT);
            ends += (row->actions & LIFECYCLE_RESPOND) != 0;
            state = row->next;
            model_apply(&m, event);
            check(&m, state, aborted, late, ends);
        }
    }
}
