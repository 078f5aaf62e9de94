/* The dialer that connects (dial.h). Nothing here waits: a connect goes on in the background. */
#define _GNU_SOURCE
#include "dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static void begin_connect(struct dial *dial, int family);

static void finish(struct dial *dial, int status) {
  int fd = dial->source.fd;
  source_want(&dial->source, 0);
  dial->source.fd = -1;
  if (status != 0 && fd >= 0) close(fd);
  dial->done(dial, status, status == 0 ? fd : -1);
}

static void settle(struct dial *dial, int status) {
  if (status != ECONNREFUSED || dial->family != AF_INET) {
    finish(dial, status);
    return;
  }
  source_close(&dial->source);
  begin_connect(dial, AF_INET6);
}

static int socket_error(int fd) {
  int status = 0;
  socklen_t length = sizeof status;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &length) < 0 ? errno : status;
}

static void connect_ready(struct source *source, uint32_t events) {
  (void)events;
  settle(container_of(source, struct dial, source), socket_error(source->fd));
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

static void begin_connect(struct dial *dial, int family) {
  int on = 1;
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  dial->family = family;
  if (fd < 0) {
    /* Without IPv6 the answer is what IPv4 said. */
    finish(dial, family == AF_INET6 && errno == EAFNOSUPPORT ? ECONNREFUSED : errno);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int status = connect_loopback(fd, family, dial->port);
  if (family == AF_INET6 && status == EADDRNOTAVAIL) status = ECONNREFUSED;
  if (source_open(&dial->source, fd, status == EINPROGRESS ? EPOLLOUT : 0, connect_ready) < 0) {
    status = errno;
    close(fd);
  }
  if (status != EINPROGRESS) settle(dial, status);
}

static void begin(struct dial *dial) {
  dial->source = (struct source){.fd = -1};
  begin_connect(dial, AF_INET);
}

static void cancel(struct dial *dial) {
  source_close(&dial->source);
}

const struct dialer loopback_dialer = {.begin = begin, .cancel = cancel};
