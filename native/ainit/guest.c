/*
 * PID 1 of a virtual machine (guest.h). It greets the host and waits, with nothing mounted, so that a machine saved then serves
 * any task; what it is to be comes over the channel. From there on it is the PID 1 of a sandbox, with other ends.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bytes.h"
#include "child.h"
#include "control.h"
#include "events.h"
#include "guest_clock.h"
#include "guest_core.h"
#include "guest_devices.h"
#include "guest_doors.h"
#include "guest_home.h"
#include "guest_identity.h"
#include "guest_lent.h"
#include "guest_root.h"
#include "log.h"
#include "machine.h"
#include "mux.h"
#include "network.h"
#include "pid1.h"
#include "protocol.h"
#include "relay.h"
#include "splice.h"
#include "task.h"

#define PORT_WAIT_MS 10000
#define PORT_RETRY_MS 1
#define FILES_SOFT 1024
#define FILES_HARD (512u * 1024)
#define USER_DEFAULT 1000

static struct {
  struct bytes records; /* as far as they have come */
  int is_set_up;
  uint64_t greeted_ns;
  struct timer port_timer;
} guest;

/* To the console, which is all there is without a channel. */
_Noreturn static void give_up(const char *what) {
  int number = errno;
  int console = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
  dprintf(console < 0 ? 2 : console, "<0>ainit: %s: %s\n", what, strerror(number));
  machine_off();
}

static void greet(void) {
  uint8_t hello[256];
  struct utsname system;
  uint32_t version = MACHINE_VERSION;
  uname(&system);
  guest.greeted_ns = now_ns();
  memcpy(hello, &version, sizeof version);
  int length = snprintf((char *)hello + sizeof version, sizeof hello - sizeof version, "uptime_ns=%" PRIu64 " kernel=%.65s",
                        guest.greeted_ns, system.release);
  mux_message(MESSAGE_HELLO, hello, sizeof version + (size_t)length);
}

/* Threads count as processes, and ours do not. */
static int limit_processes(const struct spec *spec) {
  unsigned long long pids;
  const char *text = spec_get(spec, "pids");
  if (text == NULL) return 0;
  if (parse_number(text, 1, 1u << 22, &pids) < 0) return -1;
  confinement.limits[confinement.limit_count++] = (struct limit){RLIMIT_NPROC, (rlim_t)pids};
  return 0;
}

static int read_user(const struct spec *spec) {
  unsigned long long user = USER_DEFAULT;
  const char *text = spec_get(spec, "uid_inside");
  if (text != NULL && parse_number(text, 1, 0xfffffffeu, &user) < 0) return -1;
  confinement.user = (unsigned)user;
  return 0;
}

static void set_up(struct spec *spec) {
  char about[ROOT_ABOUT_BYTES] = "";
  event_emit("boot t=%" PRIu64 " uptime_ns=%" PRIu64, event_now_ns() - (now_ns() - guest.greeted_ns), guest.greeted_ns);
  event_emit("init t=%" PRIu64, event_now_ns());
  confinement.files = (struct rlimit){FILES_SOFT, FILES_HARD};
  confinement.lent = spec_get(spec, "lend") == NULL ? LENT_NOTHING : LENT_ELSEWHERE;
  confinement.fetch_lent = lent_fetch;
  if (limit_processes(spec) < 0) pid1_fail("spec", "pids");
  else if (read_user(spec) < 0) pid1_fail("spec", "uid_inside");
  else if (root_enter(spec, about) < 0) pid1_fail("mount", about);
  else if (network_open() < 0 || network_add_addresses(spec) < 0) pid1_fail("network", "loopback");
  else if (core_open(spec) < 0) pid1_fail("core", "core dumps");
  else pid1_begin_task(spec);
}

/* A machine that ran already is another one now. */
static void become_another(struct spec *spec) {
  if (identity_write(spec) < 0) log_remark("the identity could not be changed: %s", strerror(errno));
  event_emit("resume t=%" PRIu64, event_now_ns());
  spec_free(spec);
}

/* Records come in pieces; an empty one ends them. */
static void take_setup(const uint8_t *payload, size_t length) {
  static struct spec spec;
  struct spec other;
  if (length > 0) {
    if (bytes_append(&guest.records, payload, length, SPEC_BYTES_MAX) < 0) give_up("too many records");
    return;
  }
  struct spec *to = guest.is_set_up ? &other : &spec;
  if (spec_parse(bytes_first(&guest.records), bytes_length(&guest.records), to) < 0) give_up("the records");
  explicit_bzero(guest.records.memory, guest.records.capacity);
  bytes_clear(&guest.records);
  if (guest.is_set_up) {
    become_another(to);
    return;
  }
  guest.is_set_up = 1;
  set_up(to);
}

static void take_message(uint8_t type, const uint8_t *payload, size_t length) {
  switch (type) {
    case MESSAGE_SETUP:
      take_setup(payload, length);
      return;
    case MESSAGE_CLOCK:
      if (clock_take(payload, length) < 0) log_remark("the clock could not be set: %s", strerror(errno));
      return;
    case MESSAGE_ENTROPY:
      if (entropy_take(payload, length) < 0) log_remark("no randomness could be added: %s", strerror(errno));
      return;
    case MESSAGE_FREEZE:
      mux_message(MESSAGE_FROZEN, NULL, 0);
      mux_stand_still();
      return;
    case MESSAGE_RENEW:
      splices_forget();
      mux_forget();
      bytes_clear(&guest.records);
      greet();
      return;
    default:
      return;
  }
}

/* The host's end is not there yet, or not any more while the machine is saved. */
static void retry_port(struct timer *timer) {
  (void)timer;
  mux_resume();
}

static void port_closed(void) {
  guest.port_timer.fire = retry_port;
  timer_set(&guest.port_timer, now_ns() + PORT_RETRY_MS * NS_PER_MS);
}

static void port_broken(const char *why) {
  errno = EPROTO;
  give_up(why);
}

static const struct mux_owner port_owner = {
    .open = guest_doors_take, .message = take_message, .closed = port_closed, .broken = port_broken};

static void raise_limits(void) {
  static const struct rlimit files = {FILES_HARD * 2, FILES_HARD * 2}, processes = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_NOFILE, &files);
  setrlimit(RLIMIT_NPROC, &processes);
}

int guest_main(void) {
  if (getpid() != 1) {
    fputs("error: \"ainit guest\" is only for PID 1 of a virtual machine\n", stderr);
    return 64;
  }
  if (root_prepare() < 0) give_up("the first file system");
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  pid1_take_descriptors();
  raise_limits();
  task_open(&machine_home);
  pid1_open();
  log_open_sink(machine_log);
  control_open(-1);
  relays_set_outlet(guest_doors_relay);
  int port = devices_open_port(MACHINE_PORT_NAME, PORT_WAIT_MS);
  if (port < 0) give_up("the port \"" MACHINE_PORT_NAME "\"");
  mux_open(port, MUX_GUEST, &port_owner);
  greet();
  loop_run();
}
