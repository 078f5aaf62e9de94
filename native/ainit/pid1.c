/* The common part of every PID 1 (pid1.h). Signals reach the task only by request: PID 1 ignores what it has no handler for. */
#define _GNU_SOURCE
#include "pid1.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "child.h"
#include "dns.h"
#include "loop.h"
#include "ports.h"
#include "protocol.h"
#include "relay.h"
#include "seccomp.h"
#include "task.h"

static struct source signals;

/* Puts /dev/null at a known descriptor that is not there, so that nothing else ever gets its number. */
static void fill_gap(int fd) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0 && null != fd) {
    dup3(null, fd, O_CLOEXEC);
    close(null);
  }
}

struct pid1_found pid1_take_descriptors(void) {
  struct pid1_found found = {0};
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

int pid1_read_spec(struct spec *spec) {
  lseek(FD_SPEC, 0, SEEK_SET);
  int result = spec_read(FD_SPEC, spec);
  int saved = errno;
  fill_gap(FD_SPEC);
  errno = saved;
  return result;
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

void pid1_open(void) {
  loop_open();
  open_signals();
  raise_file_limit();
}

static int configure(struct spec *spec, const char **bad) {
  const char *filtered = spec_get(spec, "seccomp");
  confinement.is_filtered = filtered == NULL || strcmp(filtered, "0") != 0;
  if (confinement.is_filtered) seccomp_prepare(confinement.user != 0);
  if (confinement_read(spec, bad) < 0) return -1;
  *bad = "port";
  if (ports_configure(spec) < 0) return -1;
  return task_configure(spec, bad);
}

void pid1_fail(const char *step, const char *about) {
  char text[200];
  int number = errno;
  snprintf(text, sizeof text, "%s: %s", strerror(number), about);
  task_fail(step, number, text);
}

void pid1_begin_task(struct spec *spec) {
  const char *bad = "unreadable";
  if (configure(spec, &bad) < 0) pid1_fail("spec", bad);
  else if (relays_open(spec, &bad) < 0) pid1_fail("relay", bad);
  else if (dns_open(spec, &bad) < 0) pid1_fail("dns", bad);
  else task_begin();
}
