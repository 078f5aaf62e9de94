/* Listening ports (ports.h), asked of the kernel by sock_diag(7), or read from /proc where that is not there. */
#define _GNU_SOURCE
#include "ports.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "events.h"
#include "loop.h"

#define IGNORED_MAX 256
/* A task with more listening sockets than this is not looked at any further in one turn. */
#define SOCKETS_PER_LOOK_MAX 4096

#define EVERY_MS_FIRST 1
#define EVERY_MS_THEN 10
#define EVERY_MS_LATER 100
#define FIRST_MS 1000
#define THEN_MS 11000

static struct {
  uint16_t port;
  int is_listening;
} declared[PORTS_DECLARED_MAX];
static size_t declared_count;

static uint16_t others[PORTS_OTHER_MAX];
static size_t others_count;

static union ip_address ignored[IGNORED_MAX];
static size_t ignored_count;
static struct {
  uint32_t network;
  uint32_t mask;
} ignored_network = {.network = ~0u};

static struct timer timer;
static uint64_t began_ns;

int ports_configure(const struct spec *spec) {
  for (size_t at = 0; at < spec->count; at++) {
    unsigned long long port;
    if (strcmp(spec->pairs[at].key, "port") != 0) continue;
    if (parse_number(spec->pairs[at].value, 1, 65535, &port) < 0) return -1;
    errno = E2BIG;
    if (declared_count == PORTS_DECLARED_MAX) return -1;
    declared[declared_count++].port = (uint16_t)port;
  }
  return 0;
}

void ports_ignore(const union ip_address *address) {
  if (ignored_count < IGNORED_MAX) ignored[ignored_count++] = *address;
}

void ports_ignore_network(uint32_t network, uint32_t mask) {
  ignored_network.network = network;
  ignored_network.mask = mask;
}

static int is_ignored(const uint32_t words[4], int is_v6, uint16_t port) {
  if (!is_v6 && (ntohl(words[0]) & ignored_network.mask) == ignored_network.network) return 1;
  for (size_t at = 0; at < ignored_count; at++) {
    const union ip_address *own = &ignored[at];
    if ((own->any.sa_family == AF_INET6) != is_v6) continue;
    int is_same = is_v6 ? memcmp(&own->v6.sin6_addr, words, 16) == 0 : own->v4.sin_addr.s_addr == words[0];
    if (is_same && ntohs(is_v6 ? own->v6.sin6_port : own->v4.sin_port) == port) return 1;
  }
  return 0;
}

/* Whether a connection to 127.0.0.1 or ::1 reaches it. */
static int is_reachable(const uint32_t words[4], int is_v6) {
  int is_mapped = !is_v6 || (words[0] == 0 && words[1] == 0 && words[2] == htonl(0xffff));
  uint32_t v4 = ntohl(is_v6 ? words[3] : words[0]);
  if (is_mapped) return v4 == INADDR_ANY || v4 == INADDR_LOOPBACK;
  return words[0] == 0 && words[1] == 0 && words[2] == 0 && ntohl(words[3]) <= 1;
}

static void tell(uint16_t port, int is_declared) {
  event_emit("listen t=%" PRIu64 " port=%u declared=%d", event_now_ns(), (unsigned)port, is_declared);
}

static void found(const uint32_t words[4], int is_v6, uint16_t port) {
  if (is_ignored(words, is_v6, port)) return;
  int is_ours = is_reachable(words, is_v6);
  for (size_t at = 0; at < declared_count; at++) {
    if (declared[at].port != port) continue;
    if (!is_ours || declared[at].is_listening) return;
    declared[at].is_listening = 1;
    tell(port, 1);
    return;
  }
  for (size_t at = 0; at < others_count; at++)
    if (others[at] == port) return;
  if (others_count == PORTS_OTHER_MAX) return;
  others[others_count++] = port;
  tell(port, 0);
}

/* Takes one datagram of answers. 1: more will come; 0: that was the last; -1: it did not work. */
static int take_answers(const char *bytes, size_t length, int is_v6) {
  for (const struct nlmsghdr *header = (const void *)bytes; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
    if (header->nlmsg_type == NLMSG_DONE) return 0;
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return -1;
    const struct inet_diag_msg *answer = NLMSG_DATA(header);
    found(answer->id.idiag_src, is_v6, ntohs(answer->id.idiag_sport));
  }
  return 1;
}

static int look_by_diag(int family) {
  static char answers[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
  struct {
    struct nlmsghdr header;
    struct inet_diag_req_v2 request;
  } question = {.header = {.nlmsg_len = sizeof question,
                           .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                           .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                .request = {.sdiag_family = (uint8_t)family,
                            .sdiag_protocol = IPPROTO_TCP,
                            .idiag_states = 1u << TCP_LISTEN}};
  /* A socket for each look: whatever was left unread of a long answer goes with it. */
  int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
  if (fd < 0) return -1;
  int result = send(fd, &question, sizeof question, 0) < 0 ? -1 : 1;
  for (size_t taken = 0; result == 1 && taken < SOCKETS_PER_LOOK_MAX; taken += sizeof answers / 128) {
    ssize_t got = recv(fd, answers, sizeof answers, 0);
    result = got <= 0 ? -1 : take_answers(answers, (size_t)got, family == AF_INET6);
  }
  close(fd);
  return result < 0 ? -1 : 0;
}

static void look_in_proc(const char *path, int is_v6) {
  char line[256];
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  for (int taken = 0; taken < SOCKETS_PER_LOOK_MAX && fgets(line, sizeof line, file) != NULL; taken++) {
    char address[33];
    uint32_t words[4] = {0};
    unsigned port, state;
    if (sscanf(line, " %*d: %32[0-9A-F]:%4x %*[0-9A-F]:%*x %2x", address, &port, &state) != 3 || state != TCP_LISTEN) continue;
    for (size_t word = 0; word < (is_v6 ? 4u : 1u); word++) {
      char digits[9];
      snprintf(digits, sizeof digits, "%.8s", address + 8 * word);
      words[word] = (uint32_t)strtoul(digits, NULL, 16);
    }
    found(words, is_v6, (uint16_t)port);
  }
  fclose(file);
}

static int are_all_listening(void) {
  for (size_t at = 0; at < declared_count; at++)
    if (!declared[at].is_listening) return 0;
  return 1;
}

static void look(struct timer *fired) {
  if (look_by_diag(AF_INET) < 0) look_in_proc("/proc/net/tcp", 0);
  if (look_by_diag(AF_INET6) < 0) look_in_proc("/proc/net/tcp6", 1);
  if (are_all_listening()) return;
  uint64_t now = now_ns(), age_ms = (now - began_ns) / NS_PER_MS;
  uint64_t every_ms = age_ms < FIRST_MS ? EVERY_MS_FIRST : age_ms < THEN_MS ? EVERY_MS_THEN : EVERY_MS_LATER;
  timer_set(fired, now + every_ms * NS_PER_MS);
}

void ports_watch(void) {
  if (declared_count == 0) return;
  began_ns = now_ns();
  timer.fire = look;
  timer_set(&timer, began_ns + EVERY_MS_FIRST * NS_PER_MS);
}
