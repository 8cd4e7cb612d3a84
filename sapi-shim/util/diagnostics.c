/* diagnostics.c: see diagnostics.h. */
#include "sapi-shim/util/diagnostics.h"

#include "sapi-shim/contract.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

static int diagnostics_fd = -1;
static struct stat diagnostics_pipe;

void diagnostics_attach(int fd)
{
    diagnostics_fd = fd >= 0 && fstat(fd, &diagnostics_pipe) == 0 ? fd : -1;
}

void diagnostics_text(char level, const char *text, size_t size)
{
    static const char prefix[] = "overtime: ";
    char line[OT_MESSAGE_MAX];
    int saved = errno;
    struct stat now;
    /* An application that closed all descriptors may have opened another file with this number. */
    bool attached = diagnostics_fd >= 0 && fstat(diagnostics_fd, &now) == 0 &&
                    now.st_dev == diagnostics_pipe.st_dev && now.st_ino == diagnostics_pipe.st_ino;
    size_t start = attached ? 1 : sizeof prefix - 1;
    size_t end = start + MIN(size, sizeof line - start - 1);
    memcpy(line, prefix, sizeof prefix);
    if (attached)
        line[0] = level;
    memcpy(line + start, text, end - start);
    /* Text from a client must not begin a new line. */
    for (size_t i = start; i < end; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[end] = '\n';
    /* If this fails, there is no other way to reach the operator. */
    ssize_t written = write(attached ? diagnostics_fd : STDERR_FILENO, line, end + 1);
    (void)written;
    errno = saved;
}

__attribute__((format(printf, 2, 0))) static void diagnostics_put(char level, const char *format,
                                                                  va_list arguments)
{
    char text[OT_MESSAGE_MAX];
    int saved = errno;
    /* Both callers have begun it. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
    int n = vsnprintf(text, sizeof text, format, arguments);
    errno = saved;
    if (n > 0)
        diagnostics_text(level, text, MIN((size_t)n, sizeof text - 1));
}

void diagnostics_write(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    diagnostics_put(OT_MESSAGE_WARNING, format, arguments);
    va_end(arguments);
}

void diagnostics_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    diagnostics_put(OT_MESSAGE_ERROR, format, arguments);
    va_end(arguments);
}
