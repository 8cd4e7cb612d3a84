/* statm.c: see statm.h. */
#include "sapi-shim/util/statm.h"

#include <errno.h>
#include <stdlib.h>

bool statm_private(const char *line, uint64_t page_size, uint64_t *bytes)
{
    unsigned long long pages[3]; /* size, resident, shared */
    for (int i = 0; i < 3; i++) {
        char *end = NULL;
        errno = 0;
        pages[i] = strtoull(line, &end, 10);
        if (end == line || errno != 0 || (*end != ' ' && *end != '\n' && *end != '\0'))
            return false;
        line = end;
    }
    *bytes = pages[1] > pages[2] ? (pages[1] - pages[2]) * page_size : 0;
    return true;
}
