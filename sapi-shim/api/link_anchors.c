/* link_anchors.c: functions of libfcgi that the library exports only to be linked.
 *
 * Debian's linker, and others, drop a library from which a program needs no symbol (--as-needed).
 * Programs that accept by FCGI_Accept or FCGX_Accept would lose this one in silence: only libfcgi
 * calls what libfcgi.c replaces. Each function here calls libfcgi's own and changes nothing.
 */
#include "sapi-shim/util/diagnostics.h"

#include <dlfcn.h>
#include <fcgiapp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK_ANCHORS_EXPORT __attribute__((visibility("default")))

/* fcgi_stdio.h redefines the names of stdio.h. */
int FCGI_Accept(void);
void FCGI_Finish(void);

static struct {
    int (*stdio_accept)(void);
    void (*stdio_finish)(void);
    int (*accept)(FCGX_Stream **, FCGX_Stream **, FCGX_Stream **, FCGX_ParamArray *);
    void (*finish)(void);
    int (*init)(void);
    int (*init_request)(FCGX_Request *, int, int);
} link_anchors_real;

/* POSIX returns functions from dlsym as void *; ISO C has no conversion for it. */
static void link_anchors_load(const char *name, void *function, size_t size)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) {
        diagnostics_write(
            "libfcgi's %s was not found; link with -lovertime before -lfcgi, the shared one", name);
        _exit(EXIT_FAILURE);
    }
    memcpy(function, &symbol, size);
}

#define LINK_ANCHORS_LOAD(name, field)                                                             \
    link_anchors_load(name, &link_anchors_real.field, sizeof link_anchors_real.field)

__attribute__((constructor)) static void link_anchors_init(void)
{
    LINK_ANCHORS_LOAD("FCGI_Accept", stdio_accept);
    LINK_ANCHORS_LOAD("FCGI_Finish", stdio_finish);
    LINK_ANCHORS_LOAD("FCGX_Accept", accept);
    LINK_ANCHORS_LOAD("FCGX_Finish", finish);
    LINK_ANCHORS_LOAD("FCGX_Init", init);
    LINK_ANCHORS_LOAD("FCGX_InitRequest", init_request);
}

LINK_ANCHORS_EXPORT int FCGI_Accept(void)
{
    return link_anchors_real.stdio_accept();
}

LINK_ANCHORS_EXPORT void FCGI_Finish(void)
{
    link_anchors_real.stdio_finish();
}

LINK_ANCHORS_EXPORT int FCGX_Accept(FCGX_Stream **in, FCGX_Stream **out, FCGX_Stream **err,
                                    FCGX_ParamArray *envp)
{
    return link_anchors_real.accept(in, out, err, envp);
}

LINK_ANCHORS_EXPORT void FCGX_Finish(void)
{
    link_anchors_real.finish();
}

LINK_ANCHORS_EXPORT int FCGX_Init(void)
{
    return link_anchors_real.init();
}

LINK_ANCHORS_EXPORT int FCGX_InitRequest(FCGX_Request *request, int sock, int flags)
{
    return link_anchors_real.init_request(request, sock, flags);
}
