/* writer_proto.h: the messages between the manager and the writer of the access logs.
 *
 * One SOCK_SEQPACKET pair; each message is one struct. Both ends are this program, forked; after an
 * upgrade the writer still runs the old version, so a change here must raise SAVED_STATE_VERSION
 * (saved_state.h).
 */
#ifndef FPM_WRITER_PROTO_H
#define FPM_WRITER_PROTO_H

#include <stdint.h>

enum writer_proto_command_kind {
    WRITER_PROTO_ADD,  /* a new id; with the read end of its pipe and its file */
    WRITER_PROTO_FILE, /* write to another file, which comes with it, from now on */
    WRITER_PROTO_END   /* no process writes into the pipe any more: empty it and close the log */
};

/* From the manager. */
struct writer_proto_command {
    uint32_t kind;
    uint32_t id;
    uint32_t slots; /* with WRITER_PROTO_ADD */
};

enum writer_proto_report_kind {
    WRITER_PROTO_LOST,         /* `count` lines did not fit into the pipe */
    WRITER_PROTO_INVALID,      /* `count` bytes were no message */
    WRITER_PROTO_WRITE_FAILED, /* the file cannot be written: `error` */
    WRITER_PROTO_WRITABLE,     /* it can be written again, or is closed; it lacks `count` lines */
    WRITER_PROTO_CLOSED        /* after WRITER_PROTO_END: the last report about this log */
};

/* From the writer, about one log; counts are since the last report of the same kind. */
struct writer_proto_report {
    uint32_t kind;
    uint32_t id;
    int32_t error;
    uint64_t count;
};

#endif
