/* A queue of bytes: in at the end, out at the start. All zero is an empty one, which holds no memory. */
#ifndef AINIT_BYTES_H
#define AINIT_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
  uint8_t *memory;
  size_t start, end, capacity;
};

size_t bytes_length(const struct bytes *bytes);
const uint8_t *bytes_first(const struct bytes *bytes);

/* Room for `length` more, to be filled and then added; NULL when that would make more than `max`, or without memory. */
uint8_t *bytes_reserve(struct bytes *bytes, size_t length, size_t max);
void bytes_add(struct bytes *bytes, size_t length);

/* 0, or -1 as above. */
int bytes_append(struct bytes *bytes, const void *from, size_t length, size_t max);

/* Takes `length` from the start. */
void bytes_drop(struct bytes *bytes, size_t length);
void bytes_clear(struct bytes *bytes);

#endif
