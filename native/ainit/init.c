/*
 * PID 1 (init.h): takes over what `launch` left, puts the parts together and runs the loop. Signals reach the task only by
 * request: PID 1 ignores what it has no handler for.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "child.h"
#include "control.h"
#include "dns.h"
#include "events.h"
#include "log.h"
#include "loop.h"
#include "ports.h"
#include "protocol.h"
#include "relay.h"
#include "seccomp.h"
#include "streams.h"
#include "task.h"

static struct source signals;

/* Fills the gaps among the known descriptors, so that nothing else ever gets one of their numbers. */
static void fill_gap(int fd) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0 && null != fd) {
    dup3(null, fd, O_CLOEXEC);
    close(null);
  }
}

/* Which of the optional ones `launch` gave. */
struct found {
  int has_out;
  int has_lent_program;
};

static struct found take_descriptors(void) {
  struct found found = {0};
  close_range(FD_END, ~0u, 0);
  for (int fd = 0; fd < FD_END; fd++) {
    int is_there = fcntl(fd, F_GETFD) >= 0;
    if (!is_there) fill_gap(fd);
    if (fd >= FD_SPEC) fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (fd == FD_OUT) found.has_out = is_there;
    if (fd == FD_LEND) found.has_lent_program = is_there;
  }
  fcntl(FD_CONTROL, F_SETFL, O_NONBLOCK);
  fcntl(FD_STREAMS, F_SETFL, O_NONBLOCK);
  return found;
}

static void signals_ready(struct source *source, uint32_t events) {
  struct signalfd_siginfo info;
  (void)events;
  while (read(source->fd, &info, sizeof info) > 0) continue;
  if (!process_reap_all()) task_alone();
}

static void open_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_SETMASK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0 || source_open(&signals, fd, EPOLLIN, signals_ready) < 0) _exit(70);
}

static void raise_file_limit(void) {
  getrlimit(RLIMIT_NOFILE, &confinement.files);
  struct rlimit raised = {confinement.files.rlim_max, confinement.files.rlim_max};
  setrlimit(RLIMIT_NOFILE, &raised);
}

static int configure(struct spec *spec, int has_out, const char **bad) {
  unsigned long long log_bytes = LOG_BYTES_DEFAULT;
  const char *text = spec_get(spec, *bad = "log_bytes");
  if (text != NULL && parse_number(text, LOG_BYTES_MIN, 1ull << 50, &log_bytes) < 0) return -1;
  log_open(has_out ? FD_OUT : -1, log_bytes);
  const char *filtered = spec_get(spec, "seccomp");
  confinement.is_filtered = filtered == NULL || strcmp(filtered, "0") != 0;
  if (confinement.is_filtered) seccomp_prepare();
  if (confinement_read(spec, bad) < 0) return -1;
  *bad = "port";
  if (ports_configure(spec) < 0) return -1;
  return task_configure(spec, bad);
}

static void fail(const char *step, const char *about) {
  char text[200];
  int number = errno;
  snprintf(text, sizeof text, "%s: %s", strerror(number), about);
  task_fail(step, number, text);
}

static void begin(int has_out) {
  static struct spec spec;
  const char *bad = "unreadable";
  lseek(FD_SPEC, 0, SEEK_SET);
  int result = spec_read(FD_SPEC, &spec);
  fill_gap(FD_SPEC);
  if (result == 0) result = configure(&spec, has_out, &bad);
  if (result < 0) {
    fail("spec", bad);
    return;
  }
  if (relays_open(&spec, &bad) < 0) {
    fail("relay", bad);
    return;
  }
  if (dns_open(&spec, &bad) < 0) {
    fail("dns", bad);
    return;
  }
  task_begin();
}

int init_main(void) {
  if (getpid() != 1) {
    fputs("error: \"ainit init\" is only for PID 1 of an instance\n", stderr);
    return 64;
  }
  /* The task has our uid: without this it could read our memory and use our descriptors through /proc/1. */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  struct found found = take_descriptors();
  confinement.has_lent_program = found.has_lent_program;
  loop_open();
  open_signals();
  raise_file_limit();
  event_emit("init t=%" PRIu64, now_ns());
  control_open(FD_CONTROL);
  streams_open(FD_STREAMS);
  begin(found.has_out);
  loop_run();
}
