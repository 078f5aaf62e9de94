/* The file system of a virtual machine: read-only disks, and what has to be writable or the kernel's own on top of them. */
#ifndef AINIT_GUEST_ROOT_H
#define AINIT_GUEST_ROOT_H

#include "spec.h"

#define ROOT_ABOUT_BYTES 160

/* What is needed before any specification: /proc, /sys and a few devices in the first file system. 0, or -1 with errno. */
int root_prepare(void);

/*
 * Mounts what `mount` says, fills it and makes it the root of this process. 0, or -1 with errno and where it failed in `about`.
 */
int root_enter(const struct spec *spec, char about[ROOT_ABOUT_BYTES]);

#endif
