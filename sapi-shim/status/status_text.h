/* status_text.h: the status as a page of plain text, in PHP-FPM's layout, followed by our own
 * fields. Decides nothing. */
#ifndef OT_STATUS_TEXT_H
#define OT_STATUS_TEXT_H

#include "sapi-shim/status/status.h"

#include <stdio.h>

void status_text(FILE *out, const struct status_report *report);

#endif
