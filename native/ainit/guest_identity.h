/* Who a virtual machine is: its names, and the files that say so. A clone is given another identity than its template. */
#ifndef AINIT_GUEST_IDENTITY_H
#define AINIT_GUEST_IDENTITY_H

#include <stddef.h>

#include "spec.h"

/* Files that are laid over those of the tree: where they are, and what they are called in our own folder. NULL past the last. */
const char *identity_path(size_t index);
const char *identity_file(size_t index);
/* Whether it is a file of the tree, and not the kernel's. */
int identity_is_of_tree(size_t index);
/* Whether the specification has something to put there. */
int identity_has(const struct spec *spec, size_t index);

/* The folder that the files are in; it stays open. 0, or -1 with errno. */
int identity_open(const char *folder);
/* Writes all files anew, in place, and sets the host name. 0, or -1 with errno. */
int identity_write(const struct spec *spec);

#endif
