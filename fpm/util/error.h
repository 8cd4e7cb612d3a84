/* error.h: the size of a sentence that says what failed. */
#ifndef FPM_ERROR_H
#define FPM_ERROR_H

#include <limits.h>

enum {
    ERROR_SIZE = PATH_MAX + 512 /* bytes with the NUL: what failed, on which path, and why */
};

#endif
