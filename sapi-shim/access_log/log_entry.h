/* log_entry.h: the entry of one request in the access log, kept from its beginning and written at
 * its end.
 *
 * Decides how a request ended, computes its durations, and notes in the record that the line is
 * sent, so that the manager knows for which requests of a dead worker it must write one. Costs
 * nothing without an access log.
 */
#ifndef OT_LOG_ENTRY_H
#define OT_LOG_ENTRY_H

#include "sapi-shim/access_log/log_format.h"
#include "sapi-shim/contract.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stamps as in the record: CLOCK_MONOTONIC in ns, 0 = not reached. */
struct log_entry {
    uint64_t number; /* `requests` of the record when it began */
    uint64_t accepted_at;
    uint64_t finished_at;
    uint64_t shutdown_at;
    uint64_t sent, discarded;     /* bytes */
    int64_t cpu_user, cpu_system; /* of the thread when it began, ns */
    pthread_t thread;
};

/* The request begins. Called within a change of the record, after it has counted the request. */
void log_entry_begin(struct log_entry *entry, struct ot_record *record, uint64_t accepted_at,
                     const char *remote, const char *user);

/* Part of the response was sent; `status` is 0 if it is not known yet. */
void log_entry_sent(struct log_entry *entry, struct ot_record *record, size_t bytes,
                    unsigned status);

/* Output was discarded. Called within a change of the record. */
void log_entry_discarded(struct log_entry *entry, struct ot_record *record, size_t bytes);

/* Completes `input`, in which the caller has set texts, bits, status and content_length, and sends
 * the line. `thread` is the record's number, below 0 for a private record. `functions_at` is when
 * the shutdown functions ended. */
void log_entry_end(struct log_entry *entry, struct ot_record *record, int thread,
                   uint64_t functions_at, struct log_format_input *input);

/* Counts a request that never reached the application, and sends its line. `status` is that of the
 * response, 0 = none; `input` has its known values, NULL = none; `accepted_at` is 0 if unknown. */
void log_entry_dropped(struct ot_record *record, int thread, unsigned status, uint64_t accepted_at,
                       const struct log_format_input *input);

/* Input in which nothing is known. */
struct log_format_input log_entry_unknown(void);

#endif
