/* The guest's doors (guest_doors.h). */
#define _GNU_SOURCE
#include "guest_doors.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "dial.h"
#include "machine.h"
#include "splice.h"
#include "streams.h"

/* A connection that the host asked for, until it is made. */
struct connecting {
  struct dial dial;
  struct splice *splice; /* NULL: a free entry */
};

static struct connecting connecting[CONNECTS_MAX];

/* Control is served by a socket, as it is where there is no channel. */
static void take_control(uint32_t id) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
    mux_refuse(id, errno);
    return;
  }
  struct splice *splice = splice_accept(id, CHANNEL_CONTROL);
  if (splice != NULL && control_adopt(ends[1]) == 0) {
    splice_answer(splice);
    splice_attach(splice, ends[0]);
    return;
  }
  if (splice != NULL) splice_refuse(splice, errno);
  close(ends[0]);
  close(ends[1]);
}

static void dialed(struct dial *dial, int status, int fd) {
  struct connecting *one = container_of(dial, struct connecting, dial);
  struct splice *splice = one->splice;
  one->splice = NULL;
  splice->context = NULL;
  if (status != 0) {
    splice_refuse(splice, status);
    return;
  }
  splice_answer(splice);
  splice_attach(splice, fd);
}

/* The host has lost patience. */
static void connecting_gone(struct splice *splice) {
  struct connecting *one = splice->context;
  if (one == NULL) return;
  one->splice = NULL;
  loopback_dialer.cancel(&one->dial);
}

static void take_stream(uint32_t id, const uint8_t *arguments) {
  struct connecting *one = connecting;
  while (one < connecting + CONNECTS_MAX && one->splice != NULL) one++;
  if (one == connecting + CONNECTS_MAX) {
    mux_refuse(id, EAGAIN);
    return;
  }
  struct splice *splice = splice_accept(id, CHANNEL_STREAM);
  if (splice == NULL) return;
  *one = (struct connecting){.dial = {.done = dialed}, .splice = splice};
  memcpy(&one->dial.port, arguments + 1, sizeof one->dial.port);
  splice->context = one;
  splice->gone = connecting_gone;
  loopback_dialer.begin(&one->dial);
}

void guest_doors_take(uint32_t id, const uint8_t *arguments, size_t length) {
  if (length == 1 && arguments[0] == CHANNEL_CONTROL) take_control(id);
  else if (length == 3 && arguments[0] == CHANNEL_STREAM) take_stream(id, arguments);
  else mux_refuse(id, ENOSYS);
}

int guest_doors_relay(struct relay *relay) {
  uint8_t arguments[3 + NAME_BYTES_MAX] = {CHANNEL_RELAY};
  size_t length = strlen(relay->name);
  /* Known beforehand: who was accepted cannot be put back. */
  if (splices_count(CHANNEL_RELAY) >= MUX_GUEST_CHANNELS_MAX / 2) return -1;
  int accepted = relay_accept(relay);
  if (accepted < 0) return errno == EAGAIN || errno == ECONNABORTED ? 0 : -1;
  memcpy(arguments + 1, &relay->port, sizeof relay->port);
  memcpy(arguments + 3, relay->name, length);
  if (splice_open(arguments, 3 + length, accepted) != NULL) return 0;
  close(accepted);
  return -1;
}
