/* Declared outgoing connections: listened for inside, handed to the egress process outside. */
#ifndef AINIT_RELAY_H
#define AINIT_RELAY_H

#include "spec.h"

#define RELAYS_MAX 256

/* Listens on every `relay`. 0, or -1 with errno and the record in `*bad`. */
int relays_open(const struct spec *spec, const char **bad);

#endif
