/* `ainit init`: PID 1 of an instance. */
#ifndef AINIT_INIT_H
#define AINIT_INIT_H

int init_main(void);

#endif
