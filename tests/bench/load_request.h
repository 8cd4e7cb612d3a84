/* load_request.h: the bytes of a request, made once for each kind. Pure. */
#ifndef LOAD_REQUEST_H
#define LOAD_REQUEST_H

#include "tests/bench/load_plan.h"

struct load_request {
    unsigned char *bytes;
    size_t size;
};

/* Builds the whole request of a kind: BEGIN_REQUEST, the parameters that a web server sends, the
 * body. -1 when memory is short; otherwise load_request_free() it. */
int load_request_make(struct load_request *request, const struct load_kind *kind);

void load_request_free(struct load_request *request);

#endif
