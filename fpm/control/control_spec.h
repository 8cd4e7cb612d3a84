/* control_spec.h: from [global] to where the control socket is and who may command there.
 *
 * Looks owner and group up; opens nothing. Called by master.
 */
#ifndef FPM_CONTROL_SPEC_H
#define FPM_CONTROL_SPEC_H

#include "fpm/config/config.h"
#include "fpm/pool/socket.h"

/* `spec` borrows from `global`. Returns 0, or -1 with a sentence. */
int control_spec(const struct config_global *global, struct socket_spec *spec, char *error,
                 size_t size);

#endif
