/*
 * A channel whose bytes come from and go to a descriptor: a client of the host's sockets, a connection inside, a file. It reads
 * when it is its turn, so nothing is copied for waiting; what the descriptor does not take is kept, within one bound for all.
 */
#ifndef AINIT_BRIDGE_H
#define AINIT_BRIDGE_H

#include "bytes.h"
#include "loop.h"
#include "mux.h"

struct bridge {
  struct channel channel;
  struct source source;
  struct bytes pending; /* what the descriptor has not taken yet */
  uint8_t kind;         /* CHANNEL_…; 0: free */
  int is_in_ended, is_in_done, is_out_done;
  uint64_t bytes_left; /* how much it may take */
  void *context;
  void (*answered)(struct bridge *bridge, int status); /* may be NULL. After a refusal the bridge is gone */
  void (*gone)(struct bridge *bridge);                 /* about to be; may be NULL */
};

/* `arguments` begin with the kind. `fd` may be -1 until `bridge_attach`. NULL with errno, and then `fd` is still the caller's. */
struct bridge *bridge_open(const uint8_t *arguments, size_t length, int fd);
/* For a channel that the peer opens; NULL: it was refused. */
struct bridge *bridge_accept(uint32_t id, uint8_t kind);
/* Answers the peer: it is open, and `fd` is what it leads to. */
void bridge_attach(struct bridge *bridge, int fd);
void bridge_answer(struct bridge *bridge);
void bridge_refuse(struct bridge *bridge, int status);
/* Ends both directions at once. */
void bridge_close(struct bridge *bridge);

/* Forgets all, without a word to the peer. */
void bridges_forget(void);
/* How many are open. */
unsigned bridges_count(uint8_t kind);
/* Whether nothing waits to be read from or written to the descriptors. */
int bridges_are_drained(void);

#endif
