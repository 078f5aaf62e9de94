/*
 * What happens in a new process between fork and exec: everything that turns a copy of PID 1 into the task or a session.
 * Nothing here returns to the event loop.
 */
#ifndef AINIT_CHILD_H
#define AINIT_CHILD_H

#include <stddef.h>
#include <sys/resource.h>

#include "spec.h"

struct limit {
  int resource;
  rlim_t value;
};

#define LIMITS_MAX 8
#define GIVEN_MAX 2

enum lent {
  LENT_NOTHING,
  LENT_ELSEWHERE, /* it is fetched when it is asked for */
  LENT_HERE,      /* at FD_LEND */
};

/* The same for every process of the instance; set once. */
struct confinement {
  struct limit limits[LIMITS_MAX];
  size_t limit_count;
  int is_filtered;      /* by seccomp */
  enum lent lent;      /* the program that sessions may be lent */
  void (*fetch_lent)(void); /* begins to, unless it has; `control_unblock_waiting` follows */
  unsigned user;        /* uid and gid to become; 0: stay */
  struct rlimit files;  /* what PID 1 had before it raised its own */
};

extern struct confinement confinement;

struct command {
  const char *program; /* NULL: the lent program. Without a slash: looked for in PATH of `env` */
  char **args;
  char **env;
  const char *workdir; /* may be NULL */
  const char *copy;    /* `from:to`, or NULL */
  int is_terminal;     /* stdio[0] becomes the controlling terminal */
  int stdio[3];
  int given[GIVEN_MAX]; /* descriptors that it finds at 3 and above */
  int given_count;
};

/*
 * What the child says on its report pipe. `step` is empty just before exec: end-of-file after that means it worked. The
 * pipe is close-on-exec, and a report is smaller than PIPE_BUF, so it arrives whole.
 */
struct report {
  char step[16];
  int number; /* errno */
  char text[256];
};

_Noreturn void child_run(const struct command *command, int report_fd);

/* Reads `rlimit` records. 0, or -1 with errno EINVAL and the bad value in `*bad`. */
int confinement_read(const struct spec *spec, const char **bad);

#endif
