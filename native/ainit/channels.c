/* The channels of a multiplexed stream (mux.h): who is open, what each may send, and the messages of channel 0. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "machine.h"
#include "mux_internal.h"

#define BUCKETS 1024u
/* A peer gives back what it was sent, so no honest one ever gives more than this. */
#define CREDIT_BYTES_MAX (1u << 20)
/* Credit is given back in steps of this. */
#define CREDIT_BYTES_STEP (MUX_CREDIT_BYTES / 4)
/* The longest list of records, several times over. */
#define MESSAGES_BYTES_MAX (1u << 20)

static struct channel *buckets[BUCKETS];
static const struct mux_owner *owner;
static uint32_t own_parity, next_id;
static unsigned own_count, peer_count, own_max, peer_max;
static struct channel messages; /* channel 0 takes turns with the others */
static struct bytes outbox;

static struct channel **bucket_of(uint32_t id) {
  return &buckets[(id >> 1) % BUCKETS];
}

static struct channel *find(uint32_t id) {
  struct channel *channel = *bucket_of(id);
  while (channel != NULL && channel->id != id) channel = channel->next_in_bucket;
  return channel;
}

static void remember(struct channel *channel, uint32_t id, const struct channel_owner *channel_owner) {
  *channel = (struct channel){.owner = channel_owner,
                              .id = id,
                              .credit = MUX_CREDIT_BYTES,
                              .window = MUX_CREDIT_BYTES,
                              .is_own = (id & 1) == own_parity,
                              .next_in_bucket = *bucket_of(id)};
  *bucket_of(id) = channel;
  if (channel->is_own) own_count++;
  else peer_count++;
}

void channel_forget(struct channel *channel) {
  if (channel->id == 0) return;
  struct channel **link = bucket_of(channel->id);
  while (*link != channel) link = &(*link)->next_in_bucket;
  *link = channel->next_in_bucket;
  if (channel->is_own) own_count--;
  else peer_count--;
  mux_take_no_turn(channel);
  channel->id = 0;
}

int channel_open(struct channel *channel, const struct channel_owner *channel_owner, const void *arguments, size_t length) {
  errno = EAGAIN;
  if (own_count == own_max) return -1;
  do next_id += 2;
  while (next_id == 0 || find(next_id) != NULL);
  remember(channel, next_id, channel_owner);
  mux_send(channel->id, MUX_OPEN, arguments, length);
  return 0;
}

void channel_accept(struct channel *channel, uint32_t id, const struct channel_owner *channel_owner) {
  remember(channel, id, channel_owner);
}

void mux_refuse(uint32_t id, int status) {
  uint16_t number = (uint16_t)status;
  mux_send(id, MUX_REFUSED, &number, sizeof number);
}

void channel_answer(struct channel *channel, int status) {
  if (channel->id == 0) return;
  if (status != 0) {
    uint32_t id = channel->id;
    channel_forget(channel);
    mux_refuse(id, status);
    return;
  }
  channel->is_answered = 1;
  mux_send(channel->id, MUX_OPENED, NULL, 0);
}

void channel_ready(struct channel *channel) {
  if (channel->id == 0 || channel->credit == 0 || channel->is_finished) return;
  mux_take_turn_soon(channel);
}

void channel_consumed(struct channel *channel, size_t length) {
  if (channel->id == 0) return;
  channel->consumed += (uint32_t)length;
  if (channel->consumed < CREDIT_BYTES_STEP || channel->is_ended) return;
  uint32_t given = channel->consumed;
  channel->window += given;
  channel->consumed = 0;
  mux_send(channel->id, MUX_CREDIT, &given, sizeof given);
}

void channel_finish(struct channel *channel) {
  if (channel->id == 0 || channel->is_finished) return;
  channel->is_finished = 1;
  mux_send(channel->id, MUX_EOF, NULL, 0);
}

void channel_reset(struct channel *channel) {
  if (channel->id == 0) return;
  uint32_t id = channel->id;
  channel_forget(channel);
  mux_send(id, MUX_RESET, NULL, 0);
}

static void take_opening(uint32_t id, const uint8_t *payload, size_t length) {
  if ((id & 1) == own_parity || find(id) != NULL) mux_break("it opened a channel that is not its own to open");
  else if (peer_count == peer_max) mux_break("it opened too many channels");
  else owner->open(id, payload, length);
}

static void take_credit(struct channel *channel, const uint8_t *payload) {
  uint32_t given;
  memcpy(&given, payload, sizeof given);
  if (given > CREDIT_BYTES_MAX - channel->credit) {
    mux_break("it gave more credit than there is");
    return;
  }
  channel->credit += given;
  channel_ready(channel);
}

static void take_answer(struct channel *channel, int status) {
  if (!channel->is_own || channel->is_answered) {
    mux_break("it answered what was not asked");
    return;
  }
  channel->is_answered = 1;
  if (status != 0) channel_forget(channel);
  channel->owner->answered(channel, status);
}

static void take_data(struct channel *channel, const uint8_t *payload, size_t length) {
  if (channel->is_ended || length == 0 || length > channel->window) {
    mux_break(channel->is_ended ? "it sent behind the end" : "it sent more than it may");
    return;
  }
  channel->window -= (uint32_t)length;
  channel->owner->push(channel, payload, length);
}

void channels_take_frame(const struct frame_header *header, const uint8_t *payload) {
  static const uint16_t lengths[] = {
      [MUX_OPENED] = 0, [MUX_REFUSED] = 2, [MUX_EOF] = 0, [MUX_RESET] = 0, [MUX_CREDIT] = 4};
  uint16_t status = 0;
  if (header->type == MUX_OPEN) {
    take_opening(header->channel, payload, header->length);
    return;
  }
  int is_fixed = header->type != MUX_DATA;
  if (header->type < MUX_OPEN || header->type > MUX_CREDIT || (is_fixed && header->length != lengths[header->type])) {
    mux_break("an unknown frame");
    return;
  }
  struct channel *channel = find(header->channel);
  if (channel == NULL) return; /* forgotten here, and the peer did not know yet */
  switch (header->type) {
    case MUX_OPENED:
      take_answer(channel, 0);
      return;
    case MUX_REFUSED:
      memcpy(&status, payload, sizeof status);
      take_answer(channel, status == 0 ? EPROTO : status);
      return;
    case MUX_DATA:
      take_data(channel, payload, header->length);
      return;
    case MUX_CREDIT:
      take_credit(channel, payload);
      return;
    case MUX_EOF:
      if (channel->is_ended) {
        mux_break("it ended twice");
        return;
      }
      channel->is_ended = 1;
      channel->owner->ended(channel);
      return;
    default: /* MUX_RESET */
      channel_forget(channel);
      channel->owner->reset(channel);
  }
}

void channels_open(enum mux_side side, const struct mux_owner *mux_owner) {
  owner = mux_owner;
  own_parity = side == MUX_HOST;
  next_id = side == MUX_HOST ? UINT32_MAX : 0; /* the first is 1, or 2 */
  own_max = side == MUX_HOST ? MUX_HOST_CHANNELS_MAX : MUX_GUEST_CHANNELS_MAX;
  peer_max = side == MUX_HOST ? MUX_GUEST_CHANNELS_MAX : MUX_HOST_CHANNELS_MAX;
}

void channels_forget(void) {
  for (unsigned at = 0; at < BUCKETS; at++)
    while (buckets[at] != NULL) channel_forget(buckets[at]);
  bytes_clear(&outbox);
}

int mux_message(uint8_t type, const void *payload, size_t length) {
  struct frame_header header = {.length = (uint16_t)length, .type = type};
  if (bytes_reserve(&outbox, FRAME_BYTES + length, MESSAGES_BYTES_MAX) == NULL) return -1;
  bytes_append(&outbox, &header, sizeof header, MESSAGES_BYTES_MAX);
  bytes_append(&outbox, payload, length, MESSAGES_BYTES_MAX);
  mux_take_turn_soon(&messages);
  return 0;
}

size_t mux_messages_length(void) {
  return bytes_length(&outbox);
}

int messages_move(struct bytes *out, size_t max) {
  size_t moved = 0;
  while (bytes_length(&outbox) > 0 && (max == SIZE_MAX || moved < MUX_PAYLOAD_BYTES_MAX)) {
    struct frame_header header;
    memcpy(&header, bytes_first(&outbox), sizeof header);
    size_t length = FRAME_BYTES + header.length;
    if (bytes_append(out, bytes_first(&outbox), length, max) < 0) break;
    bytes_drop(&outbox, length);
    moved += length;
  }
  return bytes_length(&outbox) > 0;
}
