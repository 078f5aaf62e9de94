/* `ainit vm`: PID 1 beside a virtual machine. It runs the machine's monitor and speaks to the PID 1 inside. */
#ifndef AINIT_VM_H
#define AINIT_VM_H

int vm_main(void);

#endif
