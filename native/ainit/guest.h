/* `ainit guest`: PID 1 of a virtual machine; also what the kernel starts as /init. */
#ifndef AINIT_GUEST_H
#define AINIT_GUEST_H

int guest_main(void);

#endif
