/* access_proto.h: what the manager and the writer of the access logs say to each other.
 *
 * One SOCK_SEQPACKET pair; each message is one struct. Both ends are this program, forked; after an
 * upgrade the writer is of the version before: a change raises HANDOVER_VERSION (handover.h).
 */
#ifndef FPM_ACCESS_PROTO_H
#define FPM_ACCESS_PROTO_H

#include <stdint.h>

/* The manager's orders, with the descriptors that go with them. */
enum access_order_kind {
    ACCESS_ADD,  /* a pipe to read and a file to write, under a new id */
    ACCESS_FILE, /* another file from now on */
    ACCESS_END   /* nobody writes into the pipe any more: empty it and forget it */
};

struct access_order {
    uint32_t kind;
    uint32_t id;
    uint32_t slots; /* with ACCESS_ADD */
};

/* News for the manager about one log: what was lost since the last news of the same kind. */
enum access_news_kind {
    ACCESS_NO_ROOM,   /* `count` lines found no room in the pipe */
    ACCESS_JUNK,      /* `count` bytes were no message */
    ACCESS_FAILING,   /* the file cannot be written: `error` */
    ACCESS_RECOVERED, /* it can be again, or is closed; `count` lines are missing there */
    ACCESS_GONE       /* what ACCESS_END asked for is done, and this is the last of it */
};

struct access_news {
    uint32_t kind;
    uint32_t id;
    int32_t error;
    uint64_t count;
};

#endif
