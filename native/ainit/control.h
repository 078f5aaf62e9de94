/* The control socket: connections, their frames, and who among them watches, attaches or runs a session. */
#ifndef AINIT_CONTROL_H
#define AINIT_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "queue.h"

#define CONNECTIONS_MAX 64
/* Beyond this much unsent output a reader is behind: the writer waits for it, or (observers) its oldest output goes. */
#define BEHIND_BYTES (256u * 1024)

enum attachment { ATTACH_NOT, ATTACH_OBSERVER, ATTACH_PRIMARY };

struct session;

struct connection {
  struct source source;
  struct queue out;
  uint8_t *in; /* what has come and is not handled */
  size_t in_length, in_capacity;
  int is_blocked; /* its first frame waits until some stdin takes more */
  int is_held;    /* its first frame waits until it reads what it was sent */
  int is_watching;
  int is_told_end; /* it was sent EXIT, and will hang up */
  enum attachment attachment;
  struct session *session;
};

/* `listener` is -1 where connections come by `control_adopt` alone. */
void control_open(int listener);
/* A connection that has come, non-blocking. 0, or -1 with errno: there are too many, and it is still the caller's. */
int control_adopt(int fd);

void control_broadcast_event(const char *line);
/* Output of the task, to all who are attached. */
void control_broadcast_output(uint8_t type, const uint8_t *bytes, size_t length);
/* The last frame for all who are attached. */
void control_broadcast_exit(int32_t status);
/* The task's stdin takes more again, or the lent program is there: for all that have no session. */
void control_unblock_waiting(void);

/* A primary reader has not taken enough of what it was sent. */
int control_is_primary_behind(void);
/* Whether anything is unsent, to anybody or to primary readers only. */
int control_has_unsent(int is_primary_only);
/* Whether somebody who was sent EXIT has not hung up yet. */
int control_has_told(void);

/* Never fails: a connection that cannot take a frame is closed at its next turn. */
void connection_send(struct connection *connection, uint8_t type, const void *payload, size_t length);
void connection_error(struct connection *connection, int number, const char *text);
/* EXIT: the last frame of an EXEC or ATTACH. */
void connection_exit(struct connection *connection, int32_t status);
int connection_is_behind(const struct connection *connection);
void connection_unblock(struct connection *connection);

#endif
