/* What every PID 1 of ours begins with: `init` in a sandbox, `vm` beside a virtual machine, `guest` in one. */
#ifndef AINIT_PID1_H
#define AINIT_PID1_H

#include "spec.h"

/* Puts /dev/null at a known descriptor that is not there, so that nothing else ever gets its number. */
void pid1_fill_gap(int fd);

/* The loop, signals (children are reaped; nothing else is heard) and as many descriptors as may be. */
void pid1_open(void);

/* Reads how the task is confined and run, listens for it, and starts it; a failure ends the instance by `task_fail`. */
void pid1_begin_task(struct spec *spec);

/* `task_fail` with errno and what it is about. */
void pid1_fail(const char *step, const char *about);

#endif
