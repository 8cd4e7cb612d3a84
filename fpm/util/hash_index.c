/* hash_index.c: see hash_index.h. */
#include "fpm/util/hash_index.h"

#include <stdlib.h>

/* FNV-1a. */
uint64_t hash_index_text(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

int hash_index_open(struct hash_index *index, size_t max)
{
    *index = (struct hash_index){.entries = calloc(max > 0 ? max : 1, sizeof *index->entries)};
    return index->entries != NULL ? 0 : -1;
}

void hash_index_add(struct hash_index *index, uint64_t hash, size_t number)
{
    index->entries[index->count++] = (struct hash_index_entry){hash, number};
}

static int hash_index_compare(const void *a, const void *b)
{
    const struct hash_index_entry *left = a, *right = b;
    if (left->hash != right->hash)
        return left->hash < right->hash ? -1 : 1;
    return (left->number > right->number) - (left->number < right->number);
}

void hash_index_sort(struct hash_index *index)
{
    qsort(index->entries, index->count, sizeof *index->entries, hash_index_compare);
}

size_t hash_index_find(const struct hash_index *index, uint64_t hash,
                       const struct hash_index_entry **first)
{
    size_t from = 0, end = index->count, found = 0;
    while (from < end) {
        size_t middle = from + (end - from) / 2;
        if (index->entries[middle].hash < hash)
            from = middle + 1;
        else
            end = middle;
    }
    *first = &index->entries[from];
    while (from + found < index->count && index->entries[from + found].hash == hash)
        found++;
    return found;
}

void hash_index_close(struct hash_index *index)
{
    free(index->entries);
    *index = (struct hash_index){0};
}
