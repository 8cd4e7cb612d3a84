/* status_page.h: the live status page, status_page.html, as bytes; the Makefile makes them. */
#ifndef OT_STATUS_PAGE_H
#define OT_STATUS_PAGE_H

#include <stddef.h>

extern const unsigned char status_page[];
extern const size_t status_page_size;

#endif
