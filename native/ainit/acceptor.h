/* A listening socket of PID 1, whose owner has a fixed number of places for who comes. */
#ifndef AINIT_ACCEPTOR_H
#define AINIT_ACCEPTOR_H

#include "loop.h"

struct acceptor {
  struct source source;
  struct timer retry;
};

/* `ready` looks for a place, and calls acceptor_take or acceptor_full. */
void acceptor_open(struct acceptor *acceptor, int fd, void (*ready)(struct source *, uint32_t));
/* The next connection, non-blocking; or -1, and it is tried again soon: no descriptors are left, perhaps. */
int acceptor_take(struct acceptor *acceptor);
/* There is no place: who comes waits in the backlog until acceptor_resume. */
void acceptor_full(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

#endif
