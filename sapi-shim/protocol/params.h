/* params.h: a request's parameters: FCGI_PARAMS content in, NAME=VALUE strings out.
 *
 * All strings of a request lie in one block, which is used again for the next request; libfcgi,
 * which gets a request without parameters, would allocate each of them. Knows no connection.
 * Source: FastCGI specification 1.0, section 3.4.
 */
#ifndef OT_PARAMS_H
#define OT_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

/* Starts all zero. */
struct params {
    char **vector;      /* the strings that were decoded last, in their order; ends with NULL */
    size_t vector_size; /* entries */
    char *text;
    size_t text_size; /* bytes */
};

/* Decodes `count` bytes of content; `first` is put before them. Replaces what was decoded before.
 * False if the content is malformed, or without memory; takes at most about ten times `count`. */
bool params_decode(struct params *params, const char *first, const unsigned char *content,
                   size_t count);

/* The value of the first NAME=VALUE string in `vector`, which ends with NULL, or is NULL, with this
 * name; NULL if there is none. `name` need not be terminated. */
const char *params_get(char *const *vector, const char *name, size_t length);

/* Between two requests: frees what an unusually large one took. */
void params_trim(struct params *params);

void params_free(struct params *params);

#endif
