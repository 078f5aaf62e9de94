/*
 * What leads into a virtual machine, on the host's side: clients of the instance's sockets. Bytes are moved, and not looked at
 * but for the first frame of a control connection.
 */
#ifndef AINIT_DOORS_H
#define AINIT_DOORS_H

/* From now on clients are let in. */
void doors_open(void);

/* Only to control, and only who speaks to the host's side: the machine is a template. */
void doors_open_control(void);

#endif
