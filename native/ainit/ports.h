/* Watches which TCP ports listen in the instance, without ever connecting to one. */
#ifndef AINIT_PORTS_H
#define AINIT_PORTS_H

#include <stdint.h>

#include "relay.h"
#include "spec.h"

#define PORTS_DECLARED_MAX 64
/* Listening ports that were not declared: the first ones are told, the rest would only be noise. */
#define PORTS_OTHER_MAX 64

/* 0, or -1 with errno when a `port` is no port or there are too many. */
int ports_configure(const struct spec *spec);

/* From now on, until all declared ports listen. */
void ports_watch(void);

/* An address and port on which ainit itself listens: not the task's. */
void ports_ignore(const union ip_address *address);

/* The same for all ports of a network, which is given in host order. */
void ports_ignore_network(uint32_t network, uint32_t mask);

#endif
