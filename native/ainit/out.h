/* The instance's folder for what outlives it: its log and how it ended. */
#ifndef AINIT_OUT_H
#define AINIT_OUT_H

#include "spec.h"

/* Begins the log in the folder at FD_OUT, if it is there. 0, or -1 with errno and the record in `*bad`. */
int out_open(const struct spec *spec, int is_there, const char **bad);

/* Writes `exit`, whole or not at all. */
void out_write_exit(const char *line);

#endif
