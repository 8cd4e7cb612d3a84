/* directive_value.h: one directive's value inside struct config_global or struct config_pool.
 *
 * It decides, from the directive's row, how a text becomes the field, and how fields are freed,
 * compared and written. It looks up users, groups and folders, and changes nothing outside of the
 * struct. `owner` is always the struct that the row belongs to. Called by config, by the reload for
 * comparisons, and by tests.
 */
#ifndef FPM_DIRECTIVE_VALUE_H
#define FPM_DIRECTIVE_VALUE_H

#include "fpm/config/directive.h"

#include <stdbool.h>
#include <stddef.h>

/* Birth value: the default, or unset. Returns -1 without memory. */
int directive_value_init(const struct directive *row, void *owner);

/* Takes the value as it stands in the file; types that repeat gain an item. Returns 0, or -1 with
 * the end of a sentence in `error` and the field as it was. */
int directive_value_set(const struct directive *row, void *owner, const char *text,
                        const struct value_parse_source *source, char *error, size_t size);

/* The same for env[NAME]; `name` is what stands between the brackets. */
int directive_value_set_pair(const struct directive *row, void *owner, const char *name,
                             const char *text, const struct directive_origin *origin,
                             const struct value_parse_source *source, char *error, size_t size);

/* Frees, and leaves the field unset. */
void directive_value_free(const struct directive *row, void *owner);

bool directive_value_equal(const struct directive *row, const void *a, const void *b);
bool directive_value_is_set(const struct directive *row, const void *owner);

/* The value as one would write it, quoted where needed; the caller's to free. NULL if the field is
 * unset, is of a type that repeats, or without memory. */
char *directive_value_text(const struct directive *row, const void *owner);

#endif
