/* What a machine is told before it runs its task: the time, randomness, and the records of the specification that are its. */
#ifndef AINIT_OPENING_H
#define AINIT_OPENING_H

#include "spec.h"

/* Keeps what is to be sent, as frames need it. 0, or -1 with errno. */
int opening_prepare(const struct spec *spec);

/* CLOCK, ENTROPY and SETUP. */
void opening_send(void);

/* CLOCK alone: the time of now, or as much earlier as `clock_behind_s` says. */
void opening_send_clock(void);

#endif
