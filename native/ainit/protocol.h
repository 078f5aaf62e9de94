/* Numbers that ainit shares with its clients; docs/internals/ainit.md says what they mean. */
#ifndef AINIT_PROTOCOL_H
#define AINIT_PROTOCOL_H

#define PROTOCOL_VERSION 1

enum {
  FRAME_WATCH = 1,
  FRAME_SIGNAL = 2,
  FRAME_EXEC = 3,
  FRAME_ATTACH = 4,
  FRAME_STDIN = 5,
  FRAME_STDIN_EOF = 6,
  FRAME_RESIZE = 7,
  FRAME_START = 8,
  FRAME_KILL_SESSION = 9,
  FRAME_FREEZE = 10,
  FRAME_EVENT = 64,
  FRAME_STDOUT = 65,
  FRAME_STDERR = 66,
  FRAME_EXIT = 67,
  FRAME_ERROR = 68,
};

#define FRAME_HEADER_BYTES 5
#define FRAME_PAYLOAD_BYTES_MAX 65536

/* Descriptors that `launch` leaves for `init` and `vm`. */
enum {
  FD_SPEC = 3,
  FD_CONTROL = 4,
  FD_STREAMS = 5,
  FD_OUT = 6,
  FD_LOCK = 7,
  FD_EGRESS = 8,
  FD_LEND = 9,
  FD_CGROUPS = 10,
  FD_NAMES = 18,
  FD_SWITCH = 19,
  FD_MONITOR = 20,
  FD_END = 21,
};

#define CGROUPS_MAX (FD_NAMES - FD_CGROUPS)

#endif
