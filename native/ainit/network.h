/* A network namespace made by the host's side, because only its owner may open low ports to everybody. */
#ifndef AINIT_NETWORK_H
#define AINIT_NETWORK_H

#include "spec.h"

/*
 * Moves this process into a new network namespace with loopback up, where every port may be bound by every user. Without
 * root it takes a user namespace of its own, in which uid and gid stay what they are. 0, or -1 with errno.
 */
int network_unshare(void);

/* Loopback up in the namespace of this process, where every port may be bound by every user. 0, or -1 with errno. */
int network_open(void);

/*
 * Gives loopback the addresses that relays listen on, beside 127.0.0.0/8 and ::1, which it has: a program that was told an
 * address and no name reaches the relay by it. 0, or -1 with errno.
 */
int network_add_addresses(const struct spec *spec);

#endif
