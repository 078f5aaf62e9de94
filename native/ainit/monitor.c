/* The monitor's process (monitor.h). */
#define _GNU_SOURCE
#include "monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "console.h"
#include "process.h"
#include "protocol.h"

static struct process monitor;
static void (*ended)(int number, const char *text);

static void on_started(struct process *process) {
  (void)process;
}

static void on_failed(struct process *process, const char *step, int number, const char *text) {
  (void)process;
  (void)step;
  char why[320];
  snprintf(why, sizeof why, "the monitor could not be started: %s", text);
  ended(number, why);
}

static void on_output(struct process *process, uint8_t type, const uint8_t *bytes, size_t length) {
  (void)process;
  (void)type;
  console_take(bytes, length);
}

static void on_ended(struct process *process, int wait_status) {
  char how[48], text[256];
  int is_killed = WIFSIGNALED(wait_status);
  snprintf(how, sizeof how, is_killed ? "its monitor was ended by signal %d" : "its monitor exited with status %d",
           is_killed ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
  process_drain(process);
  process_hang_up(process);
  snprintf(text, sizeof text, "the virtual machine ended (%s): %s", how, console_last_line());
  ended(0, text);
}

static const struct process_owner owner = {
    .started = on_started,
    .failed = on_failed,
    .output = on_output,
    .hungry = on_started,
    .ending = on_started,
    .ended = on_ended,
};

void monitor_start(const struct spec *spec, int channel, void (*given)(int number, const char *text)) {
  const struct stdio_plan plan = {0};
  struct command command = {.program = spec_get(spec, "vmm_program"),
                            .args = spec_vector(spec, "vmm_arg"),
                            .env = spec_vector(spec, "vmm_env"),
                            .given = {channel, FD_MONITOR},
                            .given_count = 2};
  ended = given;
  if (command.program == NULL || command.args == NULL || command.args[0] == NULL || command.env == NULL)
    ended(EINVAL, "vmm_program and vmm_arg are needed");
  else
    process_start(&monitor, &owner, &command, &plan);
  free(command.args);
  free(command.env);
}

void monitor_kill(void) {
  process_signal(&monitor, SIGKILL);
}
