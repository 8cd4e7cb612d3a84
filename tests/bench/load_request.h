/* load_request.h: the bytes of a request, made once for each kind.
 *
 * Long ones are sent out of a file in memory, which the kernel passes on without copying: on two
 * cores, of which the load has one, a sender that copied megabytes would be what is measured.
 */
#ifndef LOAD_REQUEST_H
#define LOAD_REQUEST_H

#include "tests/bench/load_plan.h"

#include <sys/types.h>

struct load_request {
    unsigned char *bytes;
    size_t size;
    int file; /* of the same bytes; -1 where they are few, or without such files */
};

/* Builds the whole request of a kind: BEGIN_REQUEST, the parameters that a web server sends, the
 * body. -1 when memory is short; otherwise load_request_free() it. */
int load_request_make(struct load_request *request, const struct load_kind *kind);

/* Sends `size` bytes that begin at `at`, or some of them, as send() does without SIGPIPE, which the
 * caller ignores. */
ssize_t load_request_send(const struct load_request *request, int fd, size_t at, size_t size);

void load_request_free(struct load_request *request);

#endif
