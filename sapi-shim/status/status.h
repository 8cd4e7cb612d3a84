/* status.h: the present status of a pool and its workers as plain values, and the table that names
 * them.
 *
 * Reads a scoreboard, and /proc for processor time and memory. Decides nothing and prints nothing:
 * status_write.c and status_metrics.c do.
 */
#ifndef OT_STATUS_H
#define OT_STATUS_H

#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>

/* ---- the table ---- */

enum status_type {
    STATUS_GAUGE,
    STATUS_COUNTER,
    STATUS_LABEL,
};

enum status_unit {
    STATUS_NONE,
    STATUS_BYTES,
    STATUS_MS,   /* milliseconds; metrics say seconds */
    STATUS_US,   /* microseconds, shown as milliseconds with fractions */
    STATUS_DATE, /* seconds of CLOCK_REALTIME */
};

#define STATUS_UNKNOWN (-1) /* a number that is not known */

struct status_field {
    const char *key; /* in JSON */
    const char *php; /* PHP-FPM's name, or NULL */
    enum status_type type;
    enum status_unit unit;
    const char *help;
    size_t offset; /* of an int64_t in its struct */
};

/* Each ends with a row whose key is NULL. */
extern const struct status_field status_pool_fields[];
extern const struct status_field status_worker_fields[];
extern const struct status_field status_thread_fields[];

/* Reads the number of a row from the struct that the row belongs to. */
int64_t status_number(const struct status_field *field, const void *owner);

/* Exit causes, in the order of ended_by. */
struct status_cause {
    const char *name;
    const char *help;
};
extern const struct status_cause status_causes[];
enum {
#define EXIT_CAUSE(cause, name, help) STATUS_CAUSE_##cause,
#include "sapi-shim/exit_causes.def"
#undef EXIT_CAUSE
    STATUS_CAUSES
};

/* The histograms, in the order of enum ot_measure. */
extern const struct status_cause status_measures[OT_MEASURE_COUNT];

/* ---- sources ---- */

/* One generation's scoreboard. */
struct status_source {
    const struct ot_board *board;
    const unsigned char *slots; /* of `count`, `stride` bytes apart */
    size_t stride;
    unsigned count;
    unsigned generation;
    const struct ot_member *members;
};

/* ---- values ---- */

struct status_pool {
    char name[OT_POOL_NAME_MAX];
    const char *pm;
    char listen[OT_LISTEN_MAX];
#define POOL(member, php, type, unit, help) int64_t member;
#include "sapi-shim/status/status.def"
    uint64_t ended_by[STATUS_CAUSES];
    uint64_t exits[OT_STATUSES];
    uint64_t signals[OT_SIGNALS_MAX];
    struct ot_histogram measures[OT_MEASURE_COUNT];
};

/* An exit status or a signal, and how many workers ended with it. */
struct status_exit {
    bool signal;   /* a signal; otherwise an exit status */
    char name[16]; /* "3", "SIGSEGV" */
    uint64_t count;
};

/* Iterates over those that occurred, statuses first. *at begins as 0. False: no more. */
bool status_next_exit(const struct status_pool *pool, unsigned *at, struct status_exit *out);

/* The activity of one thread; for a worker, of the thread that leads (slot_view.h). */
struct status_thread {
    const char *state; /* "idle", ...; "unknown" without the library, "changing" */
    int64_t requests;  /* begun by this thread */
    char method[OT_METHOD_MAX];
    char uri[OT_URI_MAX];
    char label[OT_LABEL_MAX];
    char user[OT_USER_MAX];
#define THREAD(member, php, type, unit, help) int64_t member;
#include "sapi-shim/status/status.def"
};

struct status_worker {
    const struct status_source *source;
    bool known;          /* the library uses the slot */
    const char *process; /* state of the process: "running", ... */
#define WORKER(member, php, type, unit, help) int64_t member;
#include "sapi-shim/status/status.def"
    struct status_thread doing;
};

/* ---- reading ---- */

/* Checks a mapped scoreboard of `size` bytes and fills in `source`. False if it is not valid. */
bool status_open(const struct ot_board *board, size_t size, struct status_source *source);

/* Copies the stats as they were at one moment; false if they keep changing. */
bool status_stats(const struct status_source *source, struct ot_pool_stats *stats);

/* A reading of the listen queue that is newer than the stats. */
struct status_queue {
    unsigned waiting;
    unsigned backlog; /* 0 = unknown */
};

/* Fills in the status of a pool. `stats` NULL: those of the board, and all values are of one
 * moment. `queue` may be NULL. */
void status_pool(const struct status_source *source, const struct ot_pool_stats *stats,
                 const struct status_queue *queue, struct status_pool *pool);

/* Fills in the status of the worker in this slot. False if there is none. */
bool status_worker(const struct status_source *source, unsigned slot, struct status_worker *worker);

/* The activity of thread 0, 1, ... of a known worker; "changing" if its record cannot be read. */
void status_thread(const struct status_worker *worker, unsigned thread, struct status_thread *out);

/* The content of a page. */
struct status_report {
    const struct status_pool *pool;
    struct status_worker *workers; /* allocated; NULL = they are not shown */
    size_t count;
};

/* Reads the workers of these generations into the report. False without memory. */
bool status_collect(const struct status_source *sources, size_t count,
                    struct status_report *report);

#endif
