/* Outgoing frames of a connection (queue.h). */
#define _GNU_SOURCE
#include "queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "protocol.h"

#define NOWHERE SIZE_MAX
#define NOTICE_BYTES_MAX 96

void queue_open(struct queue *queue) {
  *queue = (struct queue){.notice = NOWHERE};
}

void queue_close(struct queue *queue) {
  free(queue->bytes);
  queue_open(queue);
}

size_t queue_length(const struct queue *queue) {
  return queue->end - queue->start;
}

/* Moves what is left to the front of the buffer. */
static void compact(struct queue *queue) {
  if (queue->start == 0) return;
  if (queue_length(queue) > 0) memmove(queue->bytes, queue->bytes + queue->start, queue_length(queue));
  if (queue->notice != NOWHERE) queue->notice -= queue->start;
  queue->end -= queue->start;
  queue->start = 0;
}

static int reserve(struct queue *queue, size_t length) {
  if (queue->capacity - queue->end >= length) return 0;
  compact(queue);
  if (queue->capacity - queue->end >= length) return 0;
  size_t capacity = queue->capacity == 0 ? 4096 : queue->capacity;
  while (capacity < queue->end + length) capacity *= 2;
  if (capacity > QUEUE_BYTES_MAX) return -1;
  uint8_t *bytes = realloc(queue->bytes, capacity);
  if (bytes == NULL) return -1;
  queue->bytes = bytes;
  queue->capacity = capacity;
  return 0;
}

static uint32_t frame_length(const uint8_t *frame) {
  uint32_t length;
  memcpy(&length, frame, sizeof length);
  return length;
}

static uint8_t *write_frame(uint8_t *at, uint8_t type, const void *payload, size_t length) {
  uint32_t header = (uint32_t)length;
  memcpy(at, &header, sizeof header);
  at[4] = type;
  if (length > 0) memcpy(at + FRAME_HEADER_BYTES, payload, length);
  return at + FRAME_HEADER_BYTES + length;
}

int queue_add(struct queue *queue, uint8_t type, const void *payload, size_t length) {
  if (reserve(queue, FRAME_HEADER_BYTES + length) < 0) return -1;
  queue->end = (size_t)(write_frame(queue->bytes + queue->end, type, payload, length) - queue->bytes);
  return 0;
}

/* Accounts for `sent` bytes: finds the frame in which the sent part now ends. */
static void advance(struct queue *queue, size_t sent) {
  size_t boundary = queue->start + queue->partial;
  queue->start += sent;
  while (boundary < queue->start) boundary += FRAME_HEADER_BYTES + frame_length(queue->bytes + boundary);
  queue->partial = boundary - queue->start;
  if (queue->notice == NOWHERE || queue->start <= queue->notice) return;
  queue->notice = NOWHERE;
  queue->dropped = 0;
}

int queue_send(struct queue *queue, int fd) {
  while (queue_length(queue) > 0) {
    ssize_t sent = send(fd, queue->bytes + queue->start, queue_length(queue), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN ? 0 : -1;
    advance(queue, (size_t)sent);
  }
  queue->start = queue->end = 0;
  if (queue->capacity <= FRAME_PAYLOAD_BYTES_MAX) return 0;
  queue_close(queue); /* an idle connection holds no big buffer */
  return 0;
}

static int is_output(const uint8_t *frame) {
  return frame[4] == FRAME_STDOUT || frame[4] == FRAME_STDERR;
}

static uint8_t *write_notice(uint8_t *at, uint64_t dropped) {
  char text[NOTICE_BYTES_MAX - FRAME_HEADER_BYTES];
  int length = snprintf(text, sizeof text, "ainit: %" PRIu64 " bytes of output were dropped here\n", dropped);
  return write_frame(at, FRAME_STDERR, text, (size_t)length);
}

void queue_drop_output(struct queue *queue, size_t keep) {
  if (queue_length(queue) <= keep) return;
  size_t excess = queue_length(queue) - keep;
  size_t from = queue->start + queue->partial;
  /* First what goes, so that the notice can say how much. */
  size_t until = from, gone = 0;
  while (until < queue->end && gone < excess) {
    const uint8_t *frame = queue->bytes + until;
    size_t length = FRAME_HEADER_BYTES + frame_length(frame);
    if (is_output(frame)) gone += length;
    if (is_output(frame) && until != queue->notice) queue->dropped += length - FRAME_HEADER_BYTES;
    until += length;
  }
  if (gone < NOTICE_BYTES_MAX) return;
  uint8_t *kept = malloc(queue->capacity);
  if (kept == NULL) return;
  memcpy(kept, queue->bytes + queue->start, queue->partial);
  uint8_t *to = kept + queue->partial;
  size_t notice = queue->partial;
  to = write_notice(to, queue->dropped);
  for (size_t at = from; at < until;) {
    size_t length = FRAME_HEADER_BYTES + frame_length(queue->bytes + at);
    if (!is_output(queue->bytes + at)) to = mempcpy(to, queue->bytes + at, length);
    at += length;
  }
  to = mempcpy(to, queue->bytes + until, queue->end - until);
  free(queue->bytes);
  queue->bytes = kept;
  queue->start = 0;
  queue->end = (size_t)(to - kept);
  queue->notice = notice;
}
