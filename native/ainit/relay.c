/*
 * Relays (relay.h). Nothing is moved here: whoever comes is given away with the name that was meant. While he cannot be, he and
 * others wait in the backlog, and one try follows another.
 */
#define _GNU_SOURCE
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "ports.h"

#define RETRY_MS 100
#define BACKLOG 128

static struct relay relays[RELAYS_MAX];
static size_t relay_count;
static int (*outlet)(struct relay *relay);

static void pause_relay(struct relay *relay) {
  source_want(&relay->source, 0);
  timer_set(&relay->retry, now_ns() + RETRY_MS * NS_PER_MS);
}

static void retry_fired(struct timer *timer) {
  source_want(&container_of(timer, struct relay, retry)->source, EPOLLIN);
}

int relay_accept(struct relay *relay) {
  int accepted = accept4(relay->source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (accepted >= 0) relay->used_ns = now_ns();
  return accepted;
}

static void relay_ready(struct source *source, uint32_t events) {
  struct relay *relay = container_of(source, struct relay, source);
  (void)events;
  if (outlet(relay) < 0) pause_relay(relay);
}

void relays_set_outlet(int (*given)(struct relay *relay)) {
  outlet = given;
}

int relay_parse(const char *text, union ip_address *address, const char **name) {
  char digits[6], host[INET6_ADDRSTRLEN];
  unsigned long long port;
  int name_at = 0, is_v6 = *text == '[';
  int found = is_v6 ? sscanf(text, "[%45[0-9A-Fa-f:.]]:%5[0-9]:%n", host, digits, &name_at)
                    : sscanf(text, "%15[0-9.]:%5[0-9]:%n", host, digits, &name_at);
  *address = (union ip_address){0};
  *name = text + name_at;
  size_t length = strlen(*name);
  errno = EINVAL;
  if (found != 2 || name_at == 0 || length == 0 || length > NAME_BYTES_MAX || strpbrk(*name, " \n") != NULL) return -1;
  if (parse_number(digits, 1, 65535, &port) < 0) return -1;
  if (is_v6) address->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  else address->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int read = is_v6 ? inet_pton(AF_INET6, host, &address->v6.sin6_addr) : inet_pton(AF_INET, host, &address->v4.sin_addr);
  return read == 1 ? 0 : -1;
}

int relay_open(struct relay *relay, const union ip_address *address, const char *name) {
  int on = 1, is_v6 = address->any.sa_family == AF_INET6;
  int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  /* For the instance itself: whoever is on a bridge with it reaches what it may reach by a manifest of his own, or not at all. */
  setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo");
  if (bind(fd, &address->any, is_v6 ? sizeof address->v6 : sizeof address->v4) == 0 && listen(fd, BACKLOG) == 0 &&
      source_open(&relay->source, fd, EPOLLIN, relay_ready) == 0) {
    relay->retry = (struct timer){.fire = retry_fired};
    relay->name = name;
    relay->used_ns = now_ns();
    relay->port = ntohs(is_v6 ? address->v6.sin6_port : address->v4.sin_port);
    return 0;
  }
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

void relay_close(struct relay *relay) {
  timer_stop(&relay->retry);
  source_close(&relay->source);
  relay->name = NULL;
}

int relays_open(const struct spec *spec, const char **bad) {
  for (size_t at = 0; at < spec->count; at++) {
    union ip_address address;
    const char *name;
    if (strcmp(spec->pairs[at].key, "relay") != 0) continue;
    *bad = spec->pairs[at].value;
    errno = E2BIG;
    if (relay_count == RELAYS_MAX) return -1;
    if (relay_parse(*bad, &address, &name) < 0) return -1;
    name = strdup(name); /* the specification is forgotten once the task runs */
    if (name == NULL || relay_open(&relays[relay_count], &address, name) < 0) return -1;
    ports_ignore(&address);
    relay_count++;
  }
  return 0;
}

int relays_find(const char *name, struct in_addr *out) {
  for (size_t at = 0; at < relay_count; at++) {
    union ip_address address;
    socklen_t length = sizeof address;
    if (strcmp(relays[at].name, name) != 0) continue;
    if (getsockname(relays[at].source.fd, &address.any, &length) < 0 || address.any.sa_family != AF_INET) continue;
    *out = address.v4.sin_addr;
    return 0;
  }
  return -1;
}
