/*
 * Many channels over one byte stream, between the host (`vm.c`) and a virtual machine (`guest.c`): frames, credits and turns.
 * Both sides are this module. What a channel is for is its owner's; docs/internals/microvm.md has the numbers.
 *
 * Whatever comes from the peer is checked here: a peer that breaks a rule is reported once (`broken`) and not heard any more.
 * Memory is bounded, whatever it does.
 */
#ifndef AINIT_MUX_H
#define AINIT_MUX_H

#include <stddef.h>
#include <stdint.h>

#define MUX_PAYLOAD_BYTES_MAX 16384
/* What either side may send on a new channel before it is given more. */
#define MUX_CREDIT_BYTES 65536u
/* Channels at a time that each side may have opened. */
#define MUX_HOST_CHANNELS_MAX 3072
#define MUX_GUEST_CHANNELS_MAX 1024

enum mux_side { MUX_HOST, MUX_GUEST };

struct channel;

/* Called from the event loop. */
struct channel_owner {
  /* Puts at most `room` bytes to `to` and returns how many; 0: nothing (`channel_ready` when there is). It may end the channel. */
  size_t (*pull)(struct channel *channel, uint8_t *to, size_t room);
  /* Bytes of the peer. What is dealt with is told by `channel_consumed`, at any time. */
  void (*push)(struct channel *channel, const uint8_t *bytes, size_t length);
  /* The peer sends no more. */
  void (*ended)(struct channel *channel);
  /* The peer has forgotten the channel, and so has the mux. */
  void (*reset)(struct channel *channel);
  /* The peer's answer to our opening: 0, or its errno, and then the channel is forgotten. */
  void (*answered)(struct channel *channel, int status);
};

/* Its memory is the owner's. */
struct channel {
  const struct channel_owner *owner;
  uint32_t id; /* 0: the mux does not know it (any more), and ignores what is asked of it */
  uint32_t credit, window, consumed;
  int is_own, is_answered, is_ended, is_finished, is_queued;
  struct channel *next_in_bucket, *next_in_turn;
};

struct mux_owner {
  /* The peer opens a channel: `channel_accept` or `mux_refuse`, now. */
  void (*open)(uint32_t id, const uint8_t *arguments, size_t length);
  /* Of type 16 or more, on channel 0. */
  void (*message)(uint8_t type, const uint8_t *payload, size_t length);
  /* The stream has ended, or may have: it is not read until `mux_resume`. */
  void (*closed)(void);
  void (*broken)(const char *why);
};

/* Once. What is asked for from then on is sent at the end of the loop's turn. */
void mux_open(int fd, enum mux_side side, const struct mux_owner *owner);
void mux_resume(void);
/* The peer broke a rule of the owner's: nothing of it is read any more, not even what has come already, and `broken` is called. */
void mux_break(const char *why);
/* Nothing is to be heard of any channel any more: not even of those that are open. Messages that wait are forgotten too. */
void mux_forget(void);

/* A message on channel 0, of at most MUX_PAYLOAD_BYTES_MAX. 0, or -1 when too many wait. */
int mux_message(uint8_t type, const void *payload, size_t length);
/* Bytes of messages that wait. */
size_t mux_messages_length(void);
/* Whether everything was written. */
int mux_is_drained(void);
/* Nothing is sent behind what is in line now, until `mux_release`. */
void mux_hold(void);
void mux_release(void);
/* Sends everything, waits, and returns when the peer has sent something: nothing else happens in the meantime. */
void mux_stand_still(void);

/* `arguments` is what `open` gets there. 0, or -1 with errno when there are too many. */
int channel_open(struct channel *channel, const struct channel_owner *owner, const void *arguments, size_t length);
void channel_accept(struct channel *channel, uint32_t id, const struct channel_owner *owner);
/* The answer to the opening of an accepted channel: 0, or an errno, and then it is forgotten. */
void channel_answer(struct channel *channel, int status);
void mux_refuse(uint32_t id, int status);

/* There is something to pull, perhaps. */
void channel_ready(struct channel *channel);
/* `length` bytes of those that were pushed are dealt with: the peer may send as much more. */
void channel_consumed(struct channel *channel, size_t length);
/* No more will be pulled. The peer may go on sending. */
void channel_finish(struct channel *channel);
/* Forgets it, and lets the peer know. */
void channel_reset(struct channel *channel);
/* Forgets it: both sides have finished. */
void channel_forget(struct channel *channel);

#endif
