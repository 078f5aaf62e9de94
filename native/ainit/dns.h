/* The name server of an instance whose manifest has wildcards: /etc/hosts has no word for "every name below". */
#ifndef AINIT_DNS_H
#define AINIT_DNS_H

#include "spec.h"

/* Answers on UDP port 53 of the address `dns`, if there is one. 0, or -1 with errno and the record in `*bad`. */
int dns_open(const struct spec *spec, const char **bad);

#endif
