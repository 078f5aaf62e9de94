/* The system call filter of every process in an instance but PID 1. */
#ifndef AINIT_SECCOMP_H
#define AINIT_SECCOMP_H

/* Builds the filter; once, before the first `seccomp_install`. Who has a kernel of his own may read what it prints. */
void seccomp_prepare(int has_own_kernel);

/* Confines the calling process for good. It must have no new privileges. 0, or -1 with errno. */
int seccomp_install(void);

#endif
