/* status_xml.h: the status as XML, PHP-FPM's elements with ours inside <overtime>. Decides nothing.
 */
#ifndef OT_STATUS_XML_H
#define OT_STATUS_XML_H

#include "sapi-shim/status/status.h"

#include <stdio.h>

void status_xml(FILE *out, const struct status_report *report);

#endif
