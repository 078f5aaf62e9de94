/* The requests of the control protocol (requests.h). A payload is exactly as long as its type says, or the frame is malformed. */
#define _GNU_SOURCE
#include "requests.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "events.h"
#include "protocol.h"
#include "session.h"
#include "task.h"

static enum handled watch(struct connection *connection) {
  if (connection->is_watching) return REQUEST_DONE;
  connection->is_watching = 1;
  for (size_t at = 0; event_at(at) != NULL; at++)
    connection_send(connection, FRAME_EVENT, event_at(at), strlen(event_at(at)));
  return REQUEST_DONE;
}

static enum handled answer(struct connection *connection, int result) {
  if (result < 0) connection_error(connection, errno, strerror(errno));
  return REQUEST_DONE;
}

static enum handled send_signal(struct connection *connection, struct process *process, const uint8_t *payload) {
  uint32_t number;
  memcpy(&number, payload, sizeof number);
  errno = number < 1 || number >= (uint32_t)NSIG ? EINVAL : ESRCH;
  if (errno == EINVAL || process == NULL) return answer(connection, -1);
  return answer(connection, process_signal(process, (int)number));
}

static enum handled attach(struct connection *connection, uint8_t kind) {
  if (kind > 1) return REQUEST_MALFORMED;
  errno = EBUSY;
  if (connection->session != NULL || connection->attachment != ATTACH_NOT) return answer(connection, -1);
  connection->attachment = kind == 1 ? ATTACH_PRIMARY : ATTACH_OBSERVER;
  task_replay(connection);
  return REQUEST_DONE;
}

static enum handled exec(struct connection *connection, const uint8_t *payload, size_t length) {
  errno = EBUSY;
  if (connection->session != NULL || connection->attachment != ATTACH_NOT) return answer(connection, -1);
  int result = session_open(connection, payload, length);
  return result < 0 && errno == EINPROGRESS ? REQUEST_BLOCKED : answer(connection, result);
}

/* Whose stdin this connection feeds; NULL: nobody's. */
static struct process *fed_process(const struct connection *connection) {
  if (connection->session != NULL) return session_process(connection->session);
  return connection->attachment == ATTACH_NOT ? NULL : task_process();
}

static enum handled feed(const struct connection *connection, const uint8_t *payload, size_t length) {
  struct process *process = fed_process(connection);
  if (process == NULL) return REQUEST_DONE;
  return process_write(process, payload, length) < 0 ? REQUEST_BLOCKED : REQUEST_DONE;
}

static enum handled feed_end(const struct connection *connection) {
  struct process *process = fed_process(connection);
  if (process == NULL) return REQUEST_DONE;
  return process_write_end(process) < 0 ? REQUEST_BLOCKED : REQUEST_DONE;
}

static enum handled resize(const struct connection *connection, const uint8_t *payload) {
  struct process *process = fed_process(connection);
  uint16_t size[2];
  memcpy(size, payload, sizeof size);
  if (process != NULL) process_resize(process, size[0], size[1]);
  return REQUEST_DONE;
}

enum handled request_handle(struct connection *connection, uint8_t type, const uint8_t *payload, size_t length) {
  switch (type) {
    case FRAME_WATCH:
      return length == 0 ? watch(connection) : REQUEST_MALFORMED;
    case FRAME_SIGNAL:
      return length == 4 ? send_signal(connection, task_process(), payload) : REQUEST_MALFORMED;
    case FRAME_EXEC:
      return exec(connection, payload, length);
    case FRAME_ATTACH:
      return length == 1 ? attach(connection, payload[0]) : REQUEST_MALFORMED;
    case FRAME_STDIN:
      return feed(connection, payload, length);
    case FRAME_STDIN_EOF:
      return length == 0 ? feed_end(connection) : REQUEST_MALFORMED;
    case FRAME_RESIZE:
      return length == 4 ? resize(connection, payload) : REQUEST_MALFORMED;
    case FRAME_START:
      if (length != 0) return REQUEST_MALFORMED;
      task_release();
      return REQUEST_DONE;
    case FRAME_KILL_SESSION:
      if (length != 4) return REQUEST_MALFORMED;
      return send_signal(connection, connection->session == NULL ? NULL : session_process(connection->session), payload);
    default:
      return REQUEST_MALFORMED;
  }
}
