/* Processes and their stdio (process.h). */
#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "protocol.h"

#define READ_BYTES_MAX 65536
/* A pipe holds at most this much (fs.pipe-max-size) when its writers are gone. */
#define DRAIN_BYTES_MAX (1u << 20)

static struct process *alive;

static void output_ready(struct source *source, uint32_t events);
static void stdin_ready(struct source *source, uint32_t events);
static void reports_ready(struct source *source, uint32_t events);

/* Parent's and child's ends of everything; -1 where there is none. */
struct ends {
  int parent_stdin, parent_output[2];
  int child[3];
  int reports[2];
};

int stdio_plan_read_terminal(const char *text, struct stdio_plan *plan) {
  int rows, columns, length = 0;
  if (text == NULL) return 0;
  errno = EINVAL;
  if (sscanf(text, "%4d:%4d%n", &rows, &columns, &length) != 2 || text[length] != '\0') return -1;
  if (rows < 0 || columns < 0) return -1;
  plan->is_terminal = 1;
  plan->rows = (uint16_t)rows;
  plan->columns = (uint16_t)columns;
  return 0;
}

static void close_all(const int *fds, size_t count) {
  for (size_t at = 0; at < count; at++)
    if (fds[at] >= 0) close(fds[at]);
}

/* Programs open their stdio again, as /dev/stdout or by the name of their terminal. */
static int give_to_user(int fd) {
  return confinement.user == 0 ? 0 : fchown(fd, (uid_t)confinement.user, (gid_t)-1);
}

static int open_terminal(struct ends *ends, const struct stdio_plan *plan) {
  int unlocked = 0;
  struct winsize size = {.ws_row = plan->rows, .ws_col = plan->columns};
  int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (terminal < 0) return -1;
  ends->parent_output[0] = terminal;
  ioctl(terminal, TIOCSWINSZ, &size);
  if (ioctl(terminal, TIOCSPTLCK, &unlocked) < 0) return -1;
  ends->child[0] = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (ends->child[0] < 0) return -1;
  if (give_to_user(ends->child[0]) < 0) return -1;
  for (int number = 1; number < 3; number++) ends->child[number] = fcntl(ends->child[0], F_DUPFD_CLOEXEC, FD_END);
  ends->parent_stdin = fcntl(terminal, F_DUPFD_CLOEXEC, FD_END);
  return ends->child[1] < 0 || ends->child[2] < 0 || ends->parent_stdin < 0 ? -1 : 0;
}

/* `parent` is which end stays here: 0 to read, 1 to write. Only that one is non-blocking. */
static int open_pipe(int parent, int *parent_end, int *child_end) {
  int both[2];
  if (pipe2(both, O_CLOEXEC) < 0) return -1;
  *parent_end = both[parent];
  *child_end = both[!parent];
  if (give_to_user(*child_end) < 0) return -1;
  return fcntl(*parent_end, F_SETFL, O_NONBLOCK);
}

static int open_ends(struct ends *ends, const struct stdio_plan *plan) {
  *ends = (struct ends){-1, {-1, -1}, {-1, -1, -1}, {-1, -1}};
  if (open_pipe(0, &ends->reports[0], &ends->reports[1]) < 0) return -1;
  if (plan->is_terminal) return open_terminal(ends, plan);
  if (open_pipe(0, &ends->parent_output[0], &ends->child[1]) < 0) return -1;
  if (open_pipe(0, &ends->parent_output[1], &ends->child[2]) < 0) return -1;
  if (plan->has_stdin) return open_pipe(1, &ends->parent_stdin, &ends->child[0]);
  ends->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return ends->child[0] < 0 ? -1 : 0;
}

/* On failure nothing is watched and nothing is closed. */
static int watch_ends(struct process *process, const struct ends *ends) {
  if (source_open(&process->reports, ends->reports[0], EPOLLIN, reports_ready) < 0) return -1;
  for (int at = 0; at < 2; at++) {
    if (ends->parent_output[at] < 0) continue;
    if (source_open(&process->output[at], ends->parent_output[at], EPOLLIN, output_ready) < 0) return -1;
  }
  return ends->parent_stdin < 0 ? 0 : source_open(&process->stdin, ends->parent_stdin, 0, stdin_ready);
}

static void fail(struct process *process, const char *step, int number, const char *text) {
  process_hang_up(process);
  source_close(&process->reports);
  process->stage = PROCESS_NONE;
  process->owner->failed(process, step, number, text);
}

static void fail_before_fork(struct process *process, const struct ends *ends, const char *step) {
  int number = errno;
  close_all(ends->child, 3);
  close_all(&ends->reports[1], 1);
  if (process->reports.fd < 0) close_all(&ends->reports[0], 1);
  if (process->stdin.fd < 0) close_all(&ends->parent_stdin, 1);
  for (int at = 0; at < 2; at++)
    if (process->output[at].fd < 0) close_all(&ends->parent_output[at], 1);
  fail(process, step, number, strerror(number));
}

void process_start(struct process *process, const struct process_owner *owner, struct command *command,
                   const struct stdio_plan *plan) {
  struct ends ends;
  *process = (struct process){.owner = owner,
                              .stage = PROCESS_STARTING,
                              .is_terminal = plan->is_terminal,
                              .stdin = {.fd = -1},
                              .output = {{.fd = -1}, {.fd = -1}},
                              .reports = {.fd = -1}};
  if (open_ends(&ends, plan) < 0 || watch_ends(process, &ends) < 0) {
    fail_before_fork(process, &ends, plan->is_terminal ? "terminal" : "stdio");
    return;
  }
  memcpy(command->stdio, ends.child, sizeof command->stdio);
  command->is_terminal = plan->is_terminal;
  process->pid = fork();
  if (process->pid == 0) child_run(command, ends.reports[1]);
  if (process->pid < 0) {
    process->pid = 0;
    fail_before_fork(process, &ends, "fork");
    return;
  }
  close_all(ends.child, 3);
  close(ends.reports[1]);
  process->next = alive;
  alive = process;
}

/* Takes what the child has reported so far. */
static void read_reports(struct process *process) {
  struct report report;
  while (process->reports.fd >= 0) {
    ssize_t got = read(process->reports.fd, &report, sizeof report);
    if (got < 0) return;
    if (got == 0) {
      source_close(&process->reports);
      if (!process->is_ready) return; /* killed on its way: reaping tells how */
      process->stage = PROCESS_RUNNING;
      process->owner->started(process);
      return;
    }
    report.text[sizeof report.text - 1] = report.step[sizeof report.step - 1] = '\0';
    if (report.step[0] == '\0') {
      process->is_ready = 1;
      continue;
    }
    fail(process, report.step, report.number, report.text);
  }
}

static void reports_ready(struct source *source, uint32_t events) {
  (void)events;
  read_reports(container_of(source, struct process, reports));
}

/* One read. Returns how much came, 0 when nothing is there (any more). */
static size_t read_output(struct process *process, struct source *source) {
  static uint8_t bytes[READ_BYTES_MAX];
  if (source->fd < 0) return 0;
  ssize_t got = read(source->fd, bytes, sizeof bytes);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (got <= 0) { /* a terminal ends with EIO */
    source_close(source);
    return 0;
  }
  process->owner->output(process, source == &process->output[0] ? FRAME_STDOUT : FRAME_STDERR, bytes, (size_t)got);
  return (size_t)got;
}

static void output_ready(struct source *source, uint32_t events) {
  (void)events;
  /* `ready` is shared by both outputs; the process is found by which one it is. */
  for (struct process *process = alive; process != NULL; process = process->next) {
    if (source != &process->output[0] && source != &process->output[1]) continue;
    read_output(process, source);
    return;
  }
  source_close(source);
}

void process_drain(struct process *process) {
  for (int at = 0; at < 2; at++) {
    size_t drained = 0;
    for (size_t got = 1; got > 0 && drained < DRAIN_BYTES_MAX; drained += got)
      got = read_output(process, &process->output[at]);
  }
}

void process_read(struct process *process, int is_wanted) {
  for (int at = 0; at < 2; at++) source_want(&process->output[at], is_wanted ? EPOLLIN : 0);
}

static void forget_pending(struct process *process) {
  free(process->pending);
  process->pending = NULL;
  process->pending_at = process->pending_length = 0;
}

static void stdin_ready(struct source *source, uint32_t events) {
  struct process *process = container_of(source, struct process, stdin);
  (void)events;
  size_t left = process->pending_length - process->pending_at;
  ssize_t written = write(source->fd, process->pending + process->pending_at, left);
  if (written < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (written < 0) source_close(source); /* nobody reads it any more: the rest goes nowhere */
  if (written >= 0 && (size_t)written < left) {
    process->pending_at += (size_t)written;
    return;
  }
  forget_pending(process);
  source_want(source, 0);
  process->owner->hungry(process);
}

int process_write(struct process *process, const uint8_t *bytes, size_t length) {
  if (process->stdin.fd < 0 || length == 0) return 0;
  if (process->pending != NULL) return -1;
  ssize_t written = write(process->stdin.fd, bytes, length);
  if (written < 0 && errno != EAGAIN && errno != EINTR) {
    source_close(&process->stdin);
    return 0;
  }
  if (written < 0) written = 0;
  size_t left = length - (size_t)written;
  if (left == 0) return 0;
  process->pending = malloc(left);
  if (process->pending == NULL) return 0;
  memcpy(process->pending, bytes + written, left);
  process->pending_length = left;
  process->pending_at = 0;
  source_want(&process->stdin, EPOLLOUT);
  return 0;
}

int process_write_end(struct process *process) {
  if (process->stdin.fd < 0) return 0;
  if (process->pending != NULL) return -1;
  if (!process->is_terminal) {
    source_close(&process->stdin);
    return 0;
  }
  struct termios settings;
  cc_t end = 4; /* Ctrl-D */
  if (tcgetattr(process->stdin.fd, &settings) == 0) end = settings.c_cc[VEOF];
  return process_write(process, &end, 1);
}

void process_resize(struct process *process, uint16_t rows, uint16_t columns) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  if (process->is_terminal && process->output[0].fd >= 0) ioctl(process->output[0].fd, TIOCSWINSZ, &size);
}

int process_signal(struct process *process, int number) {
  if (process->pid <= 0) {
    errno = ESRCH;
    return -1;
  }
  /* Until it has made a session of its own, its group is ours. */
  return kill(getpgid(process->pid) == process->pid ? -process->pid : process->pid, number);
}

void process_hang_up(struct process *process) {
  forget_pending(process);
  source_close(&process->stdin);
  source_close(&process->output[0]);
  source_close(&process->output[1]);
}

static struct process *take(pid_t pid) {
  for (struct process **link = &alive; *link != NULL; link = &(*link)->next) {
    struct process *process = *link;
    if (process->pid != pid) continue;
    *link = process->next;
    return process;
  }
  return NULL;
}

static struct process *find(pid_t pid) {
  struct process *process = alive;
  while (process != NULL && process->pid != pid) process = process->next;
  return process;
}

static void finish(struct process *process, int wait_status) {
  char text[64];
  process->pid = 0;
  if (process->stage == PROCESS_NONE) return; /* has failed already */
  if (process->stage == PROCESS_RUNNING) {
    process->stage = PROCESS_NONE;
    process->owner->ended(process, wait_status);
    return;
  }
  int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  snprintf(text, sizeof text, "EINTR: ended by signal %d before exec", number);
  fail(process, "start", EINTR, text);
}

int process_reap_all(void) {
  for (;;) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return errno != ECHILD;
    if (info.si_pid == 0) return 1;
    /* Still a zombie: its process group cannot have been given to anybody else. */
    struct process *process = find(info.si_pid);
    if (process != NULL) read_reports(process);
    if (process != NULL && process->stage == PROCESS_RUNNING) {
      process->owner->ending(process);
      process_drain(process);
    }
    take(info.si_pid);
    int wait_status = 0;
    if (waitpid(info.si_pid, &wait_status, WNOHANG) <= 0) continue;
    if (process != NULL) finish(process, wait_status);
  }
}
