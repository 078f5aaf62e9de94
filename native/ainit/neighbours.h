/* Names of the instances on the same bridge, as control lists them. */
#ifndef AINIT_NEIGHBOURS_H
#define AINIT_NEIGHBOURS_H

#include <netinet/in.h>

#include "dns_message.h"

/* The addresses of a name (lower case, no final dot). How many; 0 where there is no list, too. */
size_t neighbours_find(const char *name, struct in_addr out[DNS_ADDRESSES_MAX]);

#endif
