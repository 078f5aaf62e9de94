/* The task (task.h): held, starting, running, ending, flushing; then PID 1 exits as it did. */
#define _GNU_SOURCE
#include "task.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "events.h"
#include "log.h"
#include "ports.h"
#include "protocol.h"
#include "ring.h"

/* A killed process may be frozen, and so not go; and a reader may have stopped. Neither keeps an instance. */
#define KILL_GRACE_MS 2000
#define FLUSH_PRIMARY_MS 10000
#define FLUSH_OTHERS_MS 1000
#define STATUS_NOT_STARTED 127

enum stage { TASK_HELD, TASK_STARTED, TASK_ENDING, TASK_FLUSHING };

static struct {
  enum stage stage;
  const struct task_home *home;
  struct process process;
  struct spec *spec;
  struct command command;
  struct stdio_plan plan;
  int is_held;
  struct ring ring;
  struct timer timer;
  uint64_t flush_began_ns;
  int32_t status;
  char last_event[EVENT_BYTES_MAX];
  char exit_report[EVENT_BYTES_MAX + 64];
} task = {.process = {.stdin = {.fd = -1}, .output = {{.fd = -1}, {.fd = -1}}, .reports = {.fd = -1}}};

void task_open(const struct task_home *home) {
  task.home = home;
}

int task_configure(struct spec *spec, const char **bad) {
  task.spec = spec;
  task.is_held = spec_get(spec, "hold") != NULL;
  task.plan.has_stdin = spec_get(spec, "stdin") != NULL;
  task.command = (struct command){.program = spec_get(spec, *bad = "program"),
                                  .args = spec_vector(spec, "arg"),
                                  .env = spec_vector(spec, "env"),
                                  .workdir = spec_get(spec, "workdir"),
                                  .copy = spec_get(spec, "copy")};
  errno = EINVAL;
  if (task.command.program == NULL) return -1;
  *bad = "arg";
  if (task.command.args == NULL || task.command.env == NULL || task.command.args[0] == NULL) return -1;
  *bad = "terminal";
  return stdio_plan_read_terminal(spec_get(spec, "terminal"), &task.plan);
}

/* Secrets were in there. */
static void forget_spec(void) {
  free(task.command.args);
  free(task.command.env);
  task.command = (struct command){0};
  if (task.spec != NULL) spec_free(task.spec);
  task.spec = NULL;
}

/*
 * Whoever was told the end hangs up himself, and input of his that crosses it on its way finds us here: a peer that is gone
 * would fail his write, and the EXIT that he has not read yet would be lost to him.
 */
static int is_flushed(uint64_t waited_ns) {
  if (waited_ns > FLUSH_PRIMARY_MS * NS_PER_MS) return 1;
  if (waited_ns > FLUSH_OTHERS_MS * NS_PER_MS) return !control_has_unsent(1);
  return !control_has_unsent(0) && !control_has_told() && task.home->is_flushed();
}

static void flush_timer_fired(struct timer *timer) {
  if (is_flushed(now_ns() - task.flush_began_ns)) task.home->leave(task.status & 255);
  else timer_set(timer, now_ns() + NS_PER_MS);
}

/* Nothing runs any more that we could wait for: tell everybody, then go. */
static void conclude(void) {
  task.stage = TASK_FLUSHING;
  process_drain(&task.process);
  process_hang_up(&task.process);
  for (char *at = task.exit_report; *at != '\0' && at[1] != '\0'; at++)
    if ((unsigned char)*at < ' ') *at = ' ';
  task.home->report(task.exit_report);
  event_emit("%s", task.last_event);
  control_broadcast_exit(task.status);
  task.flush_began_ns = now_ns();
  task.timer.fire = flush_timer_fired;
  timer_set(&task.timer, task.flush_began_ns);
}

static void kill_timer_fired(struct timer *timer) {
  (void)timer;
  log_remark("some processes could not be killed in time");
  conclude();
}

static void soon_alone(struct timer *timer) {
  timer->fire = kill_timer_fired;
  timer_set(timer, now_ns() + KILL_GRACE_MS * NS_PER_MS);
  if (!process_reap_all()) task_alone();
}

void task_alone(void) {
  if (task.stage == TASK_ENDING) conclude();
}

/* Everything else in the pid namespace dies; `conclude` comes when it is gone. */
static void begin_end(int32_t status) {
  task.stage = TASK_ENDING;
  task.status = status;
  forget_spec();
  kill(-1, SIGKILL);
  task.timer.fire = soon_alone; /* at the loop's next turn: this may run while children are being reaped */
  timer_set(&task.timer, now_ns());
}

void task_fail(const char *step, int number, const char *text) {
  char head[96];
  if (task.stage == TASK_ENDING || task.stage == TASK_FLUSHING) return;
  snprintf(head, sizeof head, "error t=%" PRIu64 " step=%.15s errno=%d", event_now_ns(), step, number);
  snprintf(task.last_event, sizeof task.last_event, "%s text=%.380s", head, text);
  snprintf(task.exit_report, sizeof task.exit_report, "%s wall=%s text=%.380s\n", head, event_wall_time(), text);
  log_remark("could not be started: %s: %s", step, text);
  begin_end(STATUS_NOT_STARTED);
}

static void on_started(struct process *process) {
  event_emit("exec t=%" PRIu64 " pid=%d", event_now_ns(), (int)process->pid);
  forget_spec();
  ports_watch();
}

static void on_failed(struct process *process, const char *step, int number, const char *text) {
  (void)process;
  task_fail(step, number, text);
}

static void on_output(struct process *process, uint8_t type, const uint8_t *bytes, size_t length) {
  (void)process;
  log_write(type == FRAME_STDERR ? LOG_STDERR : LOG_STDOUT, bytes, length);
  ring_add(&task.ring, type, bytes, length);
  control_broadcast_output(type, bytes, length);
  task_pace();
}

static void on_hungry(struct process *process) {
  (void)process;
  control_unblock_waiting();
}

static void on_ending(struct process *process) {
  (void)process;
}

static void on_ended(struct process *process, int wait_status) {
  (void)process;
  int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  int status = number > 0 ? 128 + number : WEXITSTATUS(wait_status);
  int is_core = number > 0 && WCOREDUMP(wait_status);
  if (task.stage == TASK_ENDING || task.stage == TASK_FLUSHING) return;
  snprintf(task.last_event, sizeof task.last_event, "exit t=%" PRIu64 " status=%d signal=%d core=%d", event_now_ns(), status,
           number, is_core ? 1 : 0);
  snprintf(task.exit_report, sizeof task.exit_report, "%s wall=%s\n", task.last_event, event_wall_time());
  begin_end(status);
}

static const struct process_owner owner = {
    .started = on_started,
    .failed = on_failed,
    .output = on_output,
    .hungry = on_hungry,
    .ending = on_ending,
    .ended = on_ended,
};

static void start(void) {
  task.stage = TASK_STARTED;
  process_start(&task.process, &owner, &task.command, &task.plan);
}

void task_begin(void) {
  if (!task.is_held && task.stage == TASK_HELD) start();
}

void task_release(void) {
  if (task.stage != TASK_HELD) return;
  task.is_held = 0;
  start();
}

struct process *task_process(void) {
  return task.stage == TASK_STARTED ? &task.process : NULL;
}

int task_is_ending(void) {
  return task.stage == TASK_ENDING || task.stage == TASK_FLUSHING;
}

static void replay_run(void *connection, uint8_t type, const uint8_t *bytes, size_t length) {
  connection_send(connection, type, bytes, length);
}

void task_replay(struct connection *connection) {
  ring_replay(&task.ring, replay_run, connection);
  if (task.stage == TASK_FLUSHING) connection_exit(connection, task.status);
}

void task_pace(void) {
  if (!task_is_ending()) process_read(&task.process, !control_is_primary_behind() && !task.home->is_behind());
}
