/* diagnostics.c: see diagnostics.h. */
#include "sapi-shim/util/diagnostics.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void diagnostics_write(const char *format, ...)
{
    static const char prefix[] = "overtime: ";
    char line[1024];
    int saved = errno;
    memcpy(line, prefix, sizeof prefix);
    size_t at = sizeof prefix - 1;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line + at, sizeof line - at - 1, format, arguments);
    va_end(arguments);
    if (n > 0) {
        at += (size_t)n < sizeof line - at - 1 ? (size_t)n : sizeof line - at - 2;
        line[at++] = '\n';
        /* An error cannot be reported anywhere else. */
        ssize_t written = write(STDERR_FILENO, line, at);
        (void)written;
    }
    errno = saved;
}
