/* lifecycle.h: the life of a request as one table; pure.
 *
 * Decides which state follows from a state and an event, and what the mover has to do on the way.
 * Knows no clock, no socket and no setting; bailout_policy.h says which events to send. Called by
 * request.c, the only mover.
 */
#ifndef OT_LIFECYCLE_H
#define OT_LIFECYCLE_H

enum life_state {
    LIFE_IDLE,          /* no request */
    LIFE_READING,       /* a whole request header is there, the application has not seen it */
    LIFE_RUNNING,       /* application code, response open */
    LIFE_POST,          /* application code, response ended: post-response work */
    LIFE_SHUTDOWN_OPEN, /* shutdown functions, response open */
    LIFE_SHUTDOWN,      /* shutdown functions, response ended */
    LIFE_STATES
};

enum life_event {
    LIFE_TAKE,    /* a connection brought a whole request header */
    LIFE_REFUSE,  /* it will not reach the application: dead on arrival, too large, malformed */
    LIFE_BEGIN,   /* the application gets it */
    LIFE_FINISH,  /* ot_finish_request */
    LIFE_ABORT,   /* the client has left */
    LIFE_TIMEOUT, /* the time limit was reached */
    LIFE_LEAVE,   /* the application's part is over: return, bailout, exit() */
    LIFE_END,     /* all shutdown functions are accounted for */
    LIFE_EVENTS
};

enum life_action {
    LIFE_NOTHING = 0,
    LIFE_SET_ABORTED = 1 << 0, /* the OT_ABORTED bit */
    LIFE_SET_TIMEOUT = 1 << 1, /* the OT_TIMEOUT bit */
    LIFE_RESPOND = 1 << 2,     /* complete the response: exactly one END_REQUEST */
    LIFE_IMPOSSIBLE = 1 << 3,  /* no caller may send this event here: nothing moves */
};

struct life_row {
    const char *name; /* what this pair means, in words */
    enum life_state next;
    unsigned actions; /* enum life_action */
};

/* The row of a pair. Both arguments are in range. */
const struct life_row *life_step(enum life_state state, enum life_event event);

/* The state's name for logs and tests. */
const char *life_name(enum life_state state);

#endif
