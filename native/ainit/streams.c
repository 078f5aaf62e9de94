/*
 * Streams (streams.h): a request names a port, the answer carries a socket connected to it. Nothing here waits: a connect goes
 * on in the background, and an answer that does not fit yet stays with its request.
 */
#define _GNU_SOURCE
#include "streams.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acceptor.h"
#include "loop.h"

#define CONNECT_TIMEOUT_MS 10000
#define SWEEP_MS 500

struct request {
  uint32_t id;
  uint16_t port;
  uint16_t zero;
};

struct answer {
  uint32_t id;
  uint16_t status;
  uint16_t zero;
};

_Static_assert(sizeof(struct request) == 8 && sizeof(struct answer) == 8, "as on the wire");

struct client {
  struct source source;
  int is_full; /* does not take answers: they wait, and so do its requests */
};

struct pending {
  struct dial dial;
  struct client *client; /* NULL: a free entry */
  struct request request;
  int is_done; /* only the answer is missing */
  uint16_t status;
  int fd; /* what the answer carries, or -1 */
  uint64_t began_ns;
};

static const struct dialer *dialer;
static struct acceptor acceptor;
static struct client clients[STREAM_CLIENTS_MAX];
static struct pending pendings[CONNECTS_MAX];
static size_t pending_count;
static struct timer sweep_timer;

static void want_requests(void) {
  for (size_t at = 0; at < STREAM_CLIENTS_MAX; at++) {
    int is_reading = !clients[at].is_full && pending_count < CONNECTS_MAX;
    source_want(&clients[at].source, EPOLLRDHUP | (is_reading ? EPOLLIN : 0u) | (clients[at].is_full ? EPOLLOUT : 0u));
  }
}

static void release(struct pending *pending) {
  if (!pending->is_done) dialer->cancel(&pending->dial);
  if (pending->fd >= 0) close(pending->fd);
  pending->client = NULL;
  if (pending_count-- == CONNECTS_MAX) want_requests();
}

static void drop_client(struct client *client) {
  for (size_t at = 0; at < CONNECTS_MAX && pending_count > 0; at++)
    if (pendings[at].client == client) release(&pendings[at]);
  source_close(&client->source);
  acceptor_resume(&acceptor);
}

/* 0: sent; 1: the client takes nothing now; -1: it is gone. */
static int send_answer(const struct pending *pending) {
  struct answer answer = {.id = pending->request.id, .status = pending->status};
  struct iovec part = {&answer, sizeof answer};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (pending->status == 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &pending->fd, sizeof(int));
  }
  if (sendmsg(pending->client->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
  /* ETOOMANYREFS: it has more descriptors in flight than the kernel allows. It has to take some first. */
  return errno == EAGAIN || errno == EINTR || errno == ETOOMANYREFS || errno == ENOBUFS ? 1 : -1;
}

static void answer(struct pending *pending, int status) {
  struct client *client = pending->client;
  pending->is_done = 1;
  pending->status = (uint16_t)status;
  int result = client->is_full ? 1 : send_answer(pending);
  if (result == 0) release(pending);
  if (result < 0) drop_client(client);
  if (result <= 0) return;
  client->is_full = 1;
  want_requests();
}

static void dialed(struct dial *dial, int status, int fd) {
  struct pending *pending = container_of(dial, struct pending, dial);
  pending->fd = fd;
  answer(pending, status);
}

static void sweep(struct timer *timer) {
  uint64_t now = now_ns();
  for (size_t at = 0; at < CONNECTS_MAX && pending_count > 0; at++) {
    struct pending *pending = &pendings[at];
    if (pending->client == NULL || pending->is_done) continue;
    if (now - pending->began_ns <= CONNECT_TIMEOUT_MS * NS_PER_MS) continue;
    dialer->cancel(&pending->dial);
    answer(pending, ETIMEDOUT);
  }
  if (pending_count > 0) timer_set(timer, now + SWEEP_MS * NS_PER_MS);
}

static void begin(struct client *client, const struct request *request) {
  struct pending *pending = pendings;
  while (pending->client != NULL) pending++;
  *pending = (struct pending){.dial = {.port = request->port, .done = dialed},
                              .client = client,
                              .request = *request,
                              .fd = -1,
                              .began_ns = now_ns()};
  if (++pending_count == CONNECTS_MAX) want_requests();
  if (sweep_timer.at_ns == 0) timer_set(&sweep_timer, pending->began_ns + SWEEP_MS * NS_PER_MS);
  dialer->begin(&pending->dial);
}

/* Answers that waited for room. */
static void send_waiting(struct client *client) {
  client->is_full = 0;
  for (size_t at = 0; at < CONNECTS_MAX && pending_count > 0; at++)
    if (pendings[at].client == client && pendings[at].is_done) answer(&pendings[at], pendings[at].status);
  if (client->source.fd >= 0) want_requests();
}

static void client_ready(struct source *source, uint32_t events) {
  struct client *client = container_of(source, struct client, source);
  struct request request;
  if (client->is_full && (events & EPOLLOUT) != 0) {
    send_waiting(client);
    return;
  }
  if ((source->interest & EPOLLIN) == 0) {
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) drop_client(client);
    return;
  }
  /* MSG_TRUNC gives the true length; descriptors that came along were never asked for and are closed by the kernel. */
  ssize_t got = recv(source->fd, &request, sizeof request, MSG_DONTWAIT | MSG_TRUNC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got != sizeof request || request.zero != 0 || request.port == 0) {
    drop_client(client);
    return;
  }
  begin(client, &request);
}

static void listener_ready(struct source *source, uint32_t events) {
  (void)source;
  (void)events;
  struct client *client = clients;
  while (client < clients + STREAM_CLIENTS_MAX && client->source.fd >= 0) client++;
  if (client == clients + STREAM_CLIENTS_MAX) {
    acceptor_full(&acceptor);
    return;
  }
  int fd = acceptor_take(&acceptor);
  if (fd < 0) return;
  client->is_full = 0;
  if (source_open(&client->source, fd, EPOLLIN | EPOLLRDHUP, client_ready) == 0) {
    want_requests();
    return;
  }
  close(fd);
  client->source.fd = -1;
}

void streams_open(int fd, const struct dialer *given) {
  dialer = given;
  for (size_t at = 0; at < STREAM_CLIENTS_MAX; at++) clients[at].source.fd = -1;
  sweep_timer.fire = sweep;
  acceptor_open(&acceptor, fd, listener_ready);
}
