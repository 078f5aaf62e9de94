/* The monitor of a virtual machine, QEMU for one: the one child of `ainit vm`, and its console. */
#ifndef AINIT_MONITOR_H
#define AINIT_MONITOR_H

#include "spec.h"

/*
 * Starts it; it finds the channel as descriptor 3, and what listens for control's commands as 4. `ended` is called once, perhaps
 * before this returns, with an errno and what there is to say.
 */
void monitor_start(const struct spec *spec, int channel, void (*ended)(int number, const char *text));
void monitor_kill(void);

#endif
