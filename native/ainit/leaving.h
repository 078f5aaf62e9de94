/* What leads out of a virtual machine, on the host's side: what the guest may ask for, which is little. */
#ifndef AINIT_LEAVING_H
#define AINIT_LEAVING_H

#include <stddef.h>
#include <stdint.h>

#include "spec.h"

/* Reads what bounds it. 0, or -1 with errno and the record in `*bad`. */
int leaving_configure(const struct spec *spec, int has_lent_program, const char **bad);

/* The guest opens a channel: a connection out, the lent program, a core dump. */
void leaving_take(uint32_t id, const uint8_t *arguments, size_t length);

#endif
