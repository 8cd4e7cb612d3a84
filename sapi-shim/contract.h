/* contract.h: what the manager and a worker process agree on.
 *
 * It says which descriptors and which environment variable a worker inherits, how the scoreboard is
 * laid out and what the states mean. The library owns it and the manager includes it, never the
 * reverse. It holds no code. Both sides compare OT_CONTRACT_VERSION before they believe anything
 * else; on a mismatch the worker runs as one without the library.
 *
 * The scoreboard is one memfd per pool: a board (written by the manager alone) and, from
 * board.slots_offset on, board.slot_count slots of board.slot_stride bytes each. A worker maps the
 * whole read-only and its own slot writable.
 *
 * Environment and descriptors stay as they are, also across exec and fork, until a process accepts:
 * shells, `env` and interpreters may come before the application, and an application may fork
 * first. The first process that accepts attaches: it claims the slot and closes and unsets all of
 * it, so that its children get nothing. What a worker writes is untrusted input to the manager:
 * clamp, never follow.
 */
#ifndef OT_CONTRACT_H
#define OT_CONTRACT_H

#include <stdatomic.h>
#include <stdint.h>

/* Raise this with every change of layout, numbering or meaning below. */
#define OT_CONTRACT_VERSION 4u

/* Set by the manager as decimal "VERSION SLOT"; the library unsets it when it attaches. */
#define OT_CONTRACT_ENV "OVERTIME_CONTRACT"

/* `listen.allowed_clients` for the library, where FCGI_WEB_SERVER_ADDRS cannot say it: libfcgi,
 * which reads that, knows no networks. */
#define OT_CLIENTS_ENV "OVERTIME_ALLOWED_CLIENTS"

/* Descriptors of a worker at exec. The library closes all but the first three when it attaches. */
enum ot_contract_fd {
    /* The pool's listening socket. Descriptors 1 and 2 are captured by the manager, or /dev/null.
     */
    OT_FD_LISTEN = 0,
    /* The scoreboard, opened read-only. */
    OT_FD_BOARD = 3,
    /* The scoreboard, opened for writing: the library maps its own slot, then closes this. */
    OT_FD_SLOT = 4,
    /* An eventfd, non-blocking. The library keeps it, close-on-exec. */
    OT_FD_DOORBELL = 5,
    /* The two ends of the pool's SOCK_SEQPACKET pair, through which workers hand connections to
     * each other. The library keeps both, close-on-exec. */
    OT_FD_HANDOFF_IN = 6,
    OT_FD_HANDOFF_OUT = 7,
    /* The pipe to the writer of the access log, only in a pool with `access.log`. It is opened for
     * reading and writing so that it never raises SIGPIPE, and is non-blocking. */
    OT_FD_ACCESS = 8,
    /* A pipe to the manager for the library's own messages (see OT_MESSAGE_MAX), which the
     * application does not know of. Opened as OT_FD_ACCESS is. The library keeps it,
     * close-on-exec. */
    OT_FD_MESSAGES = 9,
    /* No descriptor from here on is inherited. */
    OT_FD_FIRST_FREE = 10,
};

/* The first byte of a message through that pair; the rest is between workers. */
enum ot_handoff {
    OT_HANDOFF_REQUEST = 1, /* a request has begun on the connection */
    OT_HANDOFF_IDLE = 2,    /* none had begun when it was passed on */
};

/* The state of a thread of a worker. The numbers are part of the contract. */
enum ot_state {
    OT_STATE_STARTING = 0, /* exec done, first accept not reached */
    OT_STATE_IDLE = 1,     /* waits for a connection; may hold idle or half-read connections */
    OT_STATE_READING = 2,  /* has read a whole request header and hands it to libfcgi */
    OT_STATE_RUNNING = 3,  /* application code, response open */
    OT_STATE_POST = 4,     /* application code, response finished: post-response work */
    OT_STATE_SHUTDOWN = 5, /* shutdown functions */
    OT_STATE_EXITING = 6,  /* accepts no more requests */
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

/* The reason for which a worker exits by itself, which its wait status does not tell. */
enum ot_exit_reason {
    OT_EXIT_NONE = 0,         /* no reason given: the application's exit(), a signal, a crash */
    OT_EXIT_STOPPED = 1,      /* the manager stopped it gracefully */
    OT_EXIT_MAX_REQUESTS = 2, /* it served pm.max_requests and its share of the jitter */
    OT_EXIT_MAX_MEMORY = 3,   /* it was above pm.max_memory after a request */
    OT_EXIT_BAILOUT = 4,      /* it left its request by exit() at a safe point (`bailout`) */
    OT_EXIT_HARD_TIMEOUT = 5, /* it reached no safe point within hard_timeout */
    OT_EXIT_COUNT
};

/* Bits of ot_board.notify_mask: ring the doorbell when a thread enters or leaves this state. */
#define OT_NOTIFY_ENTER(state) (1u << (unsigned)(state))
#define OT_NOTIFY_LEAVE(state) (0x10000u << (unsigned)(state))

/* Bits of ot_slot.loaded. A program that is linked with the library attaches when it accepts, so
 * until then its worker is starting. A preloaded library says nothing of the program: it may be a
 * shell, or have FastCGI code of its own. */
#define OT_LOADED_LINKED    1u
#define OT_LOADED_PRELOADED 2u

#define OT_BOARD_MAGIC         0x4f54424fu /* "OTBO" */
#define OT_SLOT_MAGIC          0x4f54534cu /* "OTSL" */
#define OT_THREADS_MAX         64
#define OT_POOL_NAME_MAX       64
#define OT_METHOD_MAX          16
#define OT_URI_MAX             384
#define OT_LABEL_MAX           128
#define OT_REMOTE_MAX          48
#define OT_TRACKING_MAX        8
#define OT_TRACKING_LOST       UINT64_MAX /* the thread serves other requests, end unknown */
#define OT_USER_MAX            64
#define OT_LISTEN_MAX          128
#define OT_PATH_MAX            256
#define OT_HTTP_STATUS_UNKNOWN 1       /* ot_record.http_status: the head was too long to be read */
#define OT_CUT                 "[...]" /* the end of a text that was cut to fit its field */
#define OT_EXIT_CAUSES_MAX     16
#define OT_STATUSES            256
#define OT_SIGNALS_MAX         65

/* Buckets of a histogram: those with an upper bound (histogram.h), and one for all above. */
#define OT_BUCKETS 29

/* Bytes on the board for `access.format`, followed by each `access.suppress_path[]`, each with its
 * NUL. */
#define OT_ACCESS_SIZE 8192

/* A message with a line of the access log: one write() of at most OT_ACCESS_MESSAGE_MAX bytes,
 * which a pipe takes whole or not at all:
 *
 *     0x01 SLOT '.' THREAD '.' PID '.' REQUEST '.' LOST ' ' LINE '\n'
 *
 * Numbers are decimal: the slot, the number of the record in it, the process, `requests` of the
 * record when the request began (0 = a request that is not counted there), and the lines lost since
 * the process's last message (`lost_lines` of the slot). LINE has no control character.
 *
 * A message that begins with 0x02 comes from the manager, for a worker that died. The writer drops
 * it if it has had a line for the same slot, thread, process and request. */
#define OT_ACCESS_MESSAGE_MAX  4096
#define OT_ACCESS_LINE_MAX     4000
#define OT_ACCESS_FROM_WORKER  0x01
#define OT_ACCESS_FROM_MANAGER 0x02

/* A message of the library to the manager's log, one write() of at most OT_MESSAGE_MAX bytes, which
 * is what a pipe takes whole or not at all:
 *     LEVEL TEXT '\n'
 * with one character for the level and a text that has no control character. */
#define OT_MESSAGE_MAX     1024
#define OT_MESSAGE_WARNING 'W'
#define OT_MESSAGE_ERROR   'E'

/* The pool's policies, as set by the directives of the same names. Times are in milliseconds, 0 =
 * no limit. A worker without a manager runs with the defaults of overtime.ini(5). */
struct ot_settings {
    int32_t ignore_user_abort;
    int32_t abort_detection; /* enum ot_abort_detection */
    int32_t drop_dead_on_arrival;
    int32_t bailout; /* enum ot_bailout */
    int32_t post_response_until_accept;
    int32_t reserved; /* zero */
    int64_t max_execution_time;
    int64_t max_execution_cpu_time;
    int64_t hard_timeout;
    int64_t post_response_time_limit; /* 0: none; the request's clock stops at its response */
    int64_t shutdown_functions_time_limit;
    int64_t request_header_timeout;
    int64_t keepalive_timeout;
    uint64_t keepalive_max;       /* idle kept connections that a worker holds at most */
    uint64_t limit_params_size;   /* bytes */
    uint64_t max_requests;        /* 0 = no limit */
    uint64_t max_requests_jitter; /* a worker adds a random number up to this at its start */
    uint64_t max_memory;          /* bytes of private memory after a request, 0 = no limit */
    int64_t dumpable;             /* 0: no core dumps, no debugging by its own user */
};

/* The manager's time zone, in which all lines of the access log have their times, whatever zone the
 * application sets and whatever files its root folder has. `changes` are in ascending order, and
 * those not used have the last one's offset and an `at` of INT64_MAX. */
#define OT_ZONE_CHANGES 20 /* ten years */
#define OT_ZONE_NAME    12

struct ot_zone {
    struct ot_zone_change {
        int64_t at;              /* seconds of CLOCK_REALTIME; the first is the smallest number */
        int32_t offset;          /* seconds east of UTC from then on */
        char name[OT_ZONE_NAME]; /* "CET", NUL-terminated */
    } changes[OT_ZONE_CHANGES];
};

/* Durations of a request that are measured, in ns. */
enum ot_measure {
    /* Until the application got the request: from the time that the web server gives in
     * OVERTIME_START, otherwise from when this worker accepted it. */
    OT_MEASURE_WAIT = 0,
    /* From when this worker accepted the request until its response was complete. */
    OT_MEASURE_ANSWER = 1,
    /* From the end of the response to the end of the request, for requests with post-response
     * work only. */
    OT_MEASURE_POST = 2,
    OT_MEASURE_COUNT
};

struct ot_histogram {
    uint64_t sum;
    uint64_t buckets[OT_BUCKETS]; /* not cumulated */
};

/* Counters of requests, added up over threads and workers. */
struct ot_counts {
    uint64_t requests; /* up to shutdown_lost as in struct ot_record */
    uint64_t finished;
    uint64_t aborted;
    uint64_t timed_out;
    uint64_t dropped;
    uint64_t discarded;
    uint64_t shutdown_run;
    uint64_t shutdown_late;
    uint64_t shutdown_lost;
    uint64_t refused_clients;
    struct ot_histogram measures[OT_MEASURE_COUNT];
};

enum ot_pm {
    OT_PM_STATIC = 0,
    OT_PM_DYNAMIC = 1,
    OT_PM_ONDEMAND = 2,
};

/* Numbers that only the manager knows, for the status of a pool. The manager writes them when they
 * change, never on a timer; `change` is as in struct ot_record. Stamps are CLOCK_MONOTONIC in ns.
 */
struct ot_pool_stats {
    _Atomic uint32_t change;
    uint32_t pm;         /* enum ot_pm */
    uint32_t generation; /* of the workers that are started now */
    uint32_t max_children;
    uint32_t post_max_children;
    uint32_t retiring;    /* workers that are being stopped, of all generations */
    uint32_t over_budget; /* workers in post-response work above post_max_children, now */
    uint32_t listen_queue;
    uint32_t listen_backlog; /* 0 = unknown */
    uint32_t max_listen_queue;
    uint32_t max_active;
    uint32_t max_post_response;
    uint64_t opened_at;    /* when the pool was opened */
    int64_t opened_time;   /* the same in seconds of CLOCK_REALTIME */
    uint64_t backoff_ends; /* no worker is started before; 0 = no back-off */
    uint64_t listen_inode; /* of the listening socket */
    uint64_t spawned;
    uint64_t died;
    uint64_t start_failures;
    uint64_t over_budget_episodes;
    uint64_t max_children_reached;
    uint64_t slow_requests;
    uint64_t refused_packets;           /* by the kernel; see listen.allowed_clients */
    uint64_t ended[OT_EXIT_CAUSES_MAX]; /* workers by exit cause, as in exit_causes.def */
    uint64_t exits[OT_STATUSES];        /* of these, by exit status */
    uint64_t signals[OT_SIGNALS_MAX];   /* of these, by the signal that ended them */
    uint32_t others[OT_STATE_COUNT];    /* workers of other generations, by state */
    uint32_t others_unknown;            /* of these, workers without the library */
    uint32_t others_kept;               /* idle kept connections of other generations */
    struct ot_counts elsewhere;         /* of ended workers and other generations */
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

/* The worker in a slot, one entry for each slot from board.members_offset on. Only the manager
 * writes it, within the same change as the stats: a slot whose worker ended is counted until the
 * stats include its counters. */
struct ot_member {
    uint32_t process; /* enum ot_process */
    int32_t pid;
    uint32_t restarts; /* earlier workers in this slot */
    /* The process that was asked to stop, 0 = none; written before its signal is sent, at any time.
     * A signal may be lost: while system(3) runs, SIGQUIT is ignored. */
    _Atomic int32_t stop;
    uint64_t started_at;  /* CLOCK_MONOTONIC in ns */
    int64_t started_time; /* seconds of CLOCK_REALTIME */
};

/* The first bytes of the scoreboard. The manager writes them before the first worker starts; they
 * are constant from then on, except `notify_mask`, `siblings_take_over`, `last_drain` and `stats`.
 */
struct ot_board {
    uint32_t magic;   /* OT_BOARD_MAGIC */
    uint32_t version; /* OT_CONTRACT_VERSION */
    uint32_t slot_count;
    uint32_t slot_stride;  /* bytes, a multiple of the page size */
    uint32_t slots_offset; /* bytes, a multiple of the page size */
    uint32_t settings_size;
    char pool[OT_POOL_NAME_MAX]; /* NUL-terminated */
    struct ot_settings settings;
    _Atomic uint32_t notify_mask; /* OT_NOTIFY_ bits: state changes that ring the doorbell */
    /* Not 0: a worker that exits gives its idle connections to its siblings. */
    _Atomic uint32_t siblings_take_over;
    uint32_t access_size; /* bytes used of `access`; 0: the pool has no access log */
    char access[OT_ACCESS_SIZE];
    uint32_t members_offset;       /* bytes, a multiple of 32 */
    uint32_t generation;           /* of the workers of this board */
    int32_t manager_pid;           /* the process that replaces workers, 0 = unknown */
    char status_path[OT_PATH_MAX]; /* pm.status_path; "" = none */
    char ping_path[OT_PATH_MAX];   /* ping.path; "" = none */
    char ping_response[OT_PATH_MAX];
    /* Not 0: the pool closes its listening socket and starts no more workers; a worker that exits
     * serves the listen queue first. */
    _Atomic uint32_t last_drain;
    struct ot_zone zone;
    struct ot_pool_stats stats;
};

/* The end of a tracked request, which came with the parameter OVERTIME_MARK, a decimal tracking
 * id. The entry stays for OT_TRACKING_MAX tracked requests of the thread. */
struct ot_tracking {
    uint64_t id;       /* 0 = unused entry */
    uint64_t ended_at; /* CLOCK_MONOTONIC in ns, 0 = not yet, OT_TRACKING_LOST */
};

/* The present state of one thread of a worker, and its counters. The thread is the only writer:
 * `change` is odd while it writes; a reader copies, compares, and tries again later. Stamps are
 * CLOCK_MONOTONIC in ns, 0 = not reached in this request. Counters only grow, from the start of the
 * process. */
struct ot_record {
    _Atomic uint32_t change;
    uint32_t state;         /* enum ot_state */
    uint32_t status;        /* enum ot_status_bits of the current or last request */
    uint32_t kept;          /* idle kept connections held by the process; first record only */
    uint64_t state_since;   /* entry into `state` */
    uint64_t accepted_at;   /* accepted the connection, or read from a kept one */
    uint64_t running_at;    /* handed to the application */
    uint64_t finished_at;   /* response complete: ot_finish_request, or the request's end */
    uint64_t shutdown_at;   /* shutdown functions began */
    uint64_t requests;      /* begun */
    uint64_t finished;      /* responses ended by ot_finish_request */
    uint64_t aborted;       /* requests whose client left before the response was complete */
    uint64_t timed_out;     /* requests that reached their time limit */
    uint64_t dropped;       /* dead on arrival, or refused before the application saw them */
    uint64_t discarded;     /* bytes of output after the end of the response */
    uint64_t shutdown_run;  /* shutdown functions that ran to their end */
    uint64_t shutdown_late; /* shutdown functions begun and cut off by their time limit */
    uint64_t shutdown_lost; /* shutdown functions that never began */
    uint64_t content_length;
    char method[OT_METHOD_MAX]; /* NUL-terminated, as are the texts below; OT_CUT */
    char uri[OT_URI_MAX];
    char label[OT_LABEL_MAX];
    uint64_t ended_at; /* the present request ended, its post-response work too */
    uint64_t logged;   /* `requests` when the last access log line was sent */
    uint64_t unlogged; /* requests whose access log line was lost */
    /* From here to `user` written only in a pool with an access log. */
    uint64_t response_bytes;    /* bytes sent of the present response */
    uint64_t request_discarded; /* bytes of output after the present response */
    uint32_t http_status;       /* of the present response; 0 = no head sent yet */
    char remote[OT_REMOTE_MAX]; /* REMOTE_ADDR */
    char user[OT_USER_MAX];     /* REMOTE_USER */
    uint32_t tid;               /* thread id, for its stack; 0 = unknown */
    /* Durations of the last request that ended, in ns, 0 = none. */
    uint64_t last_wait;
    uint64_t last_answer;
    uint64_t last_post; /* without shutdown functions */
    uint64_t last_shutdown;
    struct ot_histogram measures[OT_MEASURE_COUNT];
    /* Tracked requests so far; the entry of the next is `tracked` modulo OT_TRACKING_MAX. */
    uint64_t tracked;
    struct ot_tracking tracking[OT_TRACKING_MAX];
    uint64_t refused_clients; /* connections of clients that listen.allowed_clients does not list */
    unsigned char reserved[328]; /* to 2,048 bytes; zero */
};

/* The slot of a worker process. `magic` is written last, when the library has attached. */
struct ot_slot {
    _Atomic uint32_t magic; /* OT_SLOT_MAGIC */
    uint32_t version;       /* OT_CONTRACT_VERSION of the library */
    /* The process that has attached, in the PID namespace of the worker; 0 = none. Claimed by
     * compare-and-swap, so that a slot has one writer whatever forks; a process that has died may
     * be replaced. */
    _Atomic int32_t pid;
    _Atomic uint32_t threads;    /* records in use, 1 to OT_THREADS_MAX */
    uint32_t exit_reason;        /* enum ot_exit_reason; set before the process begins to leave */
    _Atomic uint32_t lost_lines; /* lines lost since the last message in the pipe */
    _Atomic uint32_t loaded;     /* OT_LOADED_ bits, set when a process loads the library */
    unsigned char reserved[996];
    struct ot_record records[OT_THREADS_MAX];
};

_Static_assert(sizeof(struct ot_record) == 2048,
               "records keep their size within a contract version");
_Static_assert(sizeof(struct ot_member) == 32, "members keep their size within a contract version");
_Static_assert(sizeof(struct ot_slot) == 1024 + 2048 * OT_THREADS_MAX,
               "the slot's layout is fixed");

#endif
