/* Frames that wait to be sent on one connection. Whole frames in, bytes out; the only thing that is ever dropped is output. */
#ifndef AINIT_QUEUE_H
#define AINIT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

/* No queue grows beyond this, whatever its owner does. */
#define QUEUE_BYTES_MAX (4u << 20)

struct queue {
  uint8_t *bytes;
  size_t start, end, capacity;
  size_t partial; /* bytes at `start` that belong to a frame of which a part was sent */
  size_t notice;  /* where the unsent notice of dropped output is; SIZE_MAX: nowhere */
  uint64_t dropped;
};

void queue_open(struct queue *queue);
void queue_close(struct queue *queue);
size_t queue_length(const struct queue *queue);

/* 0, or -1 when there is no room or no memory. */
int queue_add(struct queue *queue, uint8_t type, const void *payload, size_t length);

/* Sends what the socket takes. 0, or -1 when the peer is gone. */
int queue_send(struct queue *queue, int fd);

/*
 * Drops the oldest STDOUT and STDERR frames until `keep` bytes are left, and puts one STDERR line in their place that says
 * how much is missing. What was begun to be sent stays.
 */
void queue_drop_output(struct queue *queue, size_t keep);

#endif
