/* lifecycle.c: see lifecycle.h. */
#include "sapi-shim/request/lifecycle.h"

#define ROW(text, to, what)                                                                        \
    {                                                                                              \
        .name = (text), .next = (to), .actions = (what)                                            \
    }
#define NEVER(text, here) ROW(text, here, LIFE_IMPOSSIBLE)
#define STAY(text, here)  ROW(text, here, LIFE_NOTHING)

static const struct life_row life_table[LIFE_STATES][LIFE_EVENTS] = {
    [LIFE_IDLE] =
        {
            [LIFE_TAKE] = ROW("a request header arrived", LIFE_READING, LIFE_NOTHING),
            [LIFE_REFUSE] = NEVER("nothing to refuse", LIFE_IDLE),
            [LIFE_BEGIN] = NEVER("nothing to begin", LIFE_IDLE),
            [LIFE_FINISH] = STAY("finish without a request does nothing", LIFE_IDLE),
            [LIFE_ABORT] = STAY("no request to abort", LIFE_IDLE),
            [LIFE_TIMEOUT] = STAY("no request to time out", LIFE_IDLE),
            [LIFE_LEAVE] = STAY("no request to leave", LIFE_IDLE),
            [LIFE_END] = NEVER("nothing to end", LIFE_IDLE),
        },
    [LIFE_READING] =
        {
            [LIFE_TAKE] = NEVER("one request at a time", LIFE_READING),
            [LIFE_REFUSE] = ROW("refused before the application saw it", LIFE_IDLE, LIFE_NOTHING),
            [LIFE_BEGIN] = ROW("handed to the application", LIFE_RUNNING, LIFE_NOTHING),
            [LIFE_FINISH] = NEVER("no application code runs yet", LIFE_READING),
            [LIFE_ABORT] =
                ROW("the client left before the request began", LIFE_READING, LIFE_SET_ABORTED),
            [LIFE_TIMEOUT] = NEVER("the request's clock has not begun", LIFE_READING),
            [LIFE_LEAVE] = NEVER("no application code to leave", LIFE_READING),
            [LIFE_END] = NEVER("a request ends after it began", LIFE_READING),
        },
    [LIFE_RUNNING] =
        {
            [LIFE_TAKE] = NEVER("one request at a time", LIFE_RUNNING),
            [LIFE_REFUSE] = NEVER("the application has it", LIFE_RUNNING),
            [LIFE_BEGIN] = NEVER("it began before", LIFE_RUNNING),
            [LIFE_FINISH] = ROW("response finished, work goes on", LIFE_POST, LIFE_RESPOND),
            [LIFE_ABORT] = ROW("the client left before the response was complete", LIFE_RUNNING,
                               LIFE_SET_ABORTED),
            [LIFE_TIMEOUT] = ROW("time limit reached", LIFE_RUNNING, LIFE_SET_TIMEOUT),
            [LIFE_LEAVE] =
                ROW("the application is done, response open", LIFE_SHUTDOWN_OPEN, LIFE_NOTHING),
            [LIFE_END] = NEVER("shutdown functions come first", LIFE_RUNNING),
        },
    [LIFE_POST] =
        {
            [LIFE_TAKE] = NEVER("one request at a time", LIFE_POST),
            [LIFE_REFUSE] = NEVER("the application has it", LIFE_POST),
            [LIFE_BEGIN] = NEVER("it began before", LIFE_POST),
            [LIFE_FINISH] = STAY("finished before", LIFE_POST),
            [LIFE_ABORT] = STAY("a client that left after the response is no abort", LIFE_POST),
            [LIFE_TIMEOUT] =
                ROW("time limit reached after the response", LIFE_POST, LIFE_SET_TIMEOUT),
            [LIFE_LEAVE] =
                ROW("the application is done, response finished", LIFE_SHUTDOWN, LIFE_NOTHING),
            [LIFE_END] = NEVER("shutdown functions come first", LIFE_POST),
        },
    [LIFE_SHUTDOWN_OPEN] =
        {
            [LIFE_TAKE] = NEVER("one request at a time", LIFE_SHUTDOWN_OPEN),
            [LIFE_REFUSE] = NEVER("the application has it", LIFE_SHUTDOWN_OPEN),
            [LIFE_BEGIN] = NEVER("it began before", LIFE_SHUTDOWN_OPEN),
            [LIFE_FINISH] = ROW("finished by a shutdown function", LIFE_SHUTDOWN, LIFE_RESPOND),
            [LIFE_ABORT] = ROW("the client left during the shutdown functions", LIFE_SHUTDOWN_OPEN,
                               LIFE_SET_ABORTED),
            [LIFE_TIMEOUT] =
                ROW("the shutdown functions' time is up", LIFE_SHUTDOWN_OPEN, LIFE_SET_TIMEOUT),
            [LIFE_LEAVE] = STAY("exit() inside a shutdown function", LIFE_SHUTDOWN_OPEN),
            [LIFE_END] = ROW("response and request end together", LIFE_IDLE, LIFE_RESPOND),
        },
    [LIFE_SHUTDOWN] =
        {
            [LIFE_TAKE] = NEVER("one request at a time", LIFE_SHUTDOWN),
            [LIFE_REFUSE] = NEVER("the application has it", LIFE_SHUTDOWN),
            [LIFE_BEGIN] = NEVER("it began before", LIFE_SHUTDOWN),
            [LIFE_FINISH] = STAY("finished before", LIFE_SHUTDOWN),
            [LIFE_ABORT] = STAY("a client that left after the response is no abort", LIFE_SHUTDOWN),
            [LIFE_TIMEOUT] =
                ROW("the shutdown functions' time is up", LIFE_SHUTDOWN, LIFE_SET_TIMEOUT),
            [LIFE_LEAVE] = STAY("exit() inside a shutdown function", LIFE_SHUTDOWN),
            [LIFE_END] = ROW("the request ends after its response", LIFE_IDLE, LIFE_NOTHING),
        },
};

static const char *const life_names[LIFE_STATES] = {
    [LIFE_IDLE] = "idle",
    [LIFE_READING] = "reading",
    [LIFE_RUNNING] = "running",
    [LIFE_POST] = "post-response",
    [LIFE_SHUTDOWN_OPEN] = "shutdown functions, response open",
    [LIFE_SHUTDOWN] = "shutdown functions",
};

const struct life_row *life_step(enum life_state state, enum life_event event)
{
    return &life_table[state][event];
}

const char *life_name(enum life_state state)
{
    return life_names[state];
}
