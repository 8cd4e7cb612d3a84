/* hash_index.h: finds the numbers that were entered under a hash, so that many things can be
 * compared without comparing each to each. Pure but for memory.
 */
#ifndef FPM_HASH_INDEX_H
#define FPM_HASH_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct hash_index_entry {
    uint64_t hash;
    size_t number;
};

struct hash_index {
    struct hash_index_entry *entries;
    size_t count;
};

uint64_t hash_index_text(const char *text);

/* Room for `max` entries. Returns 0, or -1 without memory. */
int hash_index_open(struct hash_index *index, size_t max);
void hash_index_add(struct hash_index *index, uint64_t hash, size_t number);

/* Call it after the last entry, before hash_index_find. */
void hash_index_sort(struct hash_index *index);

/* The first entry of that hash; the others follow it by rising number. Returns how many there are.
 */
size_t hash_index_find(const struct hash_index *index, uint64_t hash,
                       const struct hash_index_entry **first);
void hash_index_close(struct hash_index *index);

#endif
