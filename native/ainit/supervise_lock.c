/* One supervisor per node (supervise.h): a lock file that holds the pid of who has it, and those of its children. */
#define _GNU_SOURCE
#include "supervise.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * The children hold the lock too, so that a new supervisor begins only when the processes of a killed one have ended:
 * how long it waits for them.
 */
#define LEFTOVER_MS_MAX 15000
/* Most end by themselves (PR_SET_PDEATHSIG); one that changed its uid was never told, and is told then. */
#define TELL_MS 500
#define KILL_MS 12000
#define RETRY_MS 20
/* A holder that was just killed takes a moment to die: it must have been seen alive for this long. */
#define ALIVE_MS_MIN 100

static pid_t read_pid(int fd) {
  char text[16];
  ssize_t length = pread(fd, text, sizeof text - 1, 0);
  if (length <= 0) return 0;
  text[length] = '\0';
  return (pid_t)strtol(text, NULL, 10);
}

int lock_record(int fd, const struct process *processes, size_t count) {
  char text[16 * (PROCESSES_MAX + 1)];
  int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
  for (size_t i = 0; i < count; i++)
    if (processes[i].pid > 0)
      length += snprintf(text + length, sizeof text - (size_t)length, "%d\n", (int)processes[i].pid);
  if (pwrite(fd, text, (size_t)length, 0) != length) return -1;
  return ftruncate(fd, length);
}

/* Whether `pid` has our lock file open. Numbers are used again by strangers, and a stranger has not. */
static int has_open(pid_t pid, int fd) {
  char path[64];
  struct stat ours, theirs;
  int found = 0;
  snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  DIR *folder = opendir(path);
  if (folder == NULL || fstat(fd, &ours) != 0) return 0;
  for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;)
    found = fstatat(dirfd(folder), entry->d_name, &theirs, 0) == 0 && theirs.st_ino == ours.st_ino &&
            theirs.st_dev == ours.st_dev;
  closedir(folder);
  return found;
}

/* Signals the recorded children of a dead supervisor. The first line is its own pid. */
static void signal_leftovers(int fd, int signal) {
  char text[16 * (PROCESSES_MAX + 1)];
  ssize_t length = pread(fd, text, sizeof text - 1, 0);
  text[length > 0 ? length : 0] = '\0';
  for (char *line = strchr(text, '\n'); line != NULL && line[1] != '\0'; line = strchr(line + 1, '\n')) {
    pid_t pid = (pid_t)strtol(line + 1, NULL, 10);
    if (pid > 1 && has_open(pid, fd)) kill(pid, signal);
  }
}

/* A zombie has let go of everything, and may stay for as long as its parent does not care. */
static int is_zombie(pid_t pid) {
  char path[32], text[256];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = '\0';
  /* The state follows the name, which may hold anything, brackets too. */
  const char *end = strrchr(text, ')');
  return end != NULL && strncmp(end, ") Z", 3) == 0;
}

static int is_alive(pid_t pid) {
  return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM) && !is_zombie(pid);
}

/* 0 when locked; otherwise -1, after having waited as long as the holder is nobody that is alive. */
static int wait_for(int fd, pid_t *holder) {
  const struct timespec pause = {.tv_nsec = RETRY_MS * 1000 * 1000};
  int alive = 0;
  for (int waited = 0;; waited += RETRY_MS) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
    if (errno != EWOULDBLOCK && errno != EINTR) return -1;
    *holder = read_pid(fd);
    alive = is_alive(*holder) ? alive + RETRY_MS : 0;
    if (alive > ALIVE_MS_MIN || waited >= LEFTOVER_MS_MAX) {
      errno = EWOULDBLOCK;
      return -1;
    }
    if (alive == 0 && waited == TELL_MS) signal_leftovers(fd, SIGTERM);
    if (alive == 0 && waited == KILL_MS) signal_leftovers(fd, SIGKILL);
    nanosleep(&pause, NULL);
  }
}

int lock_take(const char *path, struct problem *problem) {
  pid_t holder = 0;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return problem_set(problem, STATUS_SYSTEM, "", "cannot open %s: %s", path, strerror(errno));
  if (wait_for(fd, &holder) == 0 && lock_record(fd, NULL, 0) == 0) return descriptor_move_up(fd);
  int number = errno;
  close(fd);
  if (number != EWOULDBLOCK) return problem_set(problem, STATUS_SYSTEM, "", "cannot lock %s: %s", path, strerror(number));
  char facts[32];
  snprintf(facts, sizeof facts, " pid=%d", (int)holder);
  if (is_alive(holder)) return problem_set(problem, STATUS_LOCKED, facts, "%s is held by pid %d", path, (int)holder);
  return problem_set(problem, STATUS_LOCKED, facts, "%s is held by a process that pid %d left behind", path, (int)holder);
}
