/* status.h: what a pool and its workers do now, as plain values, and the table that names them.
 *
 * Reads a scoreboard, and /proc for processor time and memory; decides nothing and shows nothing
 * (status_text.c, status_json.c, status_xml.c, status_metrics.c do). The manager reads its own
 * scoreboards with it, workers and the status worker the one that they can only read.
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

/* The number of a row in the struct that the row belongs to. */
int64_t status_number(const struct status_field *field, const void *owner);

/* Causes for which workers end, in the order of ended_by. */
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

/* What is measured, in the order of enum ot_measure. */
extern const struct status_cause status_measures[OT_MEASURE_COUNT];

/* ---- where it is read ---- */

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

/* One way in which workers ended, and how many. */
struct status_exit {
    bool signal;   /* they died of it; otherwise an exit status */
    char name[16]; /* "3", "SIGSEGV" */
    uint64_t count;
};

/* The next one that occurred, statuses first. `at` begins as 0 and moves on; false: no more. */
bool status_next_exit(const struct status_pool *pool, unsigned *at, struct status_exit *out);

/* What one thread does; of a worker: the one that is up to something. */
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
    bool known;          /* the library writes the slot */
    const char *process; /* of the process, as the manager knows it: "running", ... */
#define WORKER(member, php, type, unit, help) int64_t member;
#include "sapi-shim/status/status.def"
    struct status_thread doing;
};

/* ---- reading ---- */

/* A mapped scoreboard of `size` bytes, as the contract lays it out. False if it is none. */
bool status_open(const struct ot_board *board, size_t size, struct status_source *source);

/* The stats as they were at one moment; false if they keep changing. */
bool status_stats(const struct status_source *source, struct ot_pool_stats *stats);

/* How many connections wait, from who knows better than the stats; NULL = nobody does. */
struct status_queue {
    unsigned waiting;
    unsigned backlog; /* 0 = unknown */
};

/* Counts. `stats` are the caller's own; with NULL those on the board, and then all is of one
 * moment. */
void status_pool(const struct status_source *source, const struct ot_pool_stats *stats,
                 const struct status_queue *queue, struct status_pool *pool);

/* Fills in if there is a process in this slot, else false. */
bool status_worker(const struct status_source *source, unsigned slot, struct status_worker *worker);

/* One thread of a worker that is known, by number from 0 on; those that cannot be read are
 * "changing". */
void status_thread(const struct status_worker *worker, unsigned thread, struct status_thread *out);

/* All that one page shows. */
struct status_report {
    const struct status_pool *pool;
    struct status_worker *workers; /* allocated; NULL = they are not shown */
    size_t count;
};

/* Reads the workers of these generations into the report. False without memory. */
bool status_collect(const struct status_source *sources, size_t count,
                    struct status_report *report);

#endif
