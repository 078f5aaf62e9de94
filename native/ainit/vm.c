/*
 * The host's side of a virtual machine (vm.h). Nothing that comes from inside is believed: it is bounded, and what breaks a rule
 * ends the machine with a reason. The machine itself is one child, the monitor; when it goes, or its guest says how the task
 * ended, that is written down, and this process ends, and with it the pid namespace.
 */
#define _GNU_SOURCE
#include "vm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "console.h"
#include "doors.h"
#include "egress.h"
#include "events.h"
#include "freezer.h"
#include "leaving.h"
#include "log.h"
#include "machine.h"
#include "monitor.h"
#include "mux.h"
#include "opening.h"
#include "out.h"
#include "pid1.h"
#include "splice.h"

#define BOOT_MS_DEFAULT 60000
/* From the guest's report to its last word: readers have 10 s in there. */
#define FAREWELL_MS 12000
/* From the guest's last word to the end, whoever is still reading. */
#define FLUSH_MS 1000
/* The monitor and the channel end together: what the guest said last is read, and how the monitor ended is known. */
#define CLOSED_GRACE_MS 2000
#define STATUS_NOT_STARTED 127
#define EXIT_BYTES_MAX (EVENT_BYTES_MAX + 64)

enum stage { VM_BOOTING, VM_RUNNING, VM_REPORTED, VM_LEAVING };

static struct {
  enum stage stage;
  int is_template, is_closed;
  int status;
  char ending[320]; /* how the monitor did */
  int ending_errno;
  uint64_t leaving_ns;
  struct timer timer;
  struct timer boot_timer;
} vm = {.status = STATUS_NOT_STARTED};

static void leave_when_flushed(struct timer *timer) {
  if (splices_are_drained() || now_ns() - vm.leaving_ns > FLUSH_MS * NS_PER_MS) _exit(vm.status & 255);
  timer_set(timer, now_ns() + NS_PER_MS);
}

static void leave(void) {
  if (vm.stage == VM_LEAVING) return;
  vm.stage = VM_LEAVING;
  vm.leaving_ns = now_ns();
  monitor_kill();
  vm.timer.fire = leave_when_flushed;
  timer_set(&vm.timer, vm.leaving_ns);
}

/* The machine is no good, or gone. What the guest said about its end before still holds. */
static void end(const char *step, int number, const char *text) {
  char line[EXIT_BYTES_MAX];
  if (vm.stage < VM_REPORTED) {
    snprintf(line, sizeof line, "error t=%" PRIu64 " step=%.15s errno=%d wall=%s text=%.380s\n", now_ns(), step, number,
             event_wall_time(), text);
    out_write_exit(line);
    log_remark("the virtual machine ended: %s: %s", step, text);
  }
  leave();
}

static void boot_timer_fired(struct timer *timer) {
  char text[256];
  (void)timer;
  snprintf(text, sizeof text, "nothing was heard of the virtual machine in time: %s", console_last_line());
  end("boot", ETIMEDOUT, text);
}

static void conclude(struct timer *timer) {
  (void)timer;
  if (vm.ending[0] == '\0') end("channel", EPIPE, "the virtual machine closed its channel");
  else end("machine", vm.ending_errno, vm.ending);
}

/* One of the two has ended. */
static void conclude_soon(int is_other_ended) {
  if (vm.stage == VM_LEAVING) return;
  vm.timer.fire = conclude;
  timer_set(&vm.timer, now_ns() + (is_other_ended ? 0 : CLOSED_GRACE_MS * NS_PER_MS));
}

static void channel_closed(void) {
  vm.is_closed = 1;
  conclude_soon(vm.ending[0] != '\0');
}

static void channel_broken(const char *why) {
  end("channel", EPROTO, why);
}

static void take_hello(const uint8_t *payload, size_t length) {
  uint32_t version;
  if (length < sizeof version || vm.stage != VM_BOOTING) {
    mux_break("a greeting that was not expected");
    return;
  }
  memcpy(&version, payload, sizeof version);
  if (version != MACHINE_VERSION) {
    mux_break("the guest speaks another version");
    return;
  }
  timer_stop(&vm.boot_timer);
  vm.stage = VM_RUNNING;
  if (vm.is_template) { /* it is saved as it is now */
    freezer_is_still();
    doors_open_control();
    return;
  }
  opening_send();
  doors_open();
}

static void farewell_timer_fired(struct timer *timer) {
  (void)timer;
  leave();
}

/* The status that the line tells: `exit … status=N …`, or that of whatever could not be started. -1: it is no such line. */
static int read_status(const char *line) {
  unsigned status;
  if (strncmp(line, "error t=", 8) == 0) return STATUS_NOT_STARTED;
  if (sscanf(line, "exit t=%*20[0-9] status=%3u ", &status) != 1 || status > 255) return -1;
  return (int)status;
}

static void take_exit(const uint8_t *payload, size_t length) {
  char line[EXIT_BYTES_MAX + 1];
  if (length < 2 || length >= sizeof line || vm.stage != VM_RUNNING) {
    mux_break("an end that was not expected");
    return;
  }
  for (size_t at = 0; at < length; at++) line[at] = payload[at] < ' ' ? ' ' : (char)payload[at];
  line[length - 1] = '\n';
  line[length] = '\0';
  int status = read_status(line);
  if (status < 0) {
    mux_break("an end that cannot be read");
    return;
  }
  vm.status = status;
  vm.stage = VM_REPORTED;
  out_write_exit(line);
  vm.timer.fire = farewell_timer_fired;
  timer_set(&vm.timer, now_ns() + FAREWELL_MS * NS_PER_MS);
}

static void take_log(const uint8_t *payload, size_t length) {
  if (length == 0 || payload[0] < LOG_STDOUT || payload[0] > LOG_REMARK) mux_break("output of no stream");
  else log_write(payload[0], payload + 1, length - 1);
}

static void take_message(uint8_t type, const uint8_t *payload, size_t length) {
  switch (type) {
    case MESSAGE_HELLO:
      take_hello(payload, length);
      return;
    case MESSAGE_LOG:
      take_log(payload, length);
      return;
    case MESSAGE_EXIT:
      take_exit(payload, length);
      return;
    case MESSAGE_FROZEN:
      if (freezer_frozen() < 0) mux_break("it stands still unasked");
      return;
    case MESSAGE_BYE:
      if (vm.stage == VM_REPORTED) leave();
      else mux_break("a farewell that was not expected");
      return;
    default:
      mux_break("an unknown message");
  }
}

static const struct mux_owner channel_owner = {
    .open = leaving_take, .message = take_message, .closed = channel_closed, .broken = channel_broken};

static void monitor_ended(int number, const char *text) {
  vm.ending_errno = number;
  snprintf(vm.ending, sizeof vm.ending, "%s", text);
  conclude_soon(vm.is_closed);
}

static int configure(const struct spec *spec, struct pid1_found found, const char **bad) {
  unsigned long long boot_ms = BOOT_MS_DEFAULT;
  if (out_open(spec, found.has_out, bad) < 0 || egress_configure(spec, bad) < 0) return -1;
  if (leaving_configure(spec, found.has_lent_program, bad) < 0) return -1;
  const char *given = spec_get(spec, *bad = "boot_ms");
  if (given != NULL && parse_number(given, 1, 3600000, &boot_ms) < 0) return -1;
  vm.boot_timer.fire = boot_timer_fired;
  if (spec_get(spec, "wait_resume") == NULL) timer_set(&vm.boot_timer, now_ns() + boot_ms * NS_PER_MS);
  vm.is_template = spec_get(spec, *bad = "template") != NULL;
  return opening_prepare(spec);
}

static void begin(struct pid1_found found) {
  struct spec spec;
  int ends[2];
  const char *bad = "unreadable";
  int result = pid1_read_spec(&spec);
  if (result == 0) result = configure(&spec, found, &bad);
  if (result == 0) result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
  if (result < 0) {
    end("spec", errno, bad);
    return;
  }
  mux_open(ends[0], MUX_HOST, &channel_owner);
  /* A machine that is resumed has greeted another host long ago: it is asked to do so again. */
  if (spec_get(&spec, "wait_resume") != NULL) mux_message(MESSAGE_RENEW, NULL, 0);
  monitor_start(&spec, ends[1], monitor_ended);
  close(ends[1]);
  spec_free(&spec);
}

int vm_main(void) {
  if (getpid() != 1) {
    fputs("error: \"ainit vm\" is only for PID 1 of an instance\n", stderr);
    return 64;
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  struct pid1_found found = pid1_take_descriptors();
  pid1_open();
  begin(found);
  loop_run();
}
