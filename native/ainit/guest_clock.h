/* Time and randomness from the host: a machine has none of its own when it starts, and old ones when it was restored. */
#ifndef AINIT_GUEST_CLOCK_H
#define AINIT_GUEST_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* `u64` real time and `u64` monotonic time of the host, in nanoseconds. 0, or -1 with errno. */
int clock_take(const uint8_t *payload, size_t length);

/* Bytes that are mixed in and credited; what is drawn from then on depends on them. 0, or -1 with errno. */
int entropy_take(const uint8_t *payload, size_t length);

#endif
