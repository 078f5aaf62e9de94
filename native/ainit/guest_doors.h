/* The doors of a virtual machine (doors.h) on its own side: what the host opens, and what is opened there. */
#ifndef AINIT_GUEST_DOORS_H
#define AINIT_GUEST_DOORS_H

#include <stddef.h>
#include <stdint.h>

#include "relay.h"

/* The host opens a channel. */
void guest_doors_take(uint32_t id, const uint8_t *arguments, size_t length);

/* The outlet of relays. */
int guest_doors_relay(struct relay *relay);

#endif
