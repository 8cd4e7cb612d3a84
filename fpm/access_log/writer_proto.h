/* writer_proto.h: what the manager and the writer of the access logs say to each other.
 *
 * One SOCK_SEQPACKET pair; each message is one struct. Both ends are this program, forked; after an
 * upgrade the writer is of the version before: a change raises SAVED_STATE_VERSION (saved_state.h).
 */
#ifndef FPM_WRITER_PROTO_H
#define FPM_WRITER_PROTO_H

#include <stdint.h>

/* The manager's orders, with the descriptors that go with them. */
enum writer_proto_order_kind {
    WRITER_PROTO_ADD,  /* a pipe to read and a file to write, under a new id */
    WRITER_PROTO_FILE, /* another file from now on */
    WRITER_PROTO_END   /* nobody writes into the pipe any more: empty it and forget it */
};

struct access_log_order {
    uint32_t kind;
    uint32_t id;
    uint32_t slots; /* with WRITER_PROTO_ADD */
};

/* News for the manager about one log: what was lost since the last news of the same kind. */
enum writer_proto_news_kind {
    WRITER_PROTO_NO_ROOM,   /* `count` lines found no room in the pipe */
    WRITER_PROTO_JUNK,      /* `count` bytes were no message */
    WRITER_PROTO_FAILING,   /* the file cannot be written: `error` */
    WRITER_PROTO_RECOVERED, /* it can be again, or is closed; `count` lines are missing there */
    WRITER_PROTO_GONE /* what WRITER_PROTO_END asked for is done, and this is the last of it */
};

struct writer_proto_news {
    uint32_t kind;
    uint32_t id;
    int32_t error;
    uint64_t count;
};

#endif
