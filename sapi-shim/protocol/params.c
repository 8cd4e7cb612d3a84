/* params.c: see params.h. */
#include "sapi-shim/protocol/params.h"

#include "sapi-shim/protocol/frame.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

enum {
    PARAMS_VECTOR_MIN = 64, /* entries; a web server sends about twenty */
    PARAMS_TEXT_MIN = 4096, /* bytes */
    PARAMS_KEPT_MAX = 65536 /* bytes of both that stay allocated between requests */
};

static bool params_grow_vector(struct params *params)
{
    size_t size = params->vector_size != 0 ? 2 * params->vector_size : PARAMS_VECTOR_MIN;
    char **vector = realloc(params->vector, size * sizeof *vector);
    if (vector == NULL)
        return false;
    params->vector = vector;
    params->vector_size = size;
    return true;
}

bool params_decode(struct params *params, const char *first, const unsigned char *content,
                   size_t count)
{
    const unsigned char *end = content + count;
    struct frame_pair pair;
    size_t entries = 1;
    size_t first_size = strlen(first) + 1;

    /* A pair needs two more bytes as a string, for '=' and NUL, and at least two more in the
     * content, for its lengths: the strings are never longer than the content. */
    size_t size = first_size + count;
    if (params->text_size < size) {
        size = MAX(size, PARAMS_TEXT_MIN);
        free(params->text);
        params->text = malloc(size);
        params->text_size = params->text != NULL ? size : 0;
    }
    if (params->text == NULL || (params->vector_size == 0 && !params_grow_vector(params)))
        return false;
    memcpy(params->text, first, first_size);
    params->vector[0] = params->text;
    char *at = params->text + first_size;
    while (content < end) {
        if (!frame_next_pair(&content, end, &pair) ||
            (entries + 1 == params->vector_size && !params_grow_vector(params)))
            return false;
        params->vector[entries++] = at;
        memcpy(at, pair.name, pair.name_size);
        at += pair.name_size;
        *at++ = '=';
        memcpy(at, pair.value, pair.value_size);
        at += pair.value_size;
        *at++ = '\0';
    }
    params->vector[entries] = NULL;
    return true;
}

const char *params_get(char *const *vector, const char *name, size_t length)
{
    for (; vector != NULL && *vector != NULL; vector++)
        if (strncmp(*vector, name, length) == 0 && (*vector)[length] == '=')
            return *vector + length + 1;
    return NULL;
}

void params_trim(struct params *params)
{
    if (params->text_size + params->vector_size * sizeof *params->vector > PARAMS_KEPT_MAX)
        params_free(params);
}

void params_free(struct params *params)
{
    free(params->vector);
    free(params->text);
    *params = (struct params){.vector = NULL};
}
