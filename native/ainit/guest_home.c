/* The task's home in a virtual machine (guest_home.h). */
#define _GNU_SOURCE
#include "guest_home.h"

#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "events.h"
#include "loop.h"
#include "machine.h"
#include "mux.h"
#include "splice.h"

/* The host ends the machine when it has heard the last word; else we do. */
#define OFF_MS 5000
#define LOG_BEHIND_BYTES (256u * 1024)

static struct timer off_timer;

_Noreturn void machine_off(void) {
  reboot(RB_AUTOBOOT); /* which a monitor takes for its end */
  for (;;) pause();
}

void machine_log(uint8_t stream, const void *bytes, size_t length) {
  uint8_t message[MUX_PAYLOAD_BYTES_MAX];
  for (size_t at = 0; at < length;) {
    size_t part = length - at < sizeof message - 1 ? length - at : sizeof message - 1;
    message[0] = stream;
    memcpy(message + 1, (const uint8_t *)bytes + at, part);
    mux_message(MESSAGE_LOG, message, part + 1);
    at += part;
  }
}

/* How many processes the kernel has killed for want of memory. Only it knows that such a SIGKILL was not sent by somebody. */
static unsigned long long count_oom_kills(void) {
  unsigned long long count = 0;
  char line[128];
  FILE *file = fopen("/proc/vmstat", "re");
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL && sscanf(line, "oom_kill %llu", &count) != 1) continue;
  fclose(file);
  return count;
}

static void report(const char *line) {
  char text[EVENT_BYTES_MAX + 64];
  unsigned long long kills = strncmp(line, "exit ", 5) == 0 ? count_oom_kills() : 0;
  if (kills == 0) snprintf(text, sizeof text, "%s", line);
  else snprintf(text, sizeof text, "%.*s oom=%llu\n", (int)strcspn(line, "\n"), line, kills);
  mux_message(MESSAGE_EXIT, text, strlen(text));
}

static int is_behind(void) {
  return mux_messages_length() > LOG_BEHIND_BYTES;
}

/* A core dump is whole when the host has heard its end, too. */
static int is_flushed(void) {
  return splices_count(CHANNEL_CORE) == 0 && splices_are_drained() && mux_is_drained();
}

static void off_timer_fired(struct timer *timer) {
  (void)timer;
  machine_off();
}

static void leave(int status) {
  (void)status; /* the host has it from the report */
  mux_message(MESSAGE_BYE, NULL, 0);
  off_timer.fire = off_timer_fired;
  timer_set(&off_timer, now_ns() + OFF_MS * NS_PER_MS);
}

const struct task_home machine_home = {.report = report, .is_behind = is_behind, .is_flushed = is_flushed, .leave = leave};
