/*
 * Streams (streams.h): a request names a port, the answer carries a socket connected to it on loopback. Nothing here waits: a
 * connect goes on in the background, and an answer that does not fit yet stays with its request.
 */
#define _GNU_SOURCE
#include "streams.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
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
  struct source source; /* the connecting socket */
  struct client *client; /* NULL: a free entry */
  struct request request;
  int family;
  int is_done; /* only the answer is missing */
  uint16_t status;
  uint64_t began_ns;
};

static struct acceptor acceptor;
static struct client clients[STREAM_CLIENTS_MAX];
static struct pending pendings[CONNECTS_MAX];
static size_t pending_count;
static struct timer sweep_timer;

static void begin_connect(struct pending *pending, int family);

static void want_requests(void) {
  for (size_t at = 0; at < STREAM_CLIENTS_MAX; at++) {
    int is_reading = !clients[at].is_full && pending_count < CONNECTS_MAX;
    source_want(&clients[at].source, EPOLLRDHUP | (is_reading ? EPOLLIN : 0u) | (clients[at].is_full ? EPOLLOUT : 0u));
  }
}

static void release(struct pending *pending) {
  source_close(&pending->source);
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
    memcpy(CMSG_DATA(&control.header), &pending->source.fd, sizeof(int));
  }
  if (sendmsg(pending->client->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
  /* ETOOMANYREFS: it has more descriptors in flight than the kernel allows. It has to take some first. */
  return errno == EAGAIN || errno == EINTR || errno == ETOOMANYREFS || errno == ENOBUFS ? 1 : -1;
}

static void answer(struct pending *pending, int status) {
  struct client *client = pending->client;
  pending->is_done = 1;
  pending->status = (uint16_t)status;
  source_want(&pending->source, 0);
  int result = client->is_full ? 1 : send_answer(pending);
  if (result == 0) release(pending);
  if (result < 0) drop_client(client);
  if (result <= 0) return;
  client->is_full = 1;
  want_requests();
}

static void settle(struct pending *pending, int status) {
  if (status != ECONNREFUSED || pending->family != AF_INET) {
    answer(pending, status);
    return;
  }
  source_close(&pending->source);
  begin_connect(pending, AF_INET6);
}

static int socket_error(int fd) {
  int status = 0;
  socklen_t length = sizeof status;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &length) < 0 ? errno : status;
}

static void connect_ready(struct source *source, uint32_t events) {
  (void)events;
  settle(container_of(source, struct pending, source), socket_error(source->fd));
}

/* 0 when connected, EINPROGRESS, or why not. On loopback a connect is nearly always through at once. */
static int connect_loopback(int fd, int family, uint16_t port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int result = family == AF_INET ? connect(fd, (const struct sockaddr *)&v4, sizeof v4)
                                 : connect(fd, (const struct sockaddr *)&v6, sizeof v6);
  if (result == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
  return poll(&poll_fd, 1, 0) == 1 ? socket_error(fd) : EINPROGRESS;
}

static void begin_connect(struct pending *pending, int family) {
  int on = 1;
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  pending->family = family;
  if (fd < 0) {
    /* Without IPv6 the answer is what IPv4 said. */
    answer(pending, family == AF_INET6 && errno == EAFNOSUPPORT ? ECONNREFUSED : errno);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int status = connect_loopback(fd, family, pending->request.port);
  if (family == AF_INET6 && status == EADDRNOTAVAIL) status = ECONNREFUSED;
  if (source_open(&pending->source, fd, status == EINPROGRESS ? EPOLLOUT : 0, connect_ready) < 0) {
    status = errno;
    close(fd);
  }
  if (status != EINPROGRESS) settle(pending, status);
}

static void sweep(struct timer *timer) {
  uint64_t now = now_ns();
  for (size_t at = 0; at < CONNECTS_MAX && pending_count > 0; at++) {
    struct pending *pending = &pendings[at];
    if (pending->client == NULL || pending->is_done) continue;
    if (now - pending->began_ns > CONNECT_TIMEOUT_MS * NS_PER_MS) answer(pending, ETIMEDOUT);
  }
  if (pending_count > 0) timer_set(timer, now + SWEEP_MS * NS_PER_MS);
}

static void begin(struct client *client, const struct request *request) {
  struct pending *pending = pendings;
  while (pending->client != NULL) pending++;
  *pending = (struct pending){.source = {.fd = -1}, .client = client, .request = *request, .began_ns = now_ns()};
  if (++pending_count == CONNECTS_MAX) want_requests();
  if (sweep_timer.at_ns == 0) timer_set(&sweep_timer, pending->began_ns + SWEEP_MS * NS_PER_MS);
  begin_connect(pending, AF_INET);
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

void streams_open(int fd) {
  for (size_t at = 0; at < STREAM_CLIENTS_MAX; at++) clients[at].source.fd = -1;
  sweep_timer.fire = sweep;
  acceptor_open(&acceptor, fd, listener_ready);
}
