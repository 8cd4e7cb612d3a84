/* params.h: a request's parameters: FCGI_PARAMS content in, NAME=VALUE texts out.
 *
 * All of a request's texts stand in one block that serves one request after the other; libfcgi,
 * which is then given a request without parameters, would allocate each of them anew. Knows no
 * connection. Called by libfcgi.c. Source: FastCGI specification 1.0, section 3.4.
 */
#ifndef OT_PARAMS_H
#define OT_PARAMS_H

#include <stddef.h>

/* Begin with all zero. */
struct params {
    char **vector; /* what was decoded last, in the order in which it came; ends with NULL */
    size_t room;   /* of `vector`, in entries */
    char *text;
    size_t size; /* of `text`, in bytes */
};

enum params_result {
    PARAMS_OK,
    PARAMS_MALFORMED,
    PARAMS_NO_MEMORY
};

/* Decodes `count` bytes of content; `first` is put before them. What was decoded before is gone.
 * Memory is bounded by some ten times `count`. */
enum params_result params_decode(struct params *params, const char *first,
                                 const unsigned char *content, size_t count);

/* Between two requests: gives back what an unusually large one took. */
void params_trim(struct params *params);

void params_free(struct params *params);

#endif
