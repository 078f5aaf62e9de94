/* The ring of newest output (ring.h). */
#include "ring.h"

#include <string.h>

static void drop_oldest(struct ring *ring, size_t length) {
  while (length > 0 && ring->run_count > 0) {
    size_t run = ring->runs[ring->run_at].length;
    size_t cut = run < length ? run : length;
    ring->runs[ring->run_at].length -= (uint32_t)cut;
    ring->at = (ring->at + cut) % RING_BYTES_MAX;
    ring->used -= cut;
    length -= cut;
    if (cut < run) return;
    ring->run_at = (ring->run_at + 1) % RING_RUNS_MAX;
    ring->run_count--;
  }
}

static void add_run(struct ring *ring, uint8_t type, size_t length) {
  size_t last = (ring->run_at + ring->run_count + RING_RUNS_MAX - 1) % RING_RUNS_MAX;
  if (ring->run_count > 0 && ring->runs[last].type == type) {
    ring->runs[last].length += (uint32_t)length;
    return;
  }
  if (ring->run_count == RING_RUNS_MAX) drop_oldest(ring, ring->runs[ring->run_at].length);
  size_t next = (ring->run_at + ring->run_count) % RING_RUNS_MAX;
  ring->runs[next].type = type;
  ring->runs[next].length = (uint32_t)length;
  ring->run_count++;
}

void ring_add(struct ring *ring, uint8_t type, const uint8_t *bytes, size_t length) {
  if (length > RING_BYTES_MAX) {
    bytes += length - RING_BYTES_MAX;
    length = RING_BYTES_MAX;
  }
  if (length == 0) return;
  if (ring->used + length > RING_BYTES_MAX) drop_oldest(ring, ring->used + length - RING_BYTES_MAX);
  add_run(ring, type, length);
  size_t to = (ring->at + ring->used) % RING_BYTES_MAX;
  size_t first = length < RING_BYTES_MAX - to ? length : RING_BYTES_MAX - to;
  memcpy(ring->bytes + to, bytes, first);
  memcpy(ring->bytes, bytes + first, length - first);
  ring->used += length;
}

void ring_replay(const struct ring *ring, void (*visit)(void *, uint8_t, const uint8_t *, size_t), void *context) {
  size_t at = ring->at;
  for (size_t index = 0; index < ring->run_count; index++) {
    size_t run = (ring->run_at + index) % RING_RUNS_MAX;
    size_t length = ring->runs[run].length;
    size_t first = length < RING_BYTES_MAX - at ? length : RING_BYTES_MAX - at;
    visit(context, ring->runs[run].type, ring->bytes + at, first);
    if (length > first) visit(context, ring->runs[run].type, ring->bytes, length - first);
    at = (at + length) % RING_BYTES_MAX;
  }
}
