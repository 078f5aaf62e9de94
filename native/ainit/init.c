/*
 * PID 1 of a sandbox (init.h): takes over what `launch` left, and puts the parts together. What every PID 1 does is in pid1.c.
 */
#define _GNU_SOURCE
#include "init.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "child.h"
#include "control.h"
#include "dial.h"
#include "egress.h"
#include "events.h"
#include "log.h"
#include "loop.h"
#include "out.h"
#include "pid1.h"
#include "protocol.h"
#include "relay.h"
#include "streams.h"
#include "task.h"

static int is_never_behind(void) {
  return 0;
}

static int is_flushed_always(void) {
  return 1;
}

static void leave(int status) {
  _exit(status);
}

static const struct task_home home = {
    .report = out_write_exit, .is_behind = is_never_behind, .is_flushed = is_flushed_always, .leave = leave};

static void begin(int has_out) {
  static struct spec spec;
  const char *bad = "unreadable";
  int result = pid1_read_spec(&spec);
  if (result == 0) result = out_open(&spec, has_out, &bad);
  if (result == 0) result = egress_configure(&spec, &bad);
  if (result < 0) pid1_fail("spec", bad);
  else pid1_begin_task(&spec);
}

int init_main(void) {
  if (getpid() != 1) {
    fputs("error: \"ainit init\" is only for PID 1 of an instance\n", stderr);
    return 64;
  }
  /* The task has our uid: without this it could read our memory and use our descriptors through /proc/1. */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  struct pid1_found found = pid1_take_descriptors();
  confinement.lent = found.has_lent_program ? LENT_HERE : LENT_NOTHING;
  task_open(&home);
  pid1_open();
  event_emit("init t=%" PRIu64, event_now_ns());
  control_open(FD_CONTROL);
  streams_open(FD_STREAMS, &loopback_dialer);
  relays_set_outlet(egress_take);
  begin(found.has_out);
  loop_run();
}
