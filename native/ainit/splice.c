/* Channels and descriptors (splice.h). */
#define _GNU_SOURCE
#include "splice.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPLICES_MAX (MUX_HOST_CHANNELS_MAX + MUX_GUEST_CHANNELS_MAX)
/* All that slow readers leave waiting. Whoever would make it more is cut off. */
#define PENDING_BYTES_MAX (16u << 20)

static struct splice splices[SPLICES_MAX];
static unsigned used; /* entries beyond this were never used */
static size_t pending_total;

static size_t pull(struct channel *channel, uint8_t *to, size_t room);
static void push(struct channel *channel, const uint8_t *bytes, size_t length);
static void ended(struct channel *channel);
static void reset(struct channel *channel);
static void answered(struct channel *channel, int status);

static const struct channel_owner owner = {pull, push, ended, reset, answered};

static struct splice *splice_of(struct channel *channel) {
  return container_of(channel, struct splice, channel);
}

static struct splice *take_free(uint8_t kind) {
  struct splice *splice = splices;
  while (splice < splices + used && splice->kind != 0) splice++;
  errno = EAGAIN;
  if (splice == splices + SPLICES_MAX) return NULL;
  if (splice == splices + used) used++;
  *splice = (struct splice){.source = {.fd = -1}, .kind = kind};
  return splice;
}

static void release(struct splice *splice) {
  channel_forget(&splice->channel);
  if (splice->gone != NULL) splice->gone(splice);
  source_close(&splice->source);
  pending_total -= bytes_length(&splice->pending);
  bytes_clear(&splice->pending);
  splice->kind = 0;
}

/* Waits for what can be done next. With nothing to read and nothing to write, only for the other end's going. */
static void want(struct splice *splice) {
  uint32_t interest = 0;
  int is_reading = !splice->is_out_done && !splice->channel.is_queued && splice->channel.credit > 0;
  if (is_reading) interest |= EPOLLIN;
  if (bytes_length(&splice->pending) > 0) interest |= EPOLLOUT;
  if (splice->is_out_done) interest |= EPOLLPRI;
  source_want(&splice->source, interest);
}

static void finish_if_done(struct splice *splice) {
  if (splice->is_out_done && splice->is_in_done) release(splice);
  else want(splice);
}

/* The descriptor is of no use any more, and the peer is told so at once. */
static void abort_splice(struct splice *splice) {
  struct linger at_once = {.l_onoff = 1};
  setsockopt(splice->source.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  channel_reset(&splice->channel);
  release(splice);
}

void splice_close(struct splice *splice) {
  abort_splice(splice);
}

/* Everything was taken, and nothing more will come. */
static void end_input(struct splice *splice) {
  if (!splice->is_in_ended || bytes_length(&splice->pending) > 0 || splice->source.fd < 0) return;
  shutdown(splice->source.fd, SHUT_WR);
  splice->is_in_done = 1;
}

/* How much the descriptor took; -1: it is broken. */
static ssize_t give(struct splice *splice, const uint8_t *bytes, size_t length) {
  if (splice->source.fd < 0) return 0;
  if (splice->bytes_left != NULL && length > *splice->bytes_left) return -1;
  ssize_t written = write(splice->source.fd, bytes, length);
  if (written < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
  if (splice->bytes_left != NULL) *splice->bytes_left -= (unsigned long long)written;
  channel_consumed(&splice->channel, (size_t)written);
  return written;
}

static void push(struct channel *channel, const uint8_t *bytes, size_t length) {
  struct splice *splice = splice_of(channel);
  ssize_t given = bytes_length(&splice->pending) > 0 ? 0 : give(splice, bytes, length);
  size_t left = length - (size_t)given;
  if (given >= 0 && left == 0) return;
  if (given < 0 || pending_total + left > PENDING_BYTES_MAX ||
      bytes_append(&splice->pending, bytes + given, left, MUX_CREDIT_BYTES) < 0) {
    abort_splice(splice);
    return;
  }
  pending_total += left;
  want(splice);
}

/* 0, or -1 when the splice is gone. */
static int flush(struct splice *splice) {
  size_t length = bytes_length(&splice->pending);
  if (length == 0) return 0;
  ssize_t given = give(splice, bytes_first(&splice->pending), length);
  if (given < 0) {
    abort_splice(splice);
    return -1;
  }
  bytes_drop(&splice->pending, (size_t)given);
  pending_total -= (size_t)given;
  end_input(splice);
  return 0;
}

static size_t pull(struct channel *channel, uint8_t *to, size_t room) {
  struct splice *splice = splice_of(channel);
  if (splice->source.fd < 0 || splice->is_out_done) return 0;
  ssize_t got = read(splice->source.fd, to, room);
  if (got > 0) {
    /* Unless the next turn is sure, the loop is to look; and where it cannot, at a file, there has to be one. */
    if ((size_t)got < room && (splice->source.interest & EPOLLIN) == 0) want(splice);
    if ((size_t)got < room && (splice->source.interest & EPOLLIN) == 0) channel_ready(&splice->channel);
    return (size_t)got;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    want(splice);
    return 0;
  }
  if (got < 0) {
    abort_splice(splice);
    return 0;
  }
  splice->is_out_done = 1;
  channel_finish(channel);
  finish_if_done(splice);
  return 0;
}

static void ended(struct channel *channel) {
  struct splice *splice = splice_of(channel);
  splice->is_in_ended = 1;
  end_input(splice);
  finish_if_done(splice);
}

/* Behind the end, a reset says that nothing is read any more: what was sent before it still counts. */
static void reset(struct channel *channel) {
  struct splice *splice = splice_of(channel);
  if (!splice->is_in_ended) {
    abort_splice(splice);
    return;
  }
  splice->is_out_done = 1;
  finish_if_done(splice);
}

static void answered(struct channel *channel, int status) {
  struct splice *splice = splice_of(channel);
  if (splice->answered != NULL) splice->answered(splice, status);
  if (status != 0 && splice->kind != 0) release(splice);
}

static void splice_ready(struct source *source, uint32_t events) {
  struct splice *splice = container_of(source, struct splice, source);
  if ((events & EPOLLOUT) != 0 && flush(splice) < 0) return;
  int is_gone = (events & (EPOLLHUP | EPOLLERR)) != 0;
  if (splice->is_out_done && is_gone && !splice->is_in_done) {
    abort_splice(splice);
    return;
  }
  int is_idle = !splice->channel.is_queued && splice->channel.credit > 0;
  if (!splice->is_out_done && is_idle && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    channel_ready(&splice->channel); /* soon it is read: the loop need not be told to look away */
    return;
  }
  finish_if_done(splice);
}

struct splice *splice_open(const uint8_t *arguments, size_t length, int fd) {
  struct splice *splice = take_free(arguments[0]);
  if (splice == NULL) return NULL;
  if (channel_open(&splice->channel, &owner, arguments, length) < 0) {
    splice->kind = 0;
    return NULL;
  }
  if (fd >= 0) splice_attach(splice, fd);
  return splice;
}

struct splice *splice_accept(uint32_t id, uint8_t kind) {
  struct splice *splice = take_free(kind);
  if (splice == NULL) mux_refuse(id, errno);
  else channel_accept(&splice->channel, id, &owner);
  return splice;
}

void splice_answer(struct splice *splice) {
  channel_answer(&splice->channel, 0);
}

void splice_refuse(struct splice *splice, int status) {
  channel_answer(&splice->channel, status);
  release(splice);
}

/* A file cannot be waited for, and need not be: it is always ready. */
void splice_attach(struct splice *splice, int fd) {
  source_open(&splice->source, fd, 0, splice_ready);
  if (flush(splice) < 0) return;
  end_input(splice);
  channel_ready(&splice->channel);
  finish_if_done(splice);
}

void splice_finish(struct splice *splice) {
  splice->is_out_done = 1;
  channel_finish(&splice->channel);
}

void splices_forget(void) {
  for (unsigned at = 0; at < used; at++)
    if (splices[at].kind != 0) release(&splices[at]);
}

unsigned splices_count(uint8_t kind) {
  unsigned count = 0;
  for (unsigned at = 0; at < used; at++) count += splices[at].kind == kind;
  return count;
}

int splices_are_drained(void) {
  for (unsigned at = 0; at < used; at++) {
    int unread = 0;
    struct splice *splice = &splices[at];
    if (splice->kind == 0 || splice->source.fd < 0) continue;
    if (bytes_length(&splice->pending) > 0) return 0;
    if (!splice->is_out_done && ioctl(splice->source.fd, FIONREAD, &unread) == 0 && unread > 0) return 0;
  }
  return 1;
}
