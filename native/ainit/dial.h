/* A connection to a port on loopback inside, that is being made. Who does it is a dialer: here by a socket, or beyond a channel. */
#ifndef AINIT_DIAL_H
#define AINIT_DIAL_H

#include "loop.h"

struct dial {
  uint16_t port;
  /* Called once, perhaps before `begin` returns, and never after `cancel`: 0 and the connected descriptor, or an errno. */
  void (*done)(struct dial *dial, int status, int fd);
  /* The dialer's own. */
  struct source source;
  int family;
  void *context;
};

struct dialer {
  void (*begin)(struct dial *dial);
  void (*cancel)(struct dial *dial);
};

/* 127.0.0.1 or ::1, whichever listens; the socket is non-blocking and has TCP_NODELAY. */
extern const struct dialer loopback_dialer;

#endif
