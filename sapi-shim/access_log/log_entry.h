/* log_entry.h: one request's entry in the access log, kept from its beginning and written at its
 * true end.
 *
 * Decides how a request ended and what its stamps come to, and marks its record so that the manager
 * knows of which requests of a dead worker it has to write the line. Costs nothing without an
 * access log. Called by request.c, and for requests that never become one by those who drop them.
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

/* The request begins. Inside a change of the record, after it counted the request. */
void log_entry_begin(struct log_entry *entry, struct ot_record *record, uint64_t accepted_at,
                     const char *remote, const char *user);

/* Part of the response was sent; `status` as far as it is known. */
void log_entry_sent(struct log_entry *entry, struct ot_record *record, size_t bytes,
                    unsigned status);

/* Output went nowhere. Inside a change of the record. */
void log_entry_discarded(struct log_entry *entry, struct ot_record *record, size_t bytes);

/* The request leaves its record, which from here on tells nothing of it. Inside a change. */
void log_entry_detach(struct ot_record *record);

/* Writes it. The caller has filled in what it knows: texts, bits, status, content_length; `thread`
 * is the record's number, below 0 for one that the manager does not see. */
void log_entry_end(struct log_entry *entry, struct ot_record *record, int thread,
                   uint64_t functions_at, struct log_format_input *input);

/* A request that never reached the application: counts and writes it. `status` is what it was
 * answered, 0 for nothing; `input` tells what is known of it, NULL = nothing; `accepted_at` = 0 if
 * that is not known either. */
void log_entry_dropped(struct ot_record *record, int thread, unsigned status, uint64_t accepted_at,
                       const struct log_format_input *input);

/* Facts of which nothing is known. */
struct log_format_input log_entry_unknown(void);

#endif
