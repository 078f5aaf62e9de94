/* How a supervised process begins (supervise.h). */
#define _GNU_SOURCE
#include "supervise.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SOCKET_FIRST 3

extern char **environ;

static _Noreturn void give_up(const struct process *process, const char *step) {
  dprintf(STDERR_FILENO, "supervise: %s: %s: %s\n", process->name, step, strerror(errno));
  _exit(127);
}

/* LISTEN_ADDRESS_PUBLIC_HTTP for `public-http`. */
static void set_address(const struct listener *listener) {
  char name[sizeof "LISTEN_ADDRESS_" + NAME_BYTES_MAX] = "LISTEN_ADDRESS_";
  char *end = name + strlen(name);
  for (const char *from = listener->name; *from != '\0'; from++)
    *end++ = *from == '-' ? '_' : (char)toupper((unsigned char)*from);
  *end = '\0';
  setenv(name, listener->address, 1);
}

/* As sd_listen_fds(3) expects it; what supervise itself was given of that kind is not passed on. */
static void set_environment(const struct plan *plan, const struct process *process) {
  char names[LISTENERS_MAX * (NAME_BYTES_MAX + 1)] = "";
  char number[16];
  size_t length = 0;
  for (size_t i = 0; i < process->socket_count; i++)
    length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i == 0 ? "" : ":",
                               plan->listeners[process->sockets[i]].name);
  snprintf(number, sizeof number, "%d", (int)getpid());
  setenv("LISTEN_PID", number, 1);
  snprintf(number, sizeof number, "%zu", process->socket_count);
  setenv("LISTEN_FDS", number, 1);
  setenv("LISTEN_FDNAMES", names, 1);
  for (size_t i = 0; i < plan->listener_count; i++)
    if (plan->listeners[i].is_tcp) set_address(&plan->listeners[i]);
  for (size_t i = 0; i < process->env_count; i++) {
    size_t name_length = strcspn(process->envs[i], "=");
    char *name = strndup(process->envs[i], name_length);
    if (name == NULL || setenv(name, process->envs[i] + name_length + 1, 1) != 0) give_up(process, "environment");
    free(name);
  }
}

/* dup2 makes copies without close-on-exec; all else that is open is close-on-exec. */
static void set_descriptors(const struct plan *plan, const struct process *process, int lock) {
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0) give_up(process, "stdin");
  if (plan->output >= 0 && (dup2(plan->output, STDOUT_FILENO) < 0 || dup2(plan->output, STDERR_FILENO) < 0))
    give_up(process, "output");
  int next = SOCKET_FIRST;
  for (size_t i = 0; i < process->socket_count; i++)
    if (dup2(plan->listeners[process->sockets[i]].fd, next++) < 0) give_up(process, "sockets");
  if (dup2(lock, next) < 0) give_up(process, "lock");
}

static void set_oom_score(const char *score) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t ignored = write(fd, score, strlen(score));
  (void)ignored;
  close(fd);
}

static void drop_privileges(const struct process *process) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(process, "no_new_privs");
  /* Without privileges there are no groups to clear and nobody else to become. */
  if (setgroups(0, NULL) != 0 && errno != EPERM) give_up(process, "setgroups");
  if (setresgid(process->gid, process->gid, process->gid) != 0) give_up(process, "setgid");
  if (setresuid(process->uid, process->uid, process->uid) != 0) give_up(process, "setuid");
}

static _Noreturn void become(const struct plan *plan, const struct process *process, int lock, pid_t supervisor) {
  sigset_t none;
  setpgid(0, 0);
  set_environment(plan, process);
  set_descriptors(plan, process, lock);
  if (process->oom_score != NULL) set_oom_score(process->oom_score);
  if (process->has_uid) drop_privileges(process);
  /* After the change of uid, which clears it; and if supervise died before this line, nobody will send the signal. */
  if (prctl(PR_SET_PDEATHSIG, SIGINT, 0, 0, 0) != 0) give_up(process, "pdeathsig");
  if (getppid() != supervisor) _exit(0);
  signal(SIGPIPE, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(process->args[0], (char *const *)process->args, environ);
  give_up(process, process->args[0]);
}

pid_t process_spawn(const struct plan *plan, const struct process *process, int lock) {
  pid_t supervisor = getpid();
  pid_t pid = fork();
  if (pid == 0) become(plan, process, lock, supervisor);
  /* Both sides, so that neither has to wait for the other; the loser's error means nothing. */
  if (pid > 0) setpgid(pid, pid);
  return pid;
}
