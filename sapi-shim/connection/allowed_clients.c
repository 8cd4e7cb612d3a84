/* allowed_clients.c: see allowed_clients.h. */
#include "sapi-shim/connection/allowed_clients.h"

#include "sapi-shim/util/cidr.h"
#include "sapi-shim/util/clock.h"

#include <stdlib.h>
#include <string.h>

/* Between two messages. */
#define ALLOWED_CLIENTS_INTERVAL_NS (60 * CLOCK_NS_PER_S)

bool allowed_clients_parse(struct allowed_clients *clients, const char *text)
{
    static const char separators[] = ", \t";
    *clients = (struct allowed_clients){0};
    if (text == NULL || text[strspn(text, separators)] == '\0') {
        clients->any = true;
        return true;
    }
    /* At most one entry more than there are separators. */
    size_t max = 1;
    for (const char *c = text; *c != '\0'; c++)
        max += strchr(separators, *c) != NULL;
    clients->nets = calloc(max, sizeof *clients->nets);
    if (clients->nets == NULL)
        return false;
    while (*(text += strspn(text, separators)) != '\0') {
        size_t length = strcspn(text, separators);
        if (cidr_parse(text, length, &clients->nets[clients->count]))
            clients->count++;
        text += length;
    }
    return true;
}

void allowed_clients_free(struct allowed_clients *clients)
{
    free(clients->nets);
    *clients = (struct allowed_clients){0};
}

bool allowed_clients_report(struct allowed_clients_report *report, uint64_t now, uint64_t *more)
{
    if (report->last != 0 && now - report->last < ALLOWED_CLIENTS_INTERVAL_NS) {
        report->more++;
        return false;
    }
    *more = report->more;
    *report = (struct allowed_clients_report){.last = now};
    return true;
}

bool allowed_clients_allow(const struct allowed_clients *clients, const struct sockaddr *address)
{
    if (clients->any || (address->sa_family != AF_INET && address->sa_family != AF_INET6))
        return true;
    for (size_t i = 0; i < clients->count; i++)
        if (cidr_contains(&clients->nets[i], address))
            return true;
    return false;
}
