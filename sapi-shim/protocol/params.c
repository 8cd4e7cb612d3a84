/* params.c: see params.h. */
#include "sapi-shim/protocol/params.h"

#include "sapi-shim/protocol/frame.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARAMS_FIRST_ROOM = 64,   /* entries; a web server sends some twenty */
    PARAMS_FIRST_SIZE = 4096, /* bytes of text */
    PARAMS_KEPT_SIZE = 65536  /* bytes of text and of entries that stay from request to request */
};

/* A pair takes two bytes more as text, for '=' and the end, and at least two as content, for its
 * lengths: the texts never need more room than the content. */
static bool params_make_text(struct params *params, size_t size)
{
    if (params->size >= size)
        return true;
    size = size > PARAMS_FIRST_SIZE ? size : PARAMS_FIRST_SIZE;
    free(params->text);
    params->text = malloc(size);
    params->size = params->text != NULL ? size : 0;
    return params->text != NULL;
}

static bool params_make_room(struct params *params)
{
    size_t room = params->room != 0 ? 2 * params->room : PARAMS_FIRST_ROOM;
    char **vector = realloc(params->vector, room * sizeof *vector);
    if (vector == NULL)
        return false;
    params->vector = vector;
    params->room = room;
    return true;
}

static char *params_write(char *at, const struct frame_pair *pair)
{
    memcpy(at, pair->name, pair->name_size);
    at += pair->name_size;
    *at++ = '=';
    memcpy(at, pair->value, pair->value_size);
    at += pair->value_size;
    *at++ = '\0';
    return at;
}

enum params_result params_decode(struct params *params, const char *first,
                                 const unsigned char *content, size_t count)
{
    const unsigned char *end = content + count;
    struct frame_pair pair;
    size_t entries = 1;
    size_t first_size = strlen(first) + 1;
    if (!params_make_text(params, first_size + count) ||
        (params->room == 0 && !params_make_room(params)))
        return PARAMS_NO_MEMORY;
    memcpy(params->text, first, first_size);
    params->vector[0] = params->text;
    char *at = params->text + first_size;
    while (content < end) {
        if (!frame_next_pair(&content, end, &pair))
            return PARAMS_MALFORMED;
        if (entries + 1 == params->room && !params_make_room(params))
            return PARAMS_NO_MEMORY;
        params->vector[entries++] = at;
        at = params_write(at, &pair);
    }
    params->vector[entries] = NULL;
    return PARAMS_OK;
}

void params_trim(struct params *params)
{
    if (params->size + params->room * sizeof *params->vector > PARAMS_KEPT_SIZE)
        params_free(params);
}

void params_free(struct params *params)
{
    free(params->vector);
    free(params->text);
    *params = (struct params){.vector = NULL};
}
