/*
 * Names that only a wildcard declares. Each that is asked for gets an address of its own inside, and listens there on the
 * ports of the wildcards that cover it. Who asks, and how, is not known here.
 */
#ifndef AINIT_NAMES_H
#define AINIT_NAMES_H

#include <netinet/in.h>

#include "spec.h"

#define WILDCARDS_MAX 256
/* Beyond either, the name that was used least recently is forgotten: its address refuses connections from then on. */
#define NAMES_MAX 512
#define NAME_RELAYS_MAX 1024
/*
 * 127.64.0.0/10. Addresses are given in order and come again after four million names, so that a program that kept the
 * address of a forgotten name is refused, and not led to another host.
 */
#define NAMES_NETWORK 0x7f400000u
#define NAMES_MASK 0xffc00000u

/* Reads every `wildcard`: `443:*.example.com`. 0, or -1 with errno and the record in `*bad`. */
int names_configure(const struct spec *spec, const char **bad);

/*
 * The address of a name (lower case, no final dot), from now on listened on. 0; -1 with errno ENOENT when no wildcard covers
 * it, or with what kept it from listening.
 */
int names_resolve(const char *name, struct in_addr *out);

#endif
