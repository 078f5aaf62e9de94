/*
 * A machine that stands still, so that it can be saved: nothing is on its way in either direction, and no frame is cut in two.
 * Whoever asked for that keeps it so as long as his connection lasts.
 */
#ifndef AINIT_FREEZER_H
#define AINIT_FREEZER_H

/* Answers a connection that asks for it, once it is so; the connection is ours from now on. */
void freezer_take(int fd);

/* The machine waits for its specification, and stands still by itself. */
void freezer_is_still(void);

/* The guest says that it stands still. 0, or -1 when nobody has asked for it. */
int freezer_frozen(void);

#endif
