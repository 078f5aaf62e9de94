/* What PID 1 of a virtual machine does for its task: log and report go to the host, and the machine ends with it. */
#ifndef AINIT_GUEST_HOME_H
#define AINIT_GUEST_HOME_H

#include <stddef.h>
#include <stdint.h>

#include "task.h"

extern const struct task_home machine_home;

/* The sink of the log. */
void machine_log(uint8_t stream, const void *bytes, size_t length);

_Noreturn void machine_off(void);

#endif
