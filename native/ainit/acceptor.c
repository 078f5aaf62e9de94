/* Accepting, and resting where that fails or there is no place (acceptor.h). */
#define _GNU_SOURCE
#include "acceptor.h"

#include <sys/socket.h>

#define RETRY_MS 10

static void retry(struct timer *timer) {
  acceptor_resume(container_of(timer, struct acceptor, retry));
}

void acceptor_open(struct acceptor *acceptor, int fd, void (*ready)(struct source *, uint32_t)) {
  acceptor->retry.fire = retry;
  source_open(&acceptor->source, fd, EPOLLIN, ready);
}

int acceptor_take(struct acceptor *acceptor) {
  int fd = accept4(acceptor->source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) return fd;
  acceptor_full(acceptor);
  timer_set(&acceptor->retry, now_ns() + RETRY_MS * NS_PER_MS);
  return -1;
}

void acceptor_full(struct acceptor *acceptor) {
  source_want(&acceptor->source, 0);
}

void acceptor_resume(struct acceptor *acceptor) {
  source_want(&acceptor->source, EPOLLIN);
}
