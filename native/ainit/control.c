/* Connections of the control socket (control.h): reading and writing. What the frames do is in requests.c. */
#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acceptor.h"
#include "protocol.h"
#include "requests.h"
#include "session.h"
#include "task.h"

#define IN_BYTES_MAX (FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX)
#define IN_BYTES_FIRST 4096

static struct acceptor acceptor = {.source = {.fd = -1}};
static struct connection connections[CONNECTIONS_MAX];

static int is_open(const struct connection *connection) {
  return connection->source.fd >= 0;
}

int connection_is_behind(const struct connection *connection) {
  return queue_length(&connection->out) > BEHIND_BYTES;
}

/* Waits for what can be done next: reading stops while a frame is stuck or the peer does not read its answers. */
static void want(struct connection *connection) {
  uint32_t interest = EPOLLRDHUP;
  if (!connection->is_blocked && !connection_is_behind(connection)) interest |= EPOLLIN;
  if (queue_length(&connection->out) > 0) interest |= EPOLLOUT;
  source_want(&connection->source, interest);
}

static void drop(struct connection *connection) {
  struct session *session = connection->session;
  source_close(&connection->source);
  queue_close(&connection->out);
  free(connection->in);
  *connection = (struct connection){.source = {.fd = -1}};
  if (session != NULL) session_abandon(session);
  acceptor_resume(&acceptor);
  task_pace();
}

/* Bytes of the first frame, 0 while its header is incomplete. */
static size_t first_frame(const struct connection *connection) {
  uint32_t length;
  if (connection->in_length < FRAME_HEADER_BYTES) return 0;
  memcpy(&length, connection->in, sizeof length);
  return FRAME_HEADER_BYTES + (size_t)length;
}

/* Handles the whole frames that have come. 0, or -1 when the connection is not worth keeping. */
static int handle_frames(struct connection *connection) {
  size_t at = 0;
  int result = 0;
  connection->is_blocked = connection->is_held = 0;
  while (connection->in_length - at >= FRAME_HEADER_BYTES) {
    uint32_t length;
    const uint8_t *frame = connection->in + at;
    memcpy(&length, frame, sizeof length);
    if (length > FRAME_PAYLOAD_BYTES_MAX) return -1;
    if (connection->in_length - at < FRAME_HEADER_BYTES + length) break;
    connection->is_held = connection_is_behind(connection);
    if (connection->is_held) break;
    enum handled handled = request_handle(connection, frame[4], frame + FRAME_HEADER_BYTES, length);
    if (handled == REQUEST_MALFORMED) result = -1;
    if (handled == REQUEST_BLOCKED) connection->is_blocked = 1;
    if (handled != REQUEST_DONE) break;
    at += FRAME_HEADER_BYTES + length;
  }
  connection->in_length -= at;
  if (at > 0) memmove(connection->in, connection->in + at, connection->in_length);
  if (connection->in_length > 0 || connection->in_capacity == IN_BYTES_FIRST) return result;
  free(connection->in); /* an idle connection holds no big buffer */
  connection->in = NULL;
  connection->in_capacity = 0;
  return result;
}

/* Makes room for the frame that is coming. */
static int reserve(struct connection *connection) {
  size_t wanted = first_frame(connection);
  if (wanted > IN_BYTES_MAX) return -1;
  if (wanted < IN_BYTES_FIRST) wanted = IN_BYTES_FIRST;
  if (connection->in_capacity >= wanted) return 0;
  uint8_t *in = realloc(connection->in, wanted);
  if (in == NULL) return -1;
  connection->in = in;
  connection->in_capacity = wanted;
  return 0;
}

/* 0, or -1 at the end of the connection. */
static int receive(struct connection *connection) {
  if (reserve(connection) < 0) return -1;
  size_t room = connection->in_capacity - connection->in_length;
  if (room == 0) return 0; /* whole frames wait: they are handled first */
  ssize_t got = recv(connection->source.fd, connection->in + connection->in_length, room, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (got <= 0) return -1;
  connection->in_length += (size_t)got;
  return 0;
}

/* Handles and sends as much as goes, then waits for more. */
static void take_turn(struct connection *connection) {
  do {
    if (handle_frames(connection) < 0 || queue_send(&connection->out, connection->source.fd) < 0) {
      drop(connection);
      return;
    }
  } while (connection->is_held && !connection_is_behind(connection));
  want(connection);
  if (connection->session != NULL && !connection_is_behind(connection)) session_resume(connection->session);
  task_pace();
}

static void connection_ready(struct source *source, uint32_t events) {
  struct connection *connection = container_of(source, struct connection, source);
  int is_reading = (source->interest & EPOLLIN) != 0;
  /* Whoever has gone while nothing is read from it will not take what it is sent either. */
  int is_gone = !is_reading && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  int is_readable = is_reading && (events & ~(uint32_t)EPOLLOUT) != 0;
  if (is_gone || (is_readable && receive(connection) < 0)) {
    drop(connection);
    return;
  }
  take_turn(connection);
}

void connection_unblock(struct connection *connection) {
  if (connection->is_blocked) take_turn(connection);
}

void connection_send(struct connection *connection, uint8_t type, const void *payload, size_t length) {
  if (!is_open(connection)) return;
  if (queue_add(&connection->out, type, payload, length) < 0) shutdown(connection->source.fd, SHUT_RDWR);
  want(connection);
}

void connection_error(struct connection *connection, int number, const char *text) {
  char line[400];
  int length = snprintf(line, sizeof line, "errno=%d text=%.300s", number, text);
  connection_send(connection, FRAME_ERROR, line, (size_t)length);
}

void connection_exit(struct connection *connection, int32_t status) {
  connection_send(connection, FRAME_EXIT, &status, sizeof status);
  connection->is_told_end = 1;
}

static struct connection *free_connection(void) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++)
    if (!is_open(&connections[at])) return &connections[at];
  return NULL;
}

int control_adopt(int fd) {
  struct connection *connection = free_connection();
  errno = EAGAIN;
  if (connection == NULL) return -1;
  queue_open(&connection->out);
  if (source_open(&connection->source, fd, EPOLLIN | EPOLLRDHUP, connection_ready) == 0) return 0;
  connection->source.fd = -1;
  return -1;
}

static void listener_ready(struct source *source, uint32_t events) {
  (void)source;
  (void)events;
  if (free_connection() == NULL) {
    acceptor_full(&acceptor);
    return;
  }
  int fd = acceptor_take(&acceptor);
  if (fd >= 0 && control_adopt(fd) < 0) close(fd);
}

void control_open(int fd) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++) connections[at].source.fd = -1;
  if (fd >= 0) acceptor_open(&acceptor, fd, listener_ready);
}

void control_broadcast_event(const char *line) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++)
    if (connections[at].is_watching) connection_send(&connections[at], FRAME_EVENT, line, strlen(line));
}

void control_broadcast_output(uint8_t type, const uint8_t *bytes, size_t length) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++) {
    struct connection *connection = &connections[at];
    if (connection->attachment == ATTACH_NOT) continue;
    if (connection->attachment == ATTACH_OBSERVER && connection_is_behind(connection))
      queue_drop_output(&connection->out, BEHIND_BYTES / 2);
    connection_send(connection, type, bytes, length);
  }
}

void control_broadcast_exit(int32_t status) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++) {
    if (connections[at].attachment == ATTACH_NOT) continue;
    connection_exit(&connections[at], status);
  }
}

void control_unblock_waiting(void) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++)
    if (connections[at].session == NULL) connection_unblock(&connections[at]);
}

int control_is_primary_behind(void) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++)
    if (connections[at].attachment == ATTACH_PRIMARY && connection_is_behind(&connections[at])) return 1;
  return 0;
}

int control_has_unsent(int is_primary_only) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++) {
    if (is_primary_only && connections[at].attachment != ATTACH_PRIMARY) continue;
    if (queue_length(&connections[at].out) > 0) return 1;
  }
  return 0;
}

int control_has_told(void) {
  for (size_t at = 0; at < CONNECTIONS_MAX; at++)
    if (is_open(&connections[at]) && connections[at].is_told_end) return 1;
  return 0;
}
