/* Channels and descriptors (bridge.h). */
#define _GNU_SOURCE
#include "bridge.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BRIDGES_MAX (MUX_HOST_CHANNELS_MAX + MUX_GUEST_CHANNELS_MAX)
/* All that slow readers leave waiting. Whoever would make it more is cut off. */
#define PENDING_BYTES_MAX (16u << 20)

static struct bridge bridges[BRIDGES_MAX];
static unsigned used; /* entries beyond this were never used */
static size_t pending_total;

static size_t pull(struct channel *channel, uint8_t *to, size_t room);
static void push(struct channel *channel, const uint8_t *bytes, size_t length);
static void ended(struct channel *channel);
static void reset(struct channel *channel);
static void answered(struct channel *channel, int status);

static const struct channel_owner owner = {pull, push, ended, reset, answered};

static struct bridge *bridge_of(struct channel *channel) {
  return container_of(channel, struct bridge, channel);
}

static struct bridge *take_free(uint8_t kind) {
  struct bridge *bridge = bridges;
  while (bridge < bridges + used && bridge->kind != 0) bridge++;
  errno = EAGAIN;
  if (bridge == bridges + BRIDGES_MAX) return NULL;
  if (bridge == bridges + used) used++;
  *bridge = (struct bridge){.source = {.fd = -1}, .kind = kind, .bytes_left = UINT64_MAX};
  return bridge;
}

static void release(struct bridge *bridge) {
  channel_forget(&bridge->channel);
  if (bridge->gone != NULL) bridge->gone(bridge);
  source_close(&bridge->source);
  pending_total -= bytes_length(&bridge->pending);
  bytes_clear(&bridge->pending);
  bridge->kind = 0;
}

/* Waits for what can be done next. With nothing to read and nothing to write, only for the other end's going. */
static void want(struct bridge *bridge) {
  uint32_t interest = 0;
  int is_reading = !bridge->is_out_done && !bridge->channel.is_queued && bridge->channel.credit > 0;
  if (is_reading) interest |= EPOLLIN;
  if (bytes_length(&bridge->pending) > 0) interest |= EPOLLOUT;
  if (bridge->is_out_done) interest |= EPOLLPRI;
  source_want(&bridge->source, interest);
}

static void finish_if_done(struct bridge *bridge) {
  if (bridge->is_out_done && bridge->is_in_done) release(bridge);
  else want(bridge);
}

/* The descriptor is of no use any more, and the peer is told so at once. */
static void abort_bridge(struct bridge *bridge) {
  struct linger at_once = {.l_onoff = 1};
  setsockopt(bridge->source.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  channel_reset(&bridge->channel);
  release(bridge);
}

void bridge_close(struct bridge *bridge) {
  abort_bridge(bridge);
}

/* Everything was taken, and nothing more will come. */
static void end_input(struct bridge *bridge) {
  if (!bridge->is_in_ended || bytes_length(&bridge->pending) > 0 || bridge->source.fd < 0) return;
  shutdown(bridge->source.fd, SHUT_WR);
  bridge->is_in_done = 1;
}

/* How much the descriptor took; -1: it is broken. */
static ssize_t give(struct bridge *bridge, const uint8_t *bytes, size_t length) {
  if (bridge->source.fd < 0) return 0;
  if (length > bridge->bytes_left) return -1;
  ssize_t written = write(bridge->source.fd, bytes, length);
  if (written < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
  if (bridge->bytes_left != UINT64_MAX) bridge->bytes_left -= (uint64_t)written;
  channel_consumed(&bridge->channel, (size_t)written);
  return written;
}

static void push(struct channel *channel, const uint8_t *bytes, size_t length) {
  struct bridge *bridge = bridge_of(channel);
  ssize_t given = bytes_length(&bridge->pending) > 0 ? 0 : give(bridge, bytes, length);
  size_t left = length - (size_t)given;
  if (given >= 0 && left == 0) return;
  if (given < 0 || pending_total + left > PENDING_BYTES_MAX ||
      bytes_append(&bridge->pending, bytes + given, left, MUX_CREDIT_BYTES) < 0) {
    abort_bridge(bridge);
    return;
  }
  pending_total += left;
  want(bridge);
}

/* 0, or -1 when the bridge is gone. */
static int flush(struct bridge *bridge) {
  size_t length = bytes_length(&bridge->pending);
  if (length == 0) return 0;
  ssize_t given = give(bridge, bytes_first(&bridge->pending), length);
  if (given < 0) {
    abort_bridge(bridge);
    return -1;
  }
  bytes_drop(&bridge->pending, (size_t)given);
  pending_total -= (size_t)given;
  end_input(bridge);
  return 0;
}

static size_t pull(struct channel *channel, uint8_t *to, size_t room) {
  struct bridge *bridge = bridge_of(channel);
  if (bridge->source.fd < 0 || bridge->is_out_done) return 0;
  ssize_t got = read(bridge->source.fd, to, room);
  if (got > 0) {
    /* The turn may have come without the loop, which is then told to look again. */
    if (bridge->source.interest == 0) want(bridge);
    return (size_t)got;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    want(bridge);
    return 0;
  }
  if (got < 0) {
    abort_bridge(bridge);
    return 0;
  }
  bridge->is_out_done = 1;
  channel_finish(channel);
  finish_if_done(bridge);
  return 0;
}

static void ended(struct channel *channel) {
  struct bridge *bridge = bridge_of(channel);
  bridge->is_in_ended = 1;
  end_input(bridge);
  finish_if_done(bridge);
}

/* Behind the end, a reset says that nothing is read any more: what was sent before it still counts. */
static void reset(struct channel *channel) {
  struct bridge *bridge = bridge_of(channel);
  if (!bridge->is_in_ended) {
    abort_bridge(bridge);
    return;
  }
  bridge->is_out_done = 1;
  finish_if_done(bridge);
}

static void answered(struct channel *channel, int status) {
  struct bridge *bridge = bridge_of(channel);
  if (bridge->answered != NULL) bridge->answered(bridge, status);
  if (status != 0) release(bridge);
}

static void bridge_ready(struct source *source, uint32_t events) {
  struct bridge *bridge = container_of(source, struct bridge, source);
  if ((events & EPOLLOUT) != 0 && flush(bridge) < 0) return;
  int is_gone = (events & (EPOLLHUP | EPOLLERR)) != 0;
  if (bridge->is_out_done && is_gone && !bridge->is_in_done) {
    abort_bridge(bridge);
    return;
  }
  if (!bridge->is_out_done && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    channel_ready(&bridge->channel);
    if (bridge->kind == 0) return;
  }
  finish_if_done(bridge);
}

struct bridge *bridge_open(const uint8_t *arguments, size_t length, int fd) {
  struct bridge *bridge = take_free(arguments[0]);
  if (bridge == NULL) return NULL;
  if (channel_open(&bridge->channel, &owner, arguments, length) < 0) {
    bridge->kind = 0;
    return NULL;
  }
  if (fd >= 0) bridge_attach(bridge, fd);
  return bridge;
}

struct bridge *bridge_accept(uint32_t id, uint8_t kind) {
  struct bridge *bridge = take_free(kind);
  if (bridge == NULL) mux_refuse(id, errno);
  else channel_accept(&bridge->channel, id, &owner);
  return bridge;
}

void bridge_answer(struct bridge *bridge) {
  channel_answer(&bridge->channel, 0);
}

void bridge_refuse(struct bridge *bridge, int status) {
  channel_answer(&bridge->channel, status);
  release(bridge);
}

/* A file cannot be waited for, and need not be: it is always ready. */
void bridge_attach(struct bridge *bridge, int fd) {
  source_open(&bridge->source, fd, 0, bridge_ready);
  if (flush(bridge) < 0) return;
  end_input(bridge);
  channel_ready(&bridge->channel);
  if (bridge->kind != 0) finish_if_done(bridge);
}

void bridges_forget(void) {
  for (unsigned at = 0; at < used; at++)
    if (bridges[at].kind != 0) release(&bridges[at]);
}

unsigned bridges_count(uint8_t kind) {
  unsigned count = 0;
  for (unsigned at = 0; at < used; at++) count += bridges[at].kind == kind;
  return count;
}

int bridges_are_drained(void) {
  for (unsigned at = 0; at < used; at++) {
    int unread = 0;
    struct bridge *bridge = &bridges[at];
    if (bridge->kind == 0 || bridge->source.fd < 0) continue;
    if (bytes_length(&bridge->pending) > 0) return 0;
    if (!bridge->is_out_done && ioctl(bridge->source.fd, FIONREAD, &unread) == 0 && unread > 0) return 0;
  }
  return 1;
}
