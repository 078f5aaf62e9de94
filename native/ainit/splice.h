/*
 * A channel whose bytes come from and go to a descriptor: a client of the host's sockets, a connection inside, a file. It reads
 * when it is its turn, so nothing is copied for waiting; what the descriptor does not take is kept, within one bound for all.
 */
#ifndef AINIT_SPLICE_H
#define AINIT_SPLICE_H

#include "bytes.h"
#include "loop.h"
#include "mux.h"

struct splice {
  struct channel channel;
  struct source source;
  struct bytes pending; /* what the descriptor has not taken yet */
  uint8_t kind;         /* CHANNEL_…; 0: free */
  int is_in_ended, is_in_done, is_out_done;
  unsigned long long *bytes_left; /* how much it may take, with others perhaps; NULL: anything */
  void *context;
  void (*answered)(struct splice *splice, int status); /* may be NULL. After a refusal the splice is gone */
  void (*gone)(struct splice *splice);                 /* about to be; may be NULL */
};

/* `arguments` begin with the kind. `fd` may be -1 until `splice_attach`. NULL with errno, and then `fd` is still the caller's. */
struct splice *splice_open(const uint8_t *arguments, size_t length, int fd);
/* For a channel that the peer opens; NULL: it was refused. */
struct splice *splice_accept(uint32_t id, uint8_t kind);
/* Answers the peer: it is open, and `fd` is what it leads to. */
void splice_attach(struct splice *splice, int fd);
void splice_answer(struct splice *splice);
/* Nothing is read from the descriptor: bytes come from the peer alone. Before `splice_attach`. */
void splice_finish(struct splice *splice);
void splice_refuse(struct splice *splice, int status);
/* Ends both directions at once. */
void splice_close(struct splice *splice);

/* Forgets all, without a word to the peer. */
void splices_forget(void);
/* How many are open. */
unsigned splices_count(uint8_t kind);
/* Whether nothing waits to be read from or written to the descriptors. */
int splices_are_drained(void);

#endif
