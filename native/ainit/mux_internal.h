/* What mux.c and channels.c know of one another. */
#ifndef AINIT_MUX_INTERNAL_H
#define AINIT_MUX_INTERNAL_H

#include "bytes.h"
#include "mux.h"

struct frame_header {
  uint32_t channel;
  uint16_t length;
  uint8_t type;
  uint8_t zero;
};

#define FRAME_BYTES sizeof(struct frame_header)
_Static_assert(FRAME_BYTES == 8, "as on the wire");

void mux_send(uint32_t id, uint8_t type, const void *payload, size_t length);
void mux_take_turn_soon(struct channel *channel);
void mux_take_no_turn(struct channel *channel);

void channels_open(enum mux_side side, const struct mux_owner *owner);
void channels_take_frame(const struct frame_header *header, const uint8_t *payload);
void channels_forget(void);

/* Moves messages that wait to `out`: all when `max` is SIZE_MAX, else what one turn allows. 1 when some are left. */
int messages_move(struct bytes *out, size_t max);

#endif
