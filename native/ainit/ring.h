/* The newest output of the task, for those who attach later. */
#ifndef AINIT_RING_H
#define AINIT_RING_H

#include <stddef.h>
#include <stdint.h>

#define RING_BYTES_MAX (64u * 1024)
#define RING_RUNS_MAX 1024u

/* Bytes go round in `bytes`; `runs` says which stream wrote each stretch of them. All zero is an empty ring. */
struct ring {
  uint8_t bytes[RING_BYTES_MAX];
  size_t at, used; /* `at`: the oldest byte */
  struct {
    uint8_t type;
    uint32_t length;
  } runs[RING_RUNS_MAX];
  size_t run_at, run_count;
};

void ring_add(struct ring *ring, uint8_t type, const uint8_t *bytes, size_t length);

/* Calls `visit` with every stretch, the oldest first. */
void ring_replay(const struct ring *ring, void (*visit)(void *context, uint8_t type, const uint8_t *bytes, size_t length),
                 void *context);

#endif
