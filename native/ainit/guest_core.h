/*
 * Core dumps of a virtual machine's processes. The kernel gives each to a program of ours, outside of the task's root; it hands
 * the bytes to PID 1, and PID 1 to the host: nothing of it is kept inside.
 */
#ifndef AINIT_GUEST_CORE_H
#define AINIT_GUEST_CORE_H

#include "spec.h"

/* Takes core dumps, when the specification wants them. 0, or -1 with errno. */
int core_open(const struct spec *spec);

/* `/init core PID SIGNAL COMMAND`, started by the kernel: sends its standard input to PID 1. */
int core_main(int argc, char **argv);

#endif
