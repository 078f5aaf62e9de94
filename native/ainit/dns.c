/*
 * The name server (dns.h). It knows what /etc/hosts has (a program may ask here first), what wildcards cover, and who is on the
 * same bridge; nothing is ever asked outside: what a name means there is egress's to find out, for each connection anew.
 */
#define _GNU_SOURCE
#include "dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns_message.h"
#include "log.h"
#include "loop.h"
#include "names.h"
#include "neighbours.h"
#include "relay.h"

#define PORT 53
/* What is longer is cut off, behind the question. */
#define QUERY_BYTES_MAX 1232

/* Programs that keep an answer ask again soon: who was not asked about for long is forgotten when room is needed. */
#define TTL_S 60
/* Neighbours come and go. */
#define NEIGHBOUR_TTL_S 2

static struct source server;
/* The program has other name servers to ask. */
static int has_others;
static char own_name[NAME_BYTES_MAX + 1];

static int is_own(const char *name) {
  static const char suffix[] = ".localhost";
  size_t length = strlen(name), tail = sizeof suffix - 1;
  if (strcmp(name, "localhost") == 0 || strcmp(name, own_name) == 0) return 1;
  return length > tail && strcmp(name + length - tail, suffix) == 0; /* RFC 6761 */
}

/* A C library asks the next server where this one refuses; at "there is no such name" it would stop. */
static int resolve_rest(const char *name, struct dns_addresses *out) {
  out->ttl_s = NEIGHBOUR_TTL_S;
  out->count = neighbours_find(name, out->list);
  if (out->count > 0) return DNS_NO_ERROR;
  if (!is_own(name)) return has_others ? DNS_REFUSED : DNS_NAME_UNKNOWN;
  *out = (struct dns_addresses){.list = {{htonl(INADDR_LOOPBACK)}}, .count = 1, .ttl_s = TTL_S};
  return DNS_NO_ERROR;
}

/* What `code` is to be; the addresses when there are some. */
static int resolve(const char *name, struct dns_addresses *out) {
  static int is_told;
  if (*name == '\0') return DNS_NAME_UNKNOWN;
  *out = (struct dns_addresses){.count = 1, .ttl_s = TTL_S};
  /* What is declared goes first: a name below localhost may be another task's. */
  if (relays_find(name, out->list) == 0 || names_resolve(name, out->list) == 0) return DNS_NO_ERROR;
  if (errno == ENOENT) return resolve_rest(name, out);
  out->count = 0;
  if (!is_told) log_remark("no place to listen for %s: %s", name, strerror(errno));
  is_told = 1;
  return DNS_SERVER_FAILURE;
}

static void server_ready(struct source *source, uint32_t events) {
  uint8_t query[QUERY_BYTES_MAX], answer[DNS_ANSWER_BYTES_MAX];
  struct sockaddr_in client;
  socklen_t client_length = sizeof client;
  struct dns_question question;
  struct dns_addresses addresses = {.count = 0};
  (void)events;
  ssize_t got = recvfrom(source->fd, query, sizeof query, 0, (struct sockaddr *)&client, &client_length);
  int code = got < 0 ? -1 : dns_read(query, (size_t)got, &question);
  if (code < 0) return;
  if (code == DNS_NO_ERROR) code = resolve(question.name, &addresses);
  if (question.type != DNS_TYPE_A && question.type != DNS_TYPE_ANY) addresses.count = 0;
  size_t length = dns_write(query, &question, code, &addresses, answer);
  /* An answer that does not go out is asked for again. */
  sendto(source->fd, answer, length, MSG_NOSIGNAL, (struct sockaddr *)&client, client_length);
}

int dns_open(const struct spec *spec, const char **bad) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
  const char *given = spec_get(spec, "dns");
  if (names_configure(spec, bad) < 0) return -1;
  if (given == NULL) return 0;
  *bad = given;
  errno = EINVAL;
  if (inet_pton(AF_INET, given, &address.sin_addr) != 1) return -1;
  has_others = spec_get(spec, "dns_others") != NULL;
  if (gethostname(own_name, sizeof own_name - 1) < 0) return -1;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
      source_open(&server, fd, EPOLLIN, server_ready) == 0)
    return 0;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}
