/* `ainit launch`: the host's side of starting an instance. */
#ifndef AINIT_LAUNCH_H
#define AINIT_LAUNCH_H

int launch_main(void);

#endif
