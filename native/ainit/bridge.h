/*
 * An interface of its own for an instance, connected to a bridge: `eth0` inside, a port of the bridge outside. The bridge is
 * the operator's, in the host's network namespace, or a switch: one in a namespace where nothing else is, so that no frame
 * ever reaches the host's own addresses. A namespace and what is in it go when nobody has it open any more.
 */
#ifndef AINIT_BRIDGE_H
#define AINIT_BRIDGE_H

#include "spec.h"

/*
 * Makes `eth0` in the network namespace of this process, as the records `port`, `mac`, `address` and `gateway` say, and with
 * a record `bridge` connects it. `outside` is the namespace of the bridge. 0, or -1 with errno and the step in `*about`.
 */
int bridge_attach(const struct spec *spec, int outside, const char **about);

/* `ainit bridge …` on the host, for what control does beside launches; docs/internals/ainit.md. */
int bridge_main(int argc, char **argv);

#endif
