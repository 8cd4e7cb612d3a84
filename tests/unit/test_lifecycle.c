/* test_lifecycle.c: the table of a request's life: every pair, and random lives against a model. */
#include "sapi-shim/request/lifecycle.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>

Test(lifecycle, every_pair_has_a_name_and_stays_in_the_table)
{
    for (int s = 0; s < LIFE_STATES; s++) {
        cr_assert_not_null(life_name((enum life_state)s));
        for (int e = 0; e < LIFE_EVENTS; e++) {
            const struct life_row *row = life_step((enum life_state)s, (enum life_event)e);
            cr_assert_not_null(row->name, "state %d, event %d", s, e);
            cr_assert_lt(row->next, LIFE_STATES);
            if (row->actions & LIFE_IMPOSSIBLE) {
                cr_assert_eq((int)row->next, s, "impossible moves nothing: %s", row->name);
                cr_assert_eq(row->actions, LIFE_IMPOSSIBLE);
            }
        }
    }
}

/* Only these pairs may complete a response; a second END_REQUEST would need another one. */
Test(lifecycle, only_open_states_respond_and_leave_openness)
{
    for (int s = 0; s < LIFE_STATES; s++)
        for (int e = 0; e < LIFE_EVENTS; e++) {
            const struct life_row *row = life_step((enum life_state)s, (enum life_event)e);
            bool open = s == LIFE_RUNNING || s == LIFE_SHUTDOWN_OPEN;
            if (row->actions & LIFE_RESPOND) {
                cr_assert(open, "%s", row->name);
                cr_assert(row->next != LIFE_RUNNING && row->next != LIFE_SHUTDOWN_OPEN);
            }
        }
}

Test(lifecycle, abort_after_the_response_changes_nothing)
{
    cr_assert_eq(life_step(LIFE_POST, LIFE_ABORT)->actions, LIFE_NOTHING);
    cr_assert_eq(life_step(LIFE_SHUTDOWN, LIFE_ABORT)->actions, LIFE_NOTHING);
}

/* The model: flags instead of states. */
struct model {
    bool seen;     /* a request header is there */
    bool begun;    /* the application has it */
    bool left;     /* the application's part is over */
    bool answered; /* the response is complete */
    bool aborted;
    bool late;
    int ends; /* END_REQUESTs of this request */
};

static bool model_allows(const struct model *m, enum life_event event)
{
    switch (event) {
    case LIFE_TAKE:
        return !m->seen;
    case LIFE_REFUSE:
    case LIFE_BEGIN:
        return m->seen && !m->begun;
    case LIFE_END:
        return m->left;
    case LIFE_ABORT:
        return true;
    default:
        return !m->seen || m->begun;
    }
}

static void model_answer(struct model *m)
{
    if (!m->answered)
        m->ends++;
    m->answered = true;
}

static void model_apply(struct model *m, enum life_event event)
{
    switch (event) {
    case LIFE_TAKE:
        *m = (struct model){.seen = true};
        break;
    case LIFE_BEGIN:
        m->begun = true;
        break;
    case LIFE_ABORT:
        m->aborted = m->aborted || (m->seen && !m->answered);
        break;
    case LIFE_TIMEOUT:
        m->late = m->late || m->begun;
        break;
    case LIFE_FINISH:
        if (m->begun)
            model_answer(m);
        break;
    case LIFE_LEAVE:
        m->left = m->begun;
        break;
    case LIFE_END:
        model_answer(m);
        m->seen = m->begun = m->left = false;
        break;
    case LIFE_REFUSE:
        m->seen = false;
        break;
    default:
        break;
    }
}

static void check(const struct model *m, enum life_state state, bool aborted, bool late, int ends)
{
    cr_assert_eq(state == LIFE_IDLE, !m->seen);
    cr_assert_eq(state == LIFE_READING, m->seen && !m->begun);
    if (m->begun) {
        cr_assert_eq(state == LIFE_SHUTDOWN_OPEN || state == LIFE_SHUTDOWN, m->left);
        cr_assert_eq(state == LIFE_POST || state == LIFE_SHUTDOWN, m->answered);
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
        struct model m = {.seen = false};
        enum life_state state = LIFE_IDLE;
        bool aborted = false;
        bool late = false;
        int ends = 0;
        int length = 1 + rand() % 30;
        for (int i = 0; i < length; i++) {
            enum life_event event = (enum life_event)(rand() % LIFE_EVENTS);
            const struct life_row *row = life_step(state, event);
            cr_assert_eq((row->actions & LIFE_IMPOSSIBLE) == 0, model_allows(&m, event),
                         "\"%s\" in state %s", row->name, life_name(state));
            if (row->actions & LIFE_IMPOSSIBLE)
                continue;
            if (event == LIFE_TAKE) {
                aborted = late = false;
                ends = 0;
            }
            aborted = aborted || (row->actions & LIFE_SET_ABORTED);
            late = late || (row->actions & LIFE_SET_TIMEOUT);
            ends += (row->actions & LIFE_RESPOND) != 0;
            state = row->next;
            model_apply(&m, event);
            check(&m, state, aborted, late, ends);
        }
    }
}
