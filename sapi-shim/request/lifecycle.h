/* lifecycle.h: the life of a request as one table; pure.
 *
 * Decides which state follows from a state and an event, and what the mover (request.c) must do on
 * the way. Knows no clock, no socket and no setting.
 */
#ifndef OT_LIFECYCLE_H
#define OT_LIFECYCLE_H

enum lifecycle_state {
    LIFECYCLE_RUNNING,       /* application code, response open; a request begins here */
    LIFECYCLE_POST,          /* application code, response ended: post-response work */
    LIFECYCLE_SHUTDOWN_OPEN, /* shutdown functions, response open */
    LIFECYCLE_SHUTDOWN,      /* shutdown functions, response ended */
    LIFECYCLE_ENDED,         /* the request is over */
    LIFECYCLE_STATES
};

enum lifecycle_event {
    LIFECYCLE_FINISH,  /* ot_finish_request */
    LIFECYCLE_ABORT,   /* the client has left */
    LIFECYCLE_TIMEOUT, /* a time limit was reached */
    LIFECYCLE_LEAVE,   /* the application's part is over: return, bailout, exit() */
    LIFECYCLE_END,     /* all shutdown functions are accounted for */
    LIFECYCLE_EVENTS
};

enum lifecycle_action {
    LIFECYCLE_NOTHING = 0,
    LIFECYCLE_SET_ABORTED = 1 << 0, /* the OT_ABORTED bit */
    LIFECYCLE_SET_TIMEOUT = 1 << 1, /* the OT_TIMEOUT bit */
    LIFECYCLE_RESPOND = 1 << 2,     /* complete the response: exactly one END_REQUEST */
    LIFECYCLE_IMPOSSIBLE = 1 << 3,  /* no caller may send this event here: nothing moves */
};

struct lifecycle_row {
    const char *name; /* of the transition, for logs */
    enum lifecycle_state next;
    unsigned actions; /* enum lifecycle_action */
};

/* The row of a pair. Both arguments are in range. */
const struct lifecycle_row *lifecycle_step(enum lifecycle_state state, enum lifecycle_event event);

/* The state's name for logs and tests. */
const char *lifecycle_name(enum lifecycle_state state);

#endif
