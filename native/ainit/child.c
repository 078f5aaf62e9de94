/* The way to exec (child.h). The order matters: each step takes away something that an earlier one needed. */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copy.h"
#include "protocol.h"
#include "seccomp.h"

/* Where the two descriptors that live until exec are moved, and those that live on: all below what is closed last. */
#define FD_REPORT (FD_CGROUPS - 1)
#define FD_PROGRAM (FD_CGROUPS - 2)
#define FD_GIVEN 3

_Static_assert(FD_GIVEN + GIVEN_MAX <= FD_PROGRAM, "each has a place of its own");

struct confinement confinement;

_Noreturn static void give_up(const char *step, int number, const char *about) {
  struct report report = {.number = number};
  const char *name = strerrorname_np(number);
  snprintf(report.step, sizeof report.step, "%s", step);
  snprintf(report.text, sizeof report.text, "%s: %s%s%.180s", name == NULL ? "?" : name, strerror(number),
           about == NULL ? "" : ": ", about == NULL ? "" : about);
  if (write(FD_REPORT, &report, sizeof report) < 0) _exit(126);
  _exit(127);
}

static void reset_signals(void) {
  sigset_t none;
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Leaves 0–2, what is given, the report pipe, the lent program and the cgroups: a child frozen from here on holds nothing of PID 1's. */
static void keep_few_descriptors(const struct command *command, int report_fd) {
  for (int number = 0; number < 3; number++) dup2(command->stdio[number], number);
  int lent = command->program == NULL ? fcntl(FD_LEND, F_DUPFD_CLOEXEC, FD_END) : -1;
  dup3(report_fd, FD_REPORT, O_CLOEXEC);
  if (lent >= 0) dup3(lent, FD_PROGRAM, O_CLOEXEC);
  for (int at = 0; at < command->given_count; at++) dup2(command->given[at], FD_GIVEN + at);
  close_range((unsigned)(FD_GIVEN + command->given_count), lent >= 0 ? FD_PROGRAM - 1 : FD_PROGRAM, 0);
  close_range(FD_CGROUPS + CGROUPS_MAX, ~0u, 0);
}

static void join_cgroups(void) {
  for (int fd = FD_CGROUPS; fd < FD_CGROUPS + CGROUPS_MAX; fd++)
    if (write(fd, "0", 1) < 0 && errno != EBADF) give_up("cgroup", errno, NULL);
  close_range(FD_CGROUPS, FD_CGROUPS + CGROUPS_MAX - 1, 0);
}

static void open_session(int is_terminal) {
  if (setsid() < 0) give_up("session", errno, NULL);
  if (is_terminal && ioctl(0, TIOCSCTTY, 0) < 0) give_up("terminal", errno, NULL);
}

static void copy_trees(const char *copy) {
  char from[4096];
  char about[PATH_ABOUT_BYTES];
  const char *colon = strchr(copy, ':');
  if (colon == NULL || (size_t)(colon - copy) >= sizeof from) give_up("copy", EINVAL, copy);
  memcpy(from, copy, (size_t)(colon - copy));
  from[colon - copy] = '\0';
  if (copy_tree(from, colon + 1, about) < 0) give_up("copy", errno, about);
}

/* Whoever may not raise a limit keeps the one that is there. */
static void limit_one(int resource, rlim_t value) {
  struct rlimit now;
  struct rlimit wanted = {value, value};
  if (setrlimit(resource, &wanted) == 0) return;
  if (errno != EPERM || getrlimit(resource, &now) < 0) give_up("rlimit", errno, NULL);
  now.rlim_cur = now.rlim_max;
  setrlimit(resource, &now);
}

static void set_limits(void) {
  setrlimit(RLIMIT_NOFILE, &confinement.files);
  for (size_t at = 0; at < confinement.limit_count; at++)
    limit_one(confinement.limits[at].resource, confinement.limits[at].value);
}

/* PID 1 of a virtual machine is its root; its task is who it is in a sandbox. */
static void become_user(void) {
  uid_t id = (uid_t)confinement.user;
  for (int capability = 0; capability <= CAP_LAST_CAP; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0) give_up("user", errno, NULL);
}

/* PID 1 may hold capabilities (to bind low ports for relays); no task ever does. */
static void drop_privileges(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {0};
  for (int capability = 0; capability <= CAP_LAST_CAP; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (syscall(SYS_capset, &header, none) < 0) give_up("capabilities", errno, NULL);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) give_up("capabilities", errno, NULL);
}

static const char *find_in_environment(char **env, const char *name) {
  size_t length = strlen(name);
  for (; *env != NULL; env++)
    if (strncmp(*env, name, length) == 0 && (*env)[length] == '=') return *env + length + 1;
  return NULL;
}

/* As execvpe(3), but a file that is no executable stays an error instead of going to a shell. */
static void exec_in_path(const struct command *command) {
  const char *path = find_in_environment(command->env, "PATH");
  int denied = 0;
  if (path == NULL) path = "/usr/local/bin:/usr/bin:/bin";
  for (const char *at = path;;) {
    char candidate[4096];
    size_t length = strcspn(at, ":");
    int written = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, at, command->program);
    if (written > 0 && (size_t)written < sizeof candidate) execve(candidate, command->args, command->env);
    if (errno == EACCES) denied = 1;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return;
    if (at[length] == '\0') break;
    at += length + 1;
  }
  errno = denied ? EACCES : ENOENT;
}

_Noreturn static void exec_program(const struct command *command) {
  struct report ready = {0};
  if (write(FD_REPORT, &ready, sizeof ready) < 0) _exit(126);
  if (command->program == NULL) {
    syscall(SYS_execveat, FD_PROGRAM, "", command->args, command->env, AT_EMPTY_PATH);
    give_up("exec", errno, "the lent program");
  }
  if (strchr(command->program, '/') == NULL)
    exec_in_path(command);
  else
    execve(command->program, command->args, command->env);
  char about[256];
  int number = errno;
  int is_there = number == ENOENT && access(command->program, F_OK) == 0;
  snprintf(about, sizeof about, "%s%.160s", is_there ? "the interpreter or loader of " : "", command->program);
  give_up("exec", number, about);
}

_Noreturn void child_run(const struct command *command, int report_fd) {
  reset_signals();
  keep_few_descriptors(command, report_fd);
  join_cgroups();
  open_session(command->is_terminal);
  umask(022);
  if (confinement.user != 0) become_user();
  if (command->copy != NULL) copy_trees(command->copy);
  if (command->workdir != NULL && chdir(command->workdir) < 0) give_up("workdir", errno, command->workdir);
  set_limits();
  drop_privileges();
  if (confinement.is_filtered && seccomp_install() < 0) give_up("seccomp", errno, NULL);
  exec_program(command);
}

int confinement_read(const struct spec *spec, const char **bad) {
  static const struct {
    const char *name;
    int resource;
  } names[] = {{"nofile:", RLIMIT_NOFILE}, {"fsize:", RLIMIT_FSIZE}, {"core:", RLIMIT_CORE}, {"nproc:", RLIMIT_NPROC}};
  for (size_t at = 0; at < spec->count; at++) {
    if (strcmp(spec->pairs[at].key, "rlimit") != 0) continue;
    const char *text = *bad = spec->pairs[at].value;
    unsigned long long value;
    size_t name = 0, names_end = sizeof names / sizeof *names;
    while (name < names_end && strncmp(text, names[name].name, strlen(names[name].name)) != 0) name++;
    errno = EINVAL;
    if (name == names_end || confinement.limit_count == LIMITS_MAX) return -1;
    if (parse_number(text + strlen(names[name].name), 0, 1ull << 62, &value) < 0) return -1;
    confinement.limits[confinement.limit_count++] = (struct limit){names[name].resource, (rlim_t)value};
  }
  return 0;
}
