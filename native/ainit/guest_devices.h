/* Devices of a virtual machine, found in sysfs: there is no devtmpfs and no udev. */
#ifndef AINIT_GUEST_DEVICES_H
#define AINIT_GUEST_DEVICES_H

/* Makes `folder`/name for each device that any program may expect. 0, or -1 with errno. */
int devices_make(const char *folder);

/* Makes the node `path` of a block device, which is called as the path ends. 0, or -1 with errno. */
int devices_make_disk(const char *path);

/* Opens the port of this name for reading and writing, non-blocking; waits until it is there. -1 with errno after `wait_ms`. */
int devices_open_port(const char *name, int wait_ms);

#endif
