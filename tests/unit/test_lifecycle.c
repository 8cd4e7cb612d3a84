/* test_lifecycle.c: the table of a request's life: every pair, and random lives against a model. */
#include "sapi-shim/request/lifecycle.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>

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
    cr_assert_eq(state == LIFECYCLE_ENDED, m->ended);
    if (!m->ended) {
        cr_assert_eq(state == LIFECYCLE_SHUTDOWN_OPEN || state == LIFECYCLE_SHUTDOWN, m->left);
        cr_assert_eq(state == LIFECYCLE_POST || state == LIFECYCLE_SHUTDOWN, m->answered);
    }
    cr_assert_eq(aborted, m->aborted);
    cr_assert_eq(late, m->late);
    cr_assert_eq(ends, m->ends);
    cr_assert_leq(ends, 1);
}

Test(lifecycle, random_lives_agree_with_the_model)
{
    srand(20261122);
    for (int life = 0; life < 200000; life++) {
        struct model m = {.left = false};
        enum lifecycle_state state = LIFECYCLE_RUNNING;
        bool aborted = false;
        bool late = false;
        int ends = 0;
        int length = 1 + rand() % 30;
        for (int i = 0; i < length; i++) {
            enum lifecycle_event event = (enum lifecycle_event)(rand() % LIFECYCLE_EVENTS);
            const struct lifecycle_row *row = lifecycle_step(state, event);
            cr_assert_eq((row->actions & LIFECYCLE_IMPOSSIBLE) == 0, model_allows(&m, event),
                         "\"%s\" in state %s", row->name, lifecycle_name(state));
            if (row->actions & LIFECYCLE_IMPOSSIBLE)
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
