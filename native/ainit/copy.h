/* A private, writable copy of a folder tree. */
#ifndef AINIT_COPY_H
#define AINIT_COPY_H

#define PATH_ABOUT_BYTES 256

/*
 * Copies what is in the folder `from` into the folder `to`, which exists: files, folders and symbolic links, with their
 * modes (owner write added) and times; anything else is left out. 0, or -1 with errno and the path it failed at in `about`.
 */
int copy_tree(const char *from, const char *to, char about[PATH_ABOUT_BYTES]);

#endif
