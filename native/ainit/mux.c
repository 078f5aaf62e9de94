/* The stream of frames (mux.h): what is read, what is written, and whose turn it is. The channels are in channels.c. */
#define _GNU_SOURCE
#include "mux.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "loop.h"
#include "machine.h"
#include "mux_internal.h"

/* Data is pulled while less than this waits to be written; answers may go beyond. */
#define OUT_BYTES_SOFT 65536u
/* A peer that lets this much of answers pile up does not read. */
#define OUT_BYTES_MAX (512u * 1024)
#define IN_BYTES_MAX 65536u
/* One call moves at most so many buffers, so that the loop gets to others. */
#define ROUNDS_MAX 16

static struct {
  struct source port;
  const struct mux_owner *owner;
  struct bytes out;
  uint8_t in[IN_BYTES_MAX];
  size_t in_length;
  size_t held_at;        /* bytes of `out` that may go; SIZE_MAX: all */
  struct channel *first; /* whose turn is next */
  struct channel *last;
  int is_broken;
} mux = {.port = {.fd = -1}, .held_at = SIZE_MAX};

void mux_break(const char *why) {
  if (mux.is_broken) return;
  mux.is_broken = 1;
  source_close(&mux.port);
  mux.owner->broken(why);
}

void mux_take_turn_soon(struct channel *channel) {
  if (channel->is_queued) return;
  channel->is_queued = 1;
  channel->next_in_turn = NULL;
  if (mux.last == NULL) mux.first = channel;
  else mux.last->next_in_turn = channel;
  mux.last = channel;
}

void mux_take_no_turn(struct channel *channel) {
  struct channel *before = NULL;
  if (!channel->is_queued) return;
  channel->is_queued = 0;
  for (struct channel *at = mux.first; at != channel; at = at->next_in_turn) before = at;
  if (before == NULL) mux.first = channel->next_in_turn;
  else before->next_in_turn = channel->next_in_turn;
  if (mux.last == channel) mux.last = before;
}

static void write_header(uint8_t *to, uint32_t id, uint8_t type, size_t length) {
  struct frame_header header = {.channel = id, .length = (uint16_t)length, .type = type};
  memcpy(to, &header, sizeof header);
}

void mux_send(uint32_t id, uint8_t type, const void *payload, size_t length) {
  uint8_t *to = mux.is_broken ? NULL : bytes_reserve(&mux.out, FRAME_BYTES + length, OUT_BYTES_MAX);
  if (to == NULL) {
    mux_break("it does not read what it is sent");
    return;
  }
  write_header(to, id, type, length);
  if (length > 0) memcpy(to + FRAME_BYTES, payload, length);
  bytes_add(&mux.out, FRAME_BYTES + length);
}

/* One channel's bytes, as one frame; or whole messages, which are frames already. */
static void take_turn(void) {
  struct channel *channel = mux.first;
  mux_take_no_turn(channel);
  if (channel->id == 0) {
    if (messages_move(&mux.out, OUT_BYTES_MAX)) mux_take_turn_soon(channel);
    return;
  }
  size_t room = channel->credit < MUX_PAYLOAD_BYTES_MAX ? channel->credit : MUX_PAYLOAD_BYTES_MAX;
  uint8_t *to = bytes_reserve(&mux.out, FRAME_BYTES + room, OUT_BYTES_MAX);
  if (to == NULL) mux_break("there is no memory");
  if (to == NULL || room == 0 || channel->is_finished) return;
  uint32_t id = channel->id;
  size_t length = channel->owner->pull(channel, to + FRAME_BYTES, room);
  if (length == 0) return;
  write_header(to, id, MUX_DATA, length);
  bytes_add(&mux.out, FRAME_BYTES + length);
  channel->credit -= (uint32_t)length;
  if (length == room) mux_take_turn_soon(channel);
}

/* 0 when nothing is left that may go, 1 when the port takes no more. */
static int write_out(void) {
  while (bytes_length(&mux.out) > 0 && mux.held_at > 0) {
    size_t length = bytes_length(&mux.out) < mux.held_at ? bytes_length(&mux.out) : mux.held_at;
    ssize_t written = write(mux.port.fd, bytes_first(&mux.out), length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return 1; /* gone: reading finds out */
    bytes_drop(&mux.out, (size_t)written);
    if (mux.held_at != SIZE_MAX) mux.held_at -= (size_t)written;
  }
  return 0;
}

/* Sends what there is to send, at the end of each turn of the loop. */
static void pump(void) {
  int is_full = 0;
  if (mux.is_broken) return;
  for (int round = 0; round < ROUNDS_MAX && !is_full; round++) {
    while (mux.held_at == SIZE_MAX && bytes_length(&mux.out) < OUT_BYTES_SOFT && mux.first != NULL) take_turn();
    if (mux.is_broken) break;
    is_full = write_out();
    if (mux.first == NULL || mux.held_at != SIZE_MAX) break;
  }
  if (mux.port.interest == 0) return; /* at rest: closed, perhaps */
  int has_more = mux.held_at == SIZE_MAX ? mux.first != NULL || bytes_length(&mux.out) > 0
                                         : mux.held_at > 0 && bytes_length(&mux.out) > 0;
  source_want(&mux.port, EPOLLIN | (has_more ? EPOLLOUT : 0u));
}

/* Takes the whole frames that have come. */
static void take_frames(void) {
  size_t at = 0;
  while (!mux.is_broken && mux.in_length - at >= FRAME_BYTES) {
    struct frame_header header;
    memcpy(&header, mux.in + at, sizeof header);
    if (header.length > MUX_PAYLOAD_BYTES_MAX || header.zero != 0) {
      mux_break("a frame that is too long, or none at all");
      return;
    }
    if (mux.in_length - at < FRAME_BYTES + (size_t)header.length) break;
    const uint8_t *payload = mux.in + at + FRAME_BYTES;
    at += FRAME_BYTES + (size_t)header.length;
    if (header.channel != 0) channels_take_frame(&header, payload);
    else if (header.type >= MESSAGE_HELLO) mux.owner->message(header.type, payload, header.length);
    else mux_break("an unknown message");
  }
  if (mux.is_broken || at == 0) return;
  mux.in_length -= at;
  memmove(mux.in, mux.in + at, mux.in_length);
}

static void port_ready(struct source *source, uint32_t events) {
  int is_closed = 0;
  if ((events & ~(uint32_t)EPOLLOUT) != 0) {
    ssize_t got = read(source->fd, mux.in + mux.in_length, sizeof mux.in - mux.in_length);
    is_closed = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (got > 0) mux.in_length += (size_t)got;
    if (got > 0) take_frames();
  }
  if (mux.is_broken || !is_closed) return;
  source_want(source, 0);
  mux.owner->closed();
}

void mux_open(int fd, enum mux_side side, const struct mux_owner *owner) {
  mux.owner = owner;
  channels_open(side, owner);
  loop_after_each(pump);
  if (source_open(&mux.port, fd, EPOLLIN, port_ready) < 0) mux_break("it cannot be waited for");
}

void mux_resume(void) {
  source_want(&mux.port, EPOLLIN);
}

void mux_forget(void) {
  while (mux.first != NULL) mux_take_no_turn(mux.first);
  bytes_clear(&mux.out);
  channels_forget();
}

int mux_is_drained(void) {
  return bytes_length(&mux.out) == 0 && mux.first == NULL && mux_messages_length() == 0;
}

void mux_hold(void) {
  messages_move(&mux.out, SIZE_MAX);
  mux.held_at = bytes_length(&mux.out);
}

void mux_release(void) {
  mux.held_at = SIZE_MAX;
}

void mux_stand_still(void) {
  struct pollfd port = {.fd = mux.port.fd, .events = POLLOUT};
  mux_hold();
  while (write_out() != 0 && poll(&port, 1, -1) >= 0) continue;
  port.events = POLLIN;
  while (poll(&port, 1, -1) != 1 || (port.revents & POLLIN) == 0) continue;
  mux.held_at = SIZE_MAX;
}
