/* address_place.c: see address_place.h. */
#include "fpm/config/address_place.h"

#include "fpm/util/hash_index.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void address_place_look(struct value_parse_address *address)
{
    struct stat status;
    address->folder_device = 0;
    address->folder_inode = 0;
    if (address->kind != VALUE_PARSE_ADDRESS_UNIX)
        return;
    size_t length = (size_t)(strrchr(address->path, '/') - address->path);
    char *folder = length == 0 ? strdup("/") : strndup(address->path, length);
    if (folder != NULL && stat(folder, &status) == 0) {
        address->folder_device = status.st_dev;
        address->folder_inode = status.st_ino;
    }
    free(folder);
}

static bool address_place_same_path(const struct value_parse_address *a,
                                    const struct value_parse_address *b)
{
    if (a->folder_inode == 0 || b->folder_inode == 0)
        return strcmp(a->path, b->path) == 0;
    return a->folder_inode == b->folder_inode && a->folder_device == b->folder_device &&
           strcmp(strrchr(a->path, '/'), strrchr(b->path, '/')) == 0;
}

/* Does the host, NULL = every address, include the other? */
static bool address_place_includes(const char *host, const char *other)
{
    if (host == NULL || strcmp(host, "::") == 0)
        return true;
    if (strcmp(host, "0.0.0.0") == 0)
        return other != NULL && strchr(other, ':') == NULL;
    return other != NULL && strcmp(host, other) == 0;
}

bool address_place_same(const struct value_parse_address *a, const struct value_parse_address *b)
{
    if (a->kind != b->kind || a->kind == VALUE_PARSE_ADDRESS_NONE)
        return false;
    if (a->kind == VALUE_PARSE_ADDRESS_UNIX)
        return address_place_same_path(a, b);
    /* Hosts are in their shortest form. */
    return strcmp(a->port, b->port) == 0 && (a->host == NULL) == (b->host == NULL) &&
           (a->host == NULL || strcmp(a->host, b->host) == 0);
}

bool address_place_clash(const struct value_parse_address *a, const struct value_parse_address *b)
{
    bool tcp = a->kind == VALUE_PARSE_ADDRESS_TCP && b->kind == VALUE_PARSE_ADDRESS_TCP;
    return tcp ? strcmp(a->port, b->port) == 0 && (address_place_includes(a->host, b->host) ||
                                                   address_place_includes(b->host, a->host))
               : address_place_same(a, b);
}

uint64_t address_place_hash(const struct value_parse_address *address)
{
    if (address->kind == VALUE_PARSE_ADDRESS_NONE)
        return 0;
    return hash_index_text(address->kind == VALUE_PARSE_ADDRESS_UNIX ? strrchr(address->path, '/')
                                                                     : address->port);
}
