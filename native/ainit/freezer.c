/* Standing still (freezer.h). */
#define _GNU_SOURCE
#include "freezer.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "events.h"
#include "loop.h"
#include "machine.h"
#include "mux.h"
#include "opening.h"
#include "protocol.h"
#include "queue.h"

enum stage { FREEZER_OFF, FREEZER_ASKED, FREEZER_ON };

static enum stage stage;
static int is_template;
static struct source client = {.fd = -1};

/* One short frame into an empty socket. */
static void tell(int fd, uint8_t type, const char *text, size_t length) {
  struct queue queue;
  queue_open(&queue);
  if (queue_add(&queue, type, text, length) == 0) queue_send(&queue, fd);
  queue_close(&queue);
}

static void tell_frozen(void) {
  char line[64];
  int length = snprintf(line, sizeof line, "frozen t=%" PRIu64, event_now_ns());
  tell(client.fd, FRAME_EVENT, line, (size_t)length);
}

static void thaw(void) {
  stage = FREEZER_OFF;
  if (is_template) return;
  mux_release();
  opening_send_clock();
}

/* It says nothing more but its going. */
static void client_ready(struct source *source, uint32_t events) {
  char bytes[64];
  (void)events;
  if (recv(source->fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) return;
  source_close(source);
  if (stage == FREEZER_ON) thaw(); /* else once the guest has answered */
}

void freezer_take(int fd) {
  static const char busy[] = "errno=16 text=the machine is being frozen by another connection";
  if (client.fd >= 0 || stage != FREEZER_OFF || source_open(&client, fd, EPOLLIN, client_ready) < 0) {
    tell(fd, FRAME_ERROR, busy, sizeof busy - 1);
    close(fd);
    return;
  }
  stage = is_template ? FREEZER_ON : FREEZER_ASKED;
  if (is_template) {
    tell_frozen();
    return;
  }
  mux_message(MESSAGE_FREEZE, NULL, 0);
  mux_hold();
}

void freezer_is_still(void) {
  is_template = 1;
}

int freezer_frozen(void) {
  if (stage != FREEZER_ASKED) return -1;
  stage = FREEZER_ON;
  if (client.fd >= 0) tell_frozen();
  else thaw();
  return 0;
}
