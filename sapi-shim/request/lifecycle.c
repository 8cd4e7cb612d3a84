/* lifecycle.c: see lifecycle.h. */
#include "sapi-shim/request/lifecycle.h"

#define ROW(text, to, what)                                                                        \
    {                                                                                              \
        .name = (text), .next = (to), .actions = (what)                                            \
    }
#define NEVER(text, here) ROW(text, here, LIFECYCLE_IMPOSSIBLE)
#define STAY(text, here)  ROW(text, here, LIFECYCLE_NOTHING)

static const struct lifecycle_row lifecycle_table[LIFECYCLE_STATES][LIFECYCLE_EVENTS] = {
    [LIFECYCLE_ENDED] =
        {
            [LIFECYCLE_FINISH] = STAY("finish without a request does nothing", LIFECYCLE_ENDED),
            [LIFECYCLE_ABORT] = STAY("no request to abort", LIFECYCLE_ENDED),
            [LIFECYCLE_TIMEOUT] = STAY("no request to time out", LIFECYCLE_ENDED),
            [LIFECYCLE_LEAVE] = STAY("no request to leave", LIFECYCLE_ENDED),
            [LIFECYCLE_END] = NEVER("a request ends once", LIFECYCLE_ENDED),
        },
    [LIFECYCLE_RUNNING] =
        {
            [LIFECYCLE_FINISH] = ROW("response finished, post-response work begins", LIFECYCLE_POST,
                                     LIFECYCLE_RESPOND),
            [LIFECYCLE_ABORT] = ROW("the client left before the response was complete",
                                    LIFECYCLE_RUNNING, LIFECYCLE_SET_ABORTED),
            [LIFECYCLE_TIMEOUT] =
                ROW("time limit reached", LIFECYCLE_RUNNING, LIFECYCLE_SET_TIMEOUT),
            [LIFECYCLE_LEAVE] = ROW("the application has returned, response open",
                                    LIFECYCLE_SHUTDOWN_OPEN, LIFECYCLE_NOTHING),
            [LIFECYCLE_END] = NEVER("shutdown functions come first", LIFECYCLE_RUNNING),
        },
    [LIFECYCLE_POST] =
        {
            [LIFECYCLE_FINISH] = STAY("finished before", LIFECYCLE_POST),
            [LIFECYCLE_ABORT] =
                STAY("a client that left after the response is no abort", LIFECYCLE_POST),
            [LIFECYCLE_TIMEOUT] =
                ROW("time limit reached after the response", LIFECYCLE_POST, LIFECYCLE_SET_TIMEOUT),
            [LIFECYCLE_LEAVE] = ROW("the application has returned, response finished",
                                    LIFECYCLE_SHUTDOWN, LIFECYCLE_NOTHING),
            [LIFECYCLE_END] = NEVER("shutdown functions come first", LIFECYCLE_POST),
        },
    [LIFECYCLE_SHUTDOWN_OPEN] =
        {
            [LIFECYCLE_FINISH] =
                ROW("finished by a shutdown function", LIFECYCLE_SHUTDOWN, LIFECYCLE_RESPOND),
            [LIFECYCLE_ABORT] = ROW("the client left during the shutdown functions",
                                    LIFECYCLE_SHUTDOWN_OPEN, LIFECYCLE_SET_ABORTED),
            [LIFECYCLE_TIMEOUT] = ROW("the shutdown functions' time limit is reached",
                                      LIFECYCLE_SHUTDOWN_OPEN, LIFECYCLE_SET_TIMEOUT),
            [LIFECYCLE_LEAVE] = STAY("exit() inside a shutdown function", LIFECYCLE_SHUTDOWN_OPEN),
            [LIFECYCLE_END] =
                ROW("response and request end together", LIFECYCLE_ENDED, LIFECYCLE_RESPOND),
        },
    [LIFECYCLE_SHUTDOWN] =
        {
            [LIFECYCLE_FINISH] = STAY("finished before", LIFECYCLE_SHUTDOWN),
            [LIFECYCLE_ABORT] =
                STAY("a client that left after the response is no abort", LIFECYCLE_SHUTDOWN),
            [LIFECYCLE_TIMEOUT] = ROW("the shutdown functions' time limit is reached",
                                      LIFECYCLE_SHUTDOWN, LIFECYCLE_SET_TIMEOUT),
            [LIFECYCLE_LEAVE] = STAY("exit() inside a shutdown function", LIFECYCLE_SHUTDOWN),
            [LIFECYCLE_END] =
                ROW("the request ends after its response", LIFECYCLE_ENDED, LIFECYCLE_NOTHING),
        },
};

static const char *const lifecycle_names[LIFECYCLE_STATES] = {
    [LIFECYCLE_ENDED] = "ended",
    [LIFECYCLE_RUNNING] = "running",
    [LIFECYCLE_POST] = "post-response",
    [LIFECYCLE_SHUTDOWN_OPEN] = "shutdown functions, response open",
    [LIFECYCLE_SHUTDOWN] = "shutdown functions",
};

const struct lifecycle_row *lifecycle_step(enum lifecycle_state state, enum lifecycle_event event)
{
    return &lifecycle_table[state][event];
}

const char *lifecycle_name(enum lifecycle_state state)
{
    return lifecycle_names[state];
}
