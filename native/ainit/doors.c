/*
 * The doors of a virtual machine (doors.h). Whoever comes to the control socket is let through as he is, unless his first frame
 * is for the host's side.
 */
#define _GNU_SOURCE
#include "doors.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acceptor.h"
#include "control.h"
#include "freezer.h"
#include "machine.h"
#include "protocol.h"
#include "splice.h"
#include "streams.h"

static struct acceptor control;
/* Who has said nothing yet. */
static struct source visitors[CONNECTIONS_MAX];
static int is_machine_open;

static void control_gone(struct splice *splice) {
  (void)splice;
  acceptor_resume(&control);
}

/* The descriptor is out of the loop. */
static void let_in(int fd) {
  const uint8_t kind = CHANNEL_CONTROL;
  struct splice *splice = is_machine_open ? splice_open(&kind, sizeof kind, fd) : NULL;
  if (splice == NULL) close(fd);
  else splice->gone = control_gone;
}

static void visitor_ready(struct source *source, uint32_t events) {
  uint8_t header[FRAME_HEADER_BYTES];
  int fd = source->fd;
  (void)events;
  ssize_t got = recv(fd, header, sizeof header, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0 && (size_t)got < sizeof header) return; /* edge-triggered: the rest wakes us */
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  source_want(source, 0);
  source->fd = -1;
  if (got <= 0) close(fd);
  else if (header[4] == FRAME_FREEZE) freezer_take(fd);
  else let_in(fd);
  acceptor_resume(&control);
}

static void control_ready(struct source *source, uint32_t events) {
  (void)source;
  (void)events;
  unsigned waiting = 0;
  struct source *place = NULL;
  for (size_t at = 0; at < CONNECTIONS_MAX; at++) {
    waiting += visitors[at].fd >= 0;
    if (visitors[at].fd < 0) place = &visitors[at];
  }
  if (place == NULL || waiting + splices_count(CHANNEL_CONTROL) >= CONNECTIONS_MAX) {
    acceptor_full(&control);
    return;
  }
  int fd = acceptor_take(&control);
  if (fd < 0 || source_open(place, fd, EPOLLIN | EPOLLET, visitor_ready) == 0) return;
  close(fd);
  place->fd = -1;
}

/* Whoever asked for a stream gets one end of a pair, and the machine has the other. */
static void stream_answered(struct splice *splice, int status) {
  struct dial *dial = splice->context;
  int ends[2];
  if (dial == NULL) return;
  splice->context = NULL;
  if (status == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
    status = errno;
    splice_close(splice);
  } else if (status == 0) {
    splice_attach(splice, ends[0]);
  }
  dial->done(dial, status, status == 0 ? ends[1] : -1);
}

/* Reset before it was answered. */
static void stream_gone(struct splice *splice) {
  struct dial *dial = splice->context;
  splice->context = NULL;
  if (dial != NULL) dial->done(dial, ECONNRESET, -1);
}

static void dial_begin(struct dial *dial) {
  uint8_t arguments[3] = {CHANNEL_STREAM};
  memcpy(arguments + 1, &dial->port, sizeof dial->port);
  struct splice *splice = splice_open(arguments, sizeof arguments, -1);
  dial->context = splice;
  if (splice == NULL) {
    dial->done(dial, errno, -1);
    return;
  }
  splice->context = dial;
  splice->answered = stream_answered;
  splice->gone = stream_gone;
}

static void dial_cancel(struct dial *dial) {
  struct splice *splice = dial->context;
  if (splice == NULL) return;
  splice->context = NULL;
  splice_close(splice);
}

static const struct dialer machine_dialer = {.begin = dial_begin, .cancel = dial_cancel};

void doors_open_control(void) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++) visitors[at].fd = -1;
  acceptor_open(&control, FD_CONTROL, control_ready);
}

void doors_open(void) {
  is_machine_open = 1;
  doors_open_control();
  streams_open(FD_STREAMS, &machine_dialer);
}
