/* The way to the egress process of the host, who makes the connections that the task asks for. */
#ifndef AINIT_EGRESS_H
#define AINIT_EGRESS_H

#include <stdint.h>

#include "relay.h"
#include "spec.h"

/* Reads `token`, which says who is asking. 0, or -1 with errno and the record in `*bad`. */
int egress_configure(const struct spec *spec, const char **bad);

/* Gives a descriptor away, which stays the caller's to close. 0, or -1: egress cannot be reached now. */
int egress_give(const char *name, uint16_t port, int fd);

/* The outlet of relays. */
int egress_take(struct relay *relay);

#endif
