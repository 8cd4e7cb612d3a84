/* field.h: one directive's value inside struct conf_global or struct conf_pool.
 *
 * It decides, from the directive's row, how a text becomes the field, and how fields are freed,
 * compared and written. It looks up users, groups and folders, and changes nothing outside of the
 * struct. `owner` is always the struct that the row belongs to. Called by conf, by the reload for
 * comparisons, and by tests.
 */
#ifndef FIELD_H
#define FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "fpm/directive.h"

/* Birth value: the default, or unset. Returns -1 without memory. */
int field_init(const struct directive *row, void *owner);

/* Takes the value as it stands in the file; types that repeat gain an item. Returns 0, or -1 with
 * the end of a sentence in `error` and the field as it was. */
int field_set(const struct directive *row, void *owner, const char *text,
              const struct value_source *source, char *error, size_t size);

/* The same for env[NAME]; `name` is what stands between the brackets. */
int field_set_pair(const struct directive *row, void *owner, const char *name, const char *text,
                   const struct conf_origin *origin, const struct value_source *source, char *error,
                   size_t size);

/* Frees, and leaves the field unset. */
void field_free(const struct directive *row, void *owner);

bool field_equal(const struct directive *row, const void *a, const void *b);
bool field_is_set(const struct directive *row, const void *owner);

/* The value as one would write it, quoted where needed; the caller's to free. NULL if the field is
 * unset, is of a type that repeats, or without memory. */
char *field_text(const struct directive *row, const void *owner);

#endif
