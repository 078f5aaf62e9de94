/* Numbers that both ends of a virtual machine's channel share; docs/internals/microvm.md says what they mean. */
#ifndef AINIT_MACHINE_H
#define AINIT_MACHINE_H

#define MACHINE_VERSION 1
/* By this name the guest finds the port. */
#define MACHINE_PORT_NAME "quiver"

/* Types of frames. */
enum {
  MUX_OPEN = 1,
  MUX_OPENED = 2,
  MUX_REFUSED = 3,
  MUX_DATA = 4,
  MUX_EOF = 5,
  MUX_RESET = 6,
  MUX_CREDIT = 7,
};

/* Messages: types of frames on channel 0. */
enum {
  MESSAGE_HELLO = 16,
  MESSAGE_SETUP = 17,
  MESSAGE_LOG = 18,
  MESSAGE_EXIT = 19,
  MESSAGE_CLOCK = 20,
  MESSAGE_ENTROPY = 21,
  MESSAGE_FREEZE = 22,
  MESSAGE_FROZEN = 23,
  MESSAGE_RENEW = 24,
  MESSAGE_BYE = 25,
};

/* Kinds of channels: the first byte of OPEN. */
enum {
  CHANNEL_CONTROL = 1,
  CHANNEL_STREAM = 2,
  CHANNEL_RELAY = 3,
  CHANNEL_LEND = 4,
  CHANNEL_CORE = 5,
};

#endif
