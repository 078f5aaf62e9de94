/* The queue of bytes (bytes.h). */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 4096
/* An empty queue keeps this much, so that a busy one does not ask for memory each time. */
#define CAPACITY_IDLE_MAX 65536

size_t bytes_length(const struct bytes *bytes) {
  return bytes->end - bytes->start;
}

const uint8_t *bytes_first(const struct bytes *bytes) {
  return bytes->memory + bytes->start;
}

uint8_t *bytes_reserve(struct bytes *bytes, size_t length, size_t max) {
  size_t used = bytes_length(bytes);
  if (length > max || used > max - length) return NULL;
  if (bytes->capacity - bytes->end >= length && bytes->memory != NULL) return bytes->memory + bytes->end;
  if (bytes->start > 0) {
    memmove(bytes->memory, bytes->memory + bytes->start, used);
    bytes->start = 0;
    bytes->end = used;
  }
  if (bytes->capacity - used < length || bytes->memory == NULL) {
    size_t capacity = bytes->capacity == 0 ? CAPACITY_MIN : bytes->capacity;
    while (capacity < used + length) capacity *= 2;
    uint8_t *memory = realloc(bytes->memory, capacity);
    if (memory == NULL) return NULL;
    bytes->memory = memory;
    bytes->capacity = capacity;
  }
  return bytes->memory + bytes->end;
}

void bytes_add(struct bytes *bytes, size_t length) {
  bytes->end += length;
}

int bytes_append(struct bytes *bytes, const void *from, size_t length, size_t max) {
  uint8_t *to = bytes_reserve(bytes, length, max);
  if (to == NULL) return -1;
  if (length > 0) memcpy(to, from, length);
  bytes_add(bytes, length);
  return 0;
}

void bytes_drop(struct bytes *bytes, size_t length) {
  bytes->start += length;
  if (bytes->start < bytes->end) return;
  bytes->start = bytes->end = 0;
  if (bytes->capacity > CAPACITY_IDLE_MAX) bytes_clear(bytes);
}

void bytes_clear(struct bytes *bytes) {
  free(bytes->memory);
  *bytes = (struct bytes){0};
}
