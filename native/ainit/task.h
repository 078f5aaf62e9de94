/* The one process an instance is for: its start, its stdio, its end, and with it the end of PID 1. */
#ifndef AINIT_TASK_H
#define AINIT_TASK_H

#include "control.h"
#include "process.h"
#include "spec.h"

/* What PID 1 does for the task; init.c and guest.c do it differently. */
struct task_home {
  /* How it ended: one line. */
  void (*report)(const char *line);
  /* Whether the log has not taken enough of what it was given. */
  int (*is_behind)(void);
  /* Whether everything that was written to connections has left. */
  int (*is_flushed)(void);
  /* Nothing is left to do. */
  void (*leave)(int status);
};

/* Once, before anything else. */
void task_open(const struct task_home *home);

/* Reads what concerns the task; `spec` is kept until exec and then forgotten. 0, or -1 with errno and the key in `*bad`. */
int task_configure(struct spec *spec, const char **bad);

/* Starts it, or waits for `task_release`. */
void task_begin(void);
void task_release(void);

/* Ends the instance because of something that is not the task's process. */
void task_fail(const char *step, int number, const char *text);

/* NULL before it was started and after it ended. */
struct process *task_process(void);
int task_is_ending(void);

/* Sends a connection the output that is still known. */
void task_replay(struct connection *connection);

/* Reads the task's output, or not while a primary reader is behind. */
void task_pace(void);

/* There are no children left. */
void task_alone(void);

#endif
