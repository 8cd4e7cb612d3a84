/* directive_value.h: one directive's value inside struct config_global or struct config_pool.
 *
 * It decides, from the directive's row, how a text becomes the field, and how fields are freed,
 * compared and written. It looks up users and groups, and changes nothing outside the struct.
 * `owner` is always the struct that the row belongs to.
 */
#ifndef FPM_DIRECTIVE_VALUE_H
#define FPM_DIRECTIVE_VALUE_H

#include "fpm/config/directive.h"

#include <stdbool.h>
#include <stddef.h>

/* Sets the default, or unset. Returns -1 without memory. */
int directive_value_init(const struct directive *row, void *owner);

/* Sets the value as written in the file; types that repeat gain an item. Returns 0, or -1 with the
 * end of a sentence in `error` and the field unchanged. */
int directive_value_set(const struct directive *row, void *owner, const char *text,
                        const struct value_parse_source *source, char *error, size_t size);

/* The same for env[NAME]; `name` is the text between the brackets. */
int directive_value_set_pair(const struct directive *row, void *owner, const char *name,
                             const char *text, const struct directive_origin *origin,
                             const struct value_parse_source *source, char *error, size_t size);

/* Frees the value; the field becomes unset. */
void directive_value_free(const struct directive *row, void *owner);

bool directive_value_equal(const struct directive *row, const void *a, const void *b);
bool directive_value_is_set(const struct directive *row, const void *owner);

/* The value as written in a file, quoted where needed, which the caller frees. NULL if the field is
 * unset or of a type that repeats, or without memory. */
char *directive_value_text(const struct directive *row, const void *owner);

#endif
