/* EXEC sessions (session.h). */
#define _GNU_SOURCE
#include "session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "protocol.h"
#include "task.h"

#define HANG_UP_GRACE_MS 2000

struct session {
  struct process process;
  struct connection *connection;
  struct timer kill_timer;
  int is_used;
};

static struct session sessions[SESSIONS_MAX];

static struct session *session_of(struct process *process) {
  return container_of(process, struct session, process);
}

/* The connection may run another session; the slot is free once the process is reaped. */
static void part(struct session *session) {
  if (session->connection != NULL) session->connection->session = NULL;
  session->connection = NULL;
  session->is_used = 0;
  timer_stop(&session->kill_timer);
}

static void on_started(struct process *process) {
  (void)process;
}

static void on_failed(struct process *process, const char *step, int number, const char *text) {
  struct session *session = session_of(process);
  char line[320];
  snprintf(line, sizeof line, "%s: %.290s", step, text);
  if (session->connection != NULL) connection_error(session->connection, number, line);
  part(session);
}

static void on_output(struct process *process, uint8_t type, const uint8_t *bytes, size_t length) {
  struct connection *connection = session_of(process)->connection;
  if (connection == NULL) return;
  connection_send(connection, type, bytes, length);
  if (connection_is_behind(connection)) process_read(process, 0);
}

static void on_hungry(struct process *process) {
  struct connection *connection = session_of(process)->connection;
  if (connection != NULL) connection_unblock(connection);
}

/* What it leaves behind hears of its end, as from a terminal; without a connection nothing may be left. */
static void on_ending(struct process *process) {
  kill(-process->pid, session_of(process)->connection == NULL ? SIGKILL : SIGHUP);
}

static void on_ended(struct process *process, int wait_status) {
  struct session *session = session_of(process);
  int32_t status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
  process_hang_up(process);
  if (session->connection != NULL) connection_exit(session->connection, status);
  part(session);
}

static const struct process_owner owner = {
    .started = on_started,
    .failed = on_failed,
    .output = on_output,
    .hungry = on_hungry,
    .ending = on_ending,
    .ended = on_ended,
};

static void kill_timer_fired(struct timer *timer) {
  struct session *session = container_of(timer, struct session, kill_timer);
  process_signal(&session->process, SIGKILL);
}

static struct session *free_session(void) {
  for (size_t at = 0; at < SESSIONS_MAX; at++)
    if (!sessions[at].is_used && sessions[at].process.pid == 0) return &sessions[at];
  return NULL;
}

static int is_known(const char *key) {
  static const char *const keys[] = {"program", "lend", "arg", "env", "workdir", "terminal"};
  for (size_t at = 0; at < sizeof keys / sizeof *keys; at++)
    if (strcmp(keys[at], key) == 0) return 1;
  return 0;
}

/* Fills `command` and `plan`, whose text stays in `spec`. 0, or -1 with errno. */
static int read_request(const struct spec *spec, struct command *command, struct stdio_plan *plan) {
  errno = EINVAL;
  for (size_t at = 0; at < spec->count; at++)
    if (!is_known(spec->pairs[at].key)) return -1;
  const char *lend = spec_get(spec, "lend");
  *command = (struct command){.program = spec_get(spec, "program"), .workdir = spec_get(spec, "workdir")};
  if ((lend == NULL) == (command->program == NULL) || spec_count(spec, "arg") == 0) return -1;
  if (lend != NULL && strcmp(lend, "1") != 0) return -1;
  if (lend != NULL && confinement.lent != LENT_HERE) {
    if (confinement.lent == LENT_ELSEWHERE) confinement.fetch_lent();
    errno = confinement.lent == LENT_NOTHING ? ENOENT : EINPROGRESS;
    return -1;
  }
  *plan = (struct stdio_plan){.has_stdin = 1};
  if (stdio_plan_read_terminal(spec_get(spec, "terminal"), plan) < 0) return -1;
  command->args = spec_vector(spec, "arg");
  command->env = spec_vector(spec, "env");
  return command->args == NULL || command->env == NULL ? -1 : 0;
}

int session_open(struct connection *connection, const uint8_t *records, size_t length) {
  struct spec spec;
  struct command command = {0};
  struct stdio_plan plan;
  struct session *session = free_session();
  errno = task_is_ending() ? ESHUTDOWN : EAGAIN;
  if (session == NULL || task_is_ending() || spec_parse(records, length, &spec) < 0) return -1;
  int result = read_request(&spec, &command, &plan);
  if (result == 0) {
    *session = (struct session){.connection = connection, .is_used = 1, .kill_timer = {.fire = kill_timer_fired}};
    connection->session = session;
    connection->is_told_end = 0;
    process_start(&session->process, &owner, &command, &plan);
  }
  int saved = errno;
  free(command.args);
  free(command.env);
  spec_free(&spec);
  errno = saved;
  return result;
}

struct process *session_process(struct session *session) {
  return &session->process;
}

void session_abandon(struct session *session) {
  session->connection = NULL;
  process_signal(&session->process, SIGHUP);
  process_signal(&session->process, SIGCONT);
  process_hang_up(&session->process);
  timer_set(&session->kill_timer, now_ns() + HANG_UP_GRACE_MS * NS_PER_MS);
}

void session_resume(struct session *session) {
  process_read(&session->process, 1);
}
