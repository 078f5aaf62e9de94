/* The loop of `ainit supervise` (supervise.h): one thread, one poll, tables of fixed size. */
#define _GNU_SOURCE
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BACKOFF_MS_MIN 100
#define BACKOFF_MS_MAX 5000
/* A process that lived this long did its work: its next end is the first in a row. */
#define LONG_LIFE_MS 10000

static struct plan plan;
static int lock = -1;
static int is_ending;

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One write, so that lines of several processes do not mix. */
static void __attribute__((format(printf, 1, 2))) say(const char *format, ...) {
  char text[1024];
  char line[sizeof text + sizeof "supervise: \n"];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  int length = snprintf(line, sizeof line, "supervise: %s\n", text);
  if (output_reader() < 0) {
    dprintf(STDERR_FILENO, "%s", line);
    return;
  }
  /* What a process said before it ended stands before the line that says so. */
  output_take();
  output_write(line, (size_t)length);
}

static void schedule(struct process *process, long long now) {
  long long delay = 0;
  if (now - process->started_at >= LONG_LIFE_MS) process->failures = 0;
  if (process->failures > 0) {
    unsigned doublings = process->failures - 1 < 16 ? process->failures - 1 : 16;
    delay = (long long)BACKOFF_MS_MIN << doublings;
    if (delay > BACKOFF_MS_MAX) delay = BACKOFF_MS_MAX;
  }
  process->failures++;
  process->start_at = now + delay;
  if (delay > 0) say("%s starts again in %lld ms", process->name, delay);
}

static void start(struct process *process) {
  process->started_at = now_ms();
  process->kill_at = 0;
  process->pid = process_spawn(&plan, process, lock);
  if (process->pid > 0) {
    if (lock_record(lock, plan.processes, plan.process_count) != 0) say("lock: %s", strerror(errno));
    say("%s started pid=%d", process->name, (int)process->pid);
    return;
  }
  say("%s could not be started: %s", process->name, strerror(errno));
  process->pid = 0;
  schedule(process, process->started_at);
}

/*
 * Asks the process to end; SIGKILL follows in its time. SIGTERM says that the node ends, SIGINT that only the process
 * does: control then leaves its instances alone.
 */
static void ask_to_end(struct process *process, long long now, int signal) {
  if (process->pid == 0 || process->kill_at != 0) return;
  process->kill_at = now + (long long)process->stop_ms;
  kill(process->pid, signal);
}

static void ended(struct process *process, const siginfo_t *info) {
  int is_asked = process->kill_at != 0;
  long long now = now_ms();
  say("%s ended pid=%d %s=%d", process->name, (int)process->pid, info->si_code == CLD_EXITED ? "status" : "signal",
      info->si_status);
  process->pid = 0;
  process->kill_at = 0;
  if (!is_asked) {
    if (!is_ending) schedule(process, now);
    return;
  }
  process->failures = 0;
  process->start_at = now;
}

static struct process *find_process(pid_t pid) {
  for (size_t i = 0; i < plan.process_count; i++)
    if (plan.processes[i].pid == pid) return &plan.processes[i];
  return NULL;
}

static void reap(void) {
  for (;;) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    struct process *process = find_process(info.si_pid);
    /* What it leaves in its group ends with it. The zombie still holds the number, so the group is surely its own. */
    if (process != NULL) kill(-info.si_pid, SIGKILL);
    waitpid(info.si_pid, NULL, 0);
    if (process != NULL) ended(process, &info);
  }
}

/* Whoever asks does not want to wait for the back-off either. */
static void restart_control(long long now) {
  for (size_t i = 0; i < plan.process_count; i++) {
    struct process *process = &plan.processes[i];
    if (strcmp(process->name, "control") != 0) continue;
    ask_to_end(process, now, SIGINT);
    if (process->pid != 0) continue;
    process->failures = 0;
    process->start_at = now;
  }
}

static void take_signal(int signals, long long now) {
  struct signalfd_siginfo info;
  while (read(signals, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
      if (!is_ending) say("ending on signal %u", info.ssi_signo);
      is_ending = 1;
    }
    if (info.ssi_signo == SIGHUP) restart_control(now);
  }
}

/* The last one that runs is the only one that is asked: each ends before the one it was listed after. */
static int end_next(long long now) {
  for (size_t i = plan.process_count; i-- > 0;) {
    if (plan.processes[i].pid == 0) continue;
    ask_to_end(&plan.processes[i], now, SIGTERM);
    return 1;
  }
  return 0;
}

static void run_timers(long long now) {
  for (size_t i = 0; i < plan.process_count; i++) {
    struct process *process = &plan.processes[i];
    if (process->pid == 0 && !is_ending && process->start_at <= now) start(process);
    if (process->pid == 0 || process->kill_at <= 0 || process->kill_at > now) continue;
    say("%s did not end in %llu ms and is killed", process->name, process->stop_ms);
    process->kill_at = -1;
    kill(-process->pid, SIGKILL);
  }
}

/* Milliseconds until the next timer; -1: there is none. */
static int next_timeout(long long now) {
  long long next = -1;
  for (size_t i = 0; i < plan.process_count; i++) {
    const struct process *process = &plan.processes[i];
    long long at = process->pid == 0 ? (is_ending ? 0 : process->start_at) : process->kill_at;
    if (at > 0 && (next < 0 || at < next)) next = at;
  }
  if (next < 0) return -1;
  return next <= now ? 0 : (int)(next - now);
}

static void loop(int signals) {
  struct pollfd ready[] = {{.fd = signals, .events = POLLIN}, {.fd = output_reader(), .events = POLLIN}};
  for (;;) {
    long long now = now_ms();
    run_timers(now);
    if (is_ending && !end_next(now)) return;
    if (poll(ready, 2, next_timeout(now)) > 0) take_signal(signals, now_ms());
    output_take();
    reap();
  }
}

static int write_ready(struct problem *problem) {
  char temporary[4096];
  snprintf(temporary, sizeof temporary, "%s.new", plan.ready);
  FILE *file = fopen(temporary, "we");
  for (size_t i = 0; file != NULL && i < plan.listener_count; i++)
    fprintf(file, "%s %s\n", plan.listeners[i].name, plan.listeners[i].address);
  if (file != NULL && fclose(file) == 0 && rename(temporary, plan.ready) == 0) return 0;
  return problem_set(problem, STATUS_SYSTEM, "", "cannot write %s: %s", plan.ready, strerror(errno));
}

static int open_signals(struct problem *problem) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  sigaddset(&wanted, SIGHUP);
  sigaddset(&wanted, SIGCHLD);
  signal(SIGPIPE, SIG_IGN);
  int fd = sigprocmask(SIG_SETMASK, &wanted, NULL) == 0 ? signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK) : -1;
  if (fd >= 0) fd = descriptor_move_up(fd);
  return fd >= 0 ? fd : problem_set(problem, STATUS_SYSTEM, "", "cannot watch signals: %s", strerror(errno));
}

/* Whoever started us learns at once how it went, without having to read a log. False: nobody does. */
static bool notify(const struct problem *problem) {
  if (plan.notify < 0) return false;
  int written = problem == NULL
                  ? dprintf(plan.notify, "ready\n")
                  : dprintf(plan.notify, "error status=%d%s text=%s\n", problem->status, problem->facts, problem->text);
  close(plan.notify);
  plan.notify = -1;
  return written > 0;
}

static int begin(const char *path, int *signals, struct problem *problem) {
  /* Descriptors that whoever started us forgot to keep to himself. */
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (plan_read(path, &plan, problem) != 0) return -1;
  if ((lock = lock_take(plan.lock, problem)) < 0) return -1;
  /* After it: another node on the same data has the log, too. */
  if (output_open(&plan, problem) != 0) return -1;
  if ((*signals = open_signals(problem)) < 0) return -1;
  if (listeners_bind(plan.listeners, plan.listener_count, problem) != 0) return -1;
  return write_ready(problem);
}

int supervise_main(int argc, char **argv) {
  int signals = -1;
  struct problem problem;
  if (argc != 2) {
    dprintf(STDERR_FILENO, "usage: ainit supervise FILE\n");
    return STATUS_FILE;
  }
  if (begin(argv[1], &signals, &problem) != 0) {
    listeners_unlink(plan.listeners, plan.listener_count);
    /* Whoever is notified tells people itself; a log is told anyhow. */
    if (!notify(&problem) || plan.log != NULL) say("error: %s", problem.text);
    return problem.status;
  }
  notify(NULL);
  loop(signals);
  unlink(plan.ready);
  listeners_unlink(plan.listeners, plan.listener_count);
  listeners_leave(plan.listeners, plan.listener_count);
  folder_leave(plan.ready);
  say("ended");
  return 0;
}
