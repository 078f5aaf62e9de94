/* Declared outgoing connections: listened for inside, handed to the egress process outside. */
#ifndef AINIT_RELAY_H
#define AINIT_RELAY_H

#include <netinet/in.h>
#include <stdint.h>

#include "loop.h"
#include "spec.h"

#define RELAYS_MAX 256
/* RFC 1035, as text and without the final dot. */
#define NAME_BYTES_MAX 253

union ip_address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* One listening socket and the name that is reached by it. */
struct relay {
  struct source source;
  struct timer retry;
  const char *name; /* NULL while it does not listen */
  uint64_t used_ns; /* when it took its last connection, or began */
  uint16_t port;
};

/*
 * Where all connections go: `outlet` accepts one, once it knows that it can be given away (a client that was accepted cannot be
 * put back), and does so. 0, or -1: not now.
 */
void relays_set_outlet(int (*outlet)(struct relay *relay));
/* For an outlet: the next connection, non-blocking, or -1 with errno. */
int relay_accept(struct relay *relay);

/* Listens on every `relay`. 0, or -1 with errno and the record in `*bad`. */
int relays_open(const struct spec *spec, const char **bad);

/* The IPv4 address inside of a name that has a relay of its own. 0, or -1. */
int relays_find(const char *name, struct in_addr *out);

/* Listens with a relay that does not. `name` stays the caller's and has to outlive it. 0, or -1 with errno. */
int relay_open(struct relay *relay, const union ip_address *address, const char *name);
void relay_close(struct relay *relay);

/*
 * Reads `127.0.0.2:5432:name` or `[2001:db8::1]:5432:name`; `*name` points into `text`. 0, or -1 with errno EINVAL. Pure, so
 * that the host's side reads the same.
 */
int relay_parse(const char *text, union ip_address *address, const char **name);

#endif
