/* Fetching the lent program (guest_lent.h). It lives in memory, in a file without a name. */
#define _GNU_SOURCE
#include "guest_lent.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "control.h"
#include "machine.h"
#include "protocol.h"
#include "splice.h"

static int file = -1;

/* A file that somebody may still write to is not executed: it is opened again to be read only. */
static int put_in_place(void) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  int readable = open(path, O_RDONLY | O_CLOEXEC);
  if (readable < 0) return -1;
  int result = dup3(readable, FD_LEND, O_CLOEXEC);
  close(readable);
  return result;
}

static void gone(struct splice *splice) {
  int is_whole = splice->is_in_done && put_in_place() >= 0;
  close(file);
  file = -1;
  source_close(&splice->source);
  confinement.lent = is_whole ? LENT_HERE : LENT_NOTHING;
  control_unblock_waiting();
}

void lent_fetch(void) {
  const uint8_t kind = CHANNEL_LEND;
  if (file >= 0) return;
  file = memfd_create("lent", MFD_CLOEXEC);
  int written = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, FD_END);
  struct splice *splice = written < 0 ? NULL : splice_open(&kind, sizeof kind, -1);
  if (splice != NULL) {
    splice->gone = gone;
    splice_finish(splice);
    splice_attach(splice, written);
    return;
  }
  if (written >= 0) close(written);
  if (file >= 0) close(file);
  file = -1;
  confinement.lent = LENT_NOTHING;
}
