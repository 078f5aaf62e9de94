/* What every PID 1 of ours begins with: `init` in a sandbox, `vm` beside a virtual machine, `guest` in one. */
#ifndef AINIT_PID1_H
#define AINIT_PID1_H

#include "spec.h"

/* Which of the optional descriptors `launch` gave. */
struct pid1_found {
  int has_out;
  int has_lent_program;
};

/* What `launch` left, and nothing beside it. */
struct pid1_found pid1_take_descriptors(void);
/* Reads the specification, and forgets its descriptor. 0, or -1 with errno. */
int pid1_read_spec(struct spec *spec);

/* The loop, signals (children are reaped; nothing else is heard) and as many descriptors as may be. */
void pid1_open(void);

/* Reads how the task is confined and run, listens for it, and starts it; a failure ends the instance by `task_fail`. */
void pid1_begin_task(struct spec *spec);

/* `task_fail` with errno and what it is about. */
void pid1_fail(const char *step, const char *about);

#endif
