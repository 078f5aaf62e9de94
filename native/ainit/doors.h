/*
 * What leads into a virtual machine and out of it, on the host's side: clients of the instance's sockets on the one hand, and
 * on the other what the guest may ask for. All of it by descriptors; no bytes are looked at.
 */
#ifndef AINIT_DOORS_H
#define AINIT_DOORS_H

#include <stddef.h>
#include <stdint.h>

#include "spec.h"

/* Reads what bounds the doors. 0, or -1 with errno and the record in `*bad`. */
int doors_configure(const struct spec *spec, int has_lent_program, const char **bad);

/* From now on clients are let in. */
void doors_open(void);

/* The guest opens a channel. */
void doors_take(uint32_t id, const uint8_t *arguments, size_t length);

#endif
