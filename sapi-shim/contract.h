/* contract.h: what the manager and a worker process agree on.
 *
 * It says which descriptors and which environment variable a worker inherits, how the scoreboard is
 * laid out and what the states mean. The library owns it and the manager includes it, never the
 * reverse. It holds no code. Both sides compare OT_CONTRACT_VERSION before they believe anything
 * else; on a mismatch the worker runs as one without the library.
 *
 * The scoreboard is one memfd per pool: a board (written by the manager alone) and, from
 * board.slots_offset on, board.slot_count slots of board.slot_stride bytes each. A worker maps the
 * whole read-only and its own slot writable, then closes both descriptors before application code
 * runs. What a worker writes is untrusted input to the manager: clamp, never follow.
 */
#ifndef OT_CONTRACT_H
#define OT_CONTRACT_H

#include <stdatomic.h>
#include <stdint.h>

/* Raise this with every change of layout, numbering or meaning below. */
#define OT_CONTRACT_VERSION 2u

/* Set by the manager as decimal "VERSION SLOT"; the library unsets it before main(). */
#define OT_CONTRACT_ENV "OVERTIME_CONTRACT"

/* Descriptors of a worker at exec. All but the first three are closed by the library before main().
 */
enum ot_contract_fd {
    OT_FD_LISTEN = 0,   /* the pool's listening socket; 1 and 2 are output: captured or null */
    OT_FD_BOARD = 3,    /* the scoreboard, opened read-only */
    OT_FD_SLOT = 4,     /* the scoreboard, opened for writing: map the own slot, then close */
    OT_FD_DOORBELL = 5, /* eventfd, non-blocking; kept by the library, close-on-exec */
    OT_FD_HANDOFF_IN =
        6, /* the ends of one SOCK_SEQPACKET pair per pool, through which workers give */
    OT_FD_HANDOFF_OUT = 7, /* each other connections; kept by the library, close-on-exec */
    OT_FD_ACCESS = 8,      /* pipe to the writer of the access log, read-write and non-blocking so
                            * that it never raises SIGPIPE; only where the pool has `access.log` */
    OT_FD_FIRST_FREE = 9,  /* nothing from here on is inherited */
};

/* Where a thread of a worker is in the life of its request. Numbers are part of the contract. */
enum ot_state {
    OT_STATE_STARTING = 0, /* exec done, first accept not reached */
    OT_STATE_IDLE = 1,     /* waits for a connection; may hold idle or half-read ones */
    OT_STATE_READING = 2,  /* has a whole request header, hands it to libfcgi */
    OT_STATE_RUNNING = 3,  /* application code, response open */
    OT_STATE_POST = 4,     /* application code, response finished: post-response work */
    OT_STATE_SHUTDOWN = 5, /* shutdown functions */
    OT_STATE_EXITING = 6,  /* accepts no more */
    OT_STATE_COUNT
};

/* Connection status bits as in overtime.h; bits only accumulate within a request. */
enum ot_status_bits {
    OT_BIT_ABORTED = 1,
    OT_BIT_TIMEOUT = 2,
};

enum ot_abort_detection {
    OT_ABORT_CHECKPOINT = 0,
    OT_ABORT_INSTANT = 1,
    OT_ABORT_WRITE = 2,
};

enum ot_bailout {
    OT_BAILOUT_AUTO = 0,
    OT_BAILOUT_UNWIND = 1,
    OT_BAILOUT_EXIT = 2,
    OT_BAILOUT_NONE = 3,
};

/* Why a worker left by itself; what the manager cannot see from its wait status. */
enum ot_exit_reason {
    OT_EXIT_NONE = 0,         /* none given: the application's own exit, a signal, a crash */
    OT_EXIT_STOPPED = 1,      /* drained because the manager asked it to go */
    OT_EXIT_MAX_REQUESTS = 2, /* served pm.max_requests and its share of the jitter */
    OT_EXIT_MAX_MEMORY = 3,   /* was above pm.max_memory after a request */
    OT_EXIT_BAILOUT = 4,      /* left its request by exit() at a safe point (`bailout`) */
    OT_EXIT_HARD_TIMEOUT = 5, /* reached no safe point within hard_timeout */
    OT_EXIT_COUNT
};

/* Bits of ot_board.notify_mask: ring the doorbell when a thread enters or leaves this state. */
#define OT_NOTIFY_ENTER(state) (1u << (unsigned)(state))
#define OT_NOTIFY_LEAVE(state) (0x10000u << (unsigned)(state))

#define OT_BOARD_MAGIC     0x4f54424fu /* "OTBO" */
#define OT_SLOT_MAGIC      0x4f54534cu /* "OTSL" */
#define OT_THREADS_MAX     64
#define OT_POOL_NAME_MAX   64
#define OT_METHOD_MAX      16
#define OT_URI_MAX         384
#define OT_LABEL_MAX       128
#define OT_REMOTE_MAX      48
#define OT_TRACKING_MAX    8
#define OT_TRACKING_LOST   UINT64_MAX /* its thread takes other requests meanwhile */
#define OT_USER_MAX        64
#define OT_LISTEN_MAX      128
#define OT_PATH_MAX        256
#define OT_CUT             "[...]" /* the end of a text that was cut to fit its field */
#define OT_EXIT_CAUSES_MAX 16
#define OT_STATUSES        256
#define OT_SIGNALS_MAX     65

/* Buckets of a histogram: those with an upper bound (histogram.h), and one for all above. */
#define OT_BUCKETS 24

/* `access.format` and `access.suppress_path[]` as they lie on the board: the format, then each
 * path, all with their NUL. */
#define OT_ACCESS_SIZE 8192

/* A line of the access log on its way through the pipe, one write() of at most
 * OT_ACCESS_MESSAGE_MAX bytes, which is what a pipe takes whole or not at all:
 *     0x01 SLOT '.' THREAD '.' PID '.' REQUEST '.' LOST ' ' LINE '\n'
 * numbers in decimal; the slot, the record's number in it, the process, `requests` of the record
 * when the line's request began (0 = a request that is not counted there), and the lines that
 * found no room since the process's last message (the slot's `lost_lines`). LINE has no control
 * character. With 0x02 in front the line comes from the manager, for a dead worker, and is dropped
 * if one for the same slot, thread, process and request came before. */
#define OT_ACCESS_MESSAGE_MAX  4096
#define OT_ACCESS_LINE_MAX     4000
#define OT_ACCESS_FROM_WORKER  0x01
#define OT_ACCESS_FROM_MANAGER 0x02

/* The pool's policies, as the directives of the same names give them. Times in milliseconds, 0 = no
 * limit; a plain spawner's worker runs with the defaults of overtime.ini(5). */
struct ot_settings {
    int32_t ignore_user_abort;
    int32_t abort_detection; /* enum ot_abort_detection */
    int32_t drop_dead_on_arrival;
    int32_t bailout; /* enum ot_bailout */
    int64_t max_execution_time;
    int64_t max_execution_cpu_time;
    int64_t hard_timeout;
    int64_t post_response_time_limit; /* -1: the request's clock goes on */
    int64_t shutdown_functions_time_limit;
    int64_t request_header_timeout;
    int64_t keepalive_timeout;
    uint64_t keepalive_max;       /* idle kept connections a worker holds at the most */
    uint64_t limit_params_size;   /* bytes */
    uint64_t max_requests;        /* 0 = no limit */
    uint64_t max_requests_jitter; /* a worker adds a random number up to this, once */
    uint64_t max_memory;          /* bytes of private memory after a request, 0 = no limit */
    int64_t dumpable;             /* 0: closed to core dumps and to debuggers of its user */
};

/* What is measured of every request; of each its durations and their sum, in ns. */
enum ot_measure {
    OT_MEASURE_WAIT = 0,   /* until the application had it: from the time the web server gives in
                            * OVERTIME_START, else from when this worker took it in */
    OT_MEASURE_ANSWER = 1, /* until its response was complete: from when this worker took it in */
    OT_MEASURE_POST = 2,   /* from the end of the response to the end of the request; only where
                            * work went on */
    OT_MEASURE_COUNT
};

struct ot_histogram {
    uint64_t sum;
    uint64_t buckets[OT_BUCKETS]; /* not cumulated */
};

/* What requests count, added up over threads and workers. */
struct ot_counts {
    uint64_t requests; /* these as in struct ot_record */
    uint64_t finished;
    uint64_t aborted;
    uint64_t timed_out;
    uint64_t dropped;
    uint64_t discarded;
    uint64_t shutdown_run;
    uint64_t shutdown_late;
    uint64_t shutdown_lost;
    struct ot_histogram measures[OT_MEASURE_COUNT];
};

enum ot_pm {
    OT_PM_STATIC = 0,
    OT_PM_DYNAMIC = 1,
    OT_PM_ONDEMAND = 2,
};

/* What the manager alone knows of a pool, for whoever shows its status. Written by the manager
 * when something happens, never on a tick; `change` as in struct ot_record. Stamps are
 * CLOCK_MONOTONIC in ns. */
struct ot_pool_stats {
    _Atomic uint32_t change;
    uint32_t pm;         /* enum ot_pm */
    uint32_t generation; /* of the workers that are started now */
    uint32_t max_children;
    uint32_t post_max_children;
    uint32_t retiring;    /* workers asked to go, of all generations */
    uint32_t over_budget; /* workers in post-response work above post_max_children, now */
    uint32_t listen_queue;
    uint32_t listen_backlog; /* 0 = unknown */
    uint32_t max_listen_queue;
    uint32_t max_active;
    uint32_t max_post_response;
    uint64_t opened_at;    /* the pool was opened */
    int64_t opened_time;   /* the same in seconds of CLOCK_REALTIME */
    uint64_t backoff_ends; /* no start before; 0 = now */
    uint64_t listen_inode; /* of the listening socket */
    uint64_t spawned;
    uint64_t died;
    uint64_t start_failures;
    uint64_t over_budget_episodes;
    uint64_t max_children_reached;
    uint64_t slow_requests;
    uint64_t ended[OT_EXIT_CAUSES_MAX]; /* by cause, in the order of exit_causes.def */
    uint64_t exits[OT_STATUSES];        /* of these, by exit status */
    uint64_t signals[OT_SIGNALS_MAX];   /* and by the signal that they died of */
    uint32_t others[OT_STATE_COUNT];    /* workers of other generations than this board's */
    uint32_t others_unknown;            /* of these, without the library */
    uint32_t others_kept;               /* idle kept connections that they hold */
    struct ot_counts elsewhere;         /* of workers that are gone, and of other generations */
    char listen[OT_LISTEN_MAX];         /* as `listen` says */
};

/* The process in a slot, as the manager knows it. */
enum ot_process {
    OT_PROCESS_NONE = 0,
    OT_PROCESS_STARTING = 1,
    OT_PROCESS_RUNNING = 2,
    OT_PROCESS_STOPPING = 3,
    OT_PROCESS_KILLED = 4,
    OT_PROCESS_COUNT
};

/* One a slot, from board.members_offset on. Written by the manager alone, within the same change as
 * the facts: a slot whose worker ended counts until the facts count what it did. */
struct ot_member {
    uint32_t process; /* enum ot_process */
    int32_t pid;
    uint32_t restarts; /* workers that were in this slot before */
    uint32_t reserved;
    uint64_t started_at;  /* CLOCK_MONOTONIC in ns */
    int64_t started_time; /* seconds of CLOCK_REALTIME */
};

/* First bytes of the scoreboard. Written by the manager before the first worker starts, constant
 * from then on, but for `notify_mask`, `siblings_take_over`, `last_drain` and `stats`. */
struct ot_board {
    uint32_t magic;   /* OT_BOARD_MAGIC */
    uint32_t version; /* OT_CONTRACT_VERSION */
    uint32_t slot_count;
    uint32_t slot_stride;  /* bytes, a multiple of the page size */
    uint32_t slots_offset; /* bytes, a multiple of the page size */
    uint32_t settings_size;
    char pool[OT_POOL_NAME_MAX]; /* NUL-terminated */
    struct ot_settings settings;
    _Atomic uint32_t notify_mask;        /* OT_NOTIFY_ bits: state changes that ring the doorbell */
    _Atomic uint32_t siblings_take_over; /* not 0: a worker that leaves gives its idle connections
                                          * to the others */
    uint32_t access_size;                /* bytes used of `access`; 0: the pool has no access log */
    char access[OT_ACCESS_SIZE];
    uint32_t members_offset;       /* bytes, a multiple of 32 */
    uint32_t generation;           /* of the workers of this board */
    char status_path[OT_PATH_MAX]; /* these three as the directives say; "" = none */
    char ping_path[OT_PATH_MAX];
    char ping_response[OT_PATH_MAX];
    _Atomic uint32_t last_drain; /* not 0: the pool closes its listening socket and starts no more
                                  * workers; those that leave serve its listen queue first */
    struct ot_pool_stats stats;
};

/* A request that came with the parameter OVERTIME_MARK, a decimal number: somebody waits for its
 * true end. It stays here for a while after it, whatever the thread does next. */
struct ot_tracking {
    uint64_t id;       /* 0 = none */
    uint64_t ended_at; /* CLOCK_MONOTONIC in ns, 0 = not yet, OT_TRACKING_LOST */
};

/* What one thread of a worker does now and has done so far. One writer: that thread. `change` is
 * odd while the writer is at work; a reader copies, compares, and tries again later. Stamps are
 * CLOCK_MONOTONIC in nanoseconds, 0 = not reached in this request. Counters only grow, from the
 * start of the process. */
struct ot_record {
    _Atomic uint32_t change;
    uint32_t state;        /* enum ot_state */
    uint32_t status;       /* enum ot_status_bits of the current or last request */
    uint32_t kept;         /* idle kept connections held by the process; first record only */
    uint64_t state_since;  /* entry into `state` */
    uint64_t accepted_at;  /* first byte of the request's connection taken, or of a kept one read */
    uint64_t running_at;   /* handed to the application */
    uint64_t finished_at;  /* response complete: ot_finish_request, or the request's end */
    uint64_t shutdown_at;  /* shutdown functions began */
    uint64_t requests;     /* begun */
    uint64_t finished;     /* responses ended by ot_finish_request */
    uint64_t aborted;      /* requests whose client left before the response was complete */
    uint64_t timed_out;    /* requests that reached their time limit */
    uint64_t dropped;      /* dead on arrival, or refused before the application saw them */
    uint64_t discarded;    /* bytes of output after the end of the response */
    uint64_t shutdown_run; /* shutdown functions that ran to their end */
    uint64_t shutdown_late; /* shutdown functions begun and cut off by their time limit */
    uint64_t shutdown_lost; /* shutdown functions that never began */
    uint64_t content_length;
    char method[OT_METHOD_MAX]; /* these three: NUL-terminated, marked where cut */
    char uri[OT_URI_MAX];
    char label[OT_LABEL_MAX];
    uint64_t ended_at;       /* the present request's true end */
    uint64_t logged;         /* `requests` when the last line of the access log was sent */
    uint64_t unlogged;       /* requests whose line found no room */
    uint64_t response_bytes; /* of the present request: sent; these five with an access log only */
    uint64_t request_discarded; /* of the present request: output after its response */
    uint32_t http_status;       /* of the response's head; 0 = none sent yet */
    char remote[OT_REMOTE_MAX]; /* REMOTE_ADDR, marked where cut */
    char user[OT_USER_MAX];     /* REMOTE_USER, the same */
    uint32_t tid;               /* the thread as it sees itself, 0 = not said: for its stack */
    uint64_t last_wait;         /* these four of the last request that ended: ns, */
    uint64_t last_answer;       /* 0 = there was none of it */
    uint64_t last_post;         /* up to its shutdown functions */
    uint64_t last_shutdown;
    struct ot_histogram measures[OT_MEASURE_COUNT];
    uint64_t tracked; /* requests with a mark so far, each in the next of the */
    struct ot_tracking tracking[OT_TRACKING_MAX]; /* marks, round and round */
    unsigned char reserved[456];                  /* to 2,048 bytes; zero */
};

/* A worker process. `magic` is written last, when the library has attached. */
struct ot_slot {
    _Atomic uint32_t magic;      /* OT_SLOT_MAGIC */
    uint32_t version;            /* OT_CONTRACT_VERSION of the library */
    int32_t pid;                 /* as the worker sees itself */
    _Atomic uint32_t threads;    /* records in use, 1 to OT_THREADS_MAX */
    uint32_t exit_reason;        /* enum ot_exit_reason; set before the process begins to leave */
    _Atomic uint32_t lost_lines; /* lines of the access log that found no room, not yet told of */
    unsigned char reserved[1000];
    struct ot_record records[OT_THREADS_MAX];
};

_Static_assert(sizeof(struct ot_record) == 2048,
               "records keep their size within a contract version");
_Static_assert(sizeof(struct ot_member) == 32, "members keep their size within a contract version");
_Static_assert(sizeof(struct ot_slot) == 1024 + 2048 * OT_THREADS_MAX,
               "the slot's layout is fixed");

#endif
