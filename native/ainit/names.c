/*
 * Names below wildcards (names.h): a table of names, oldest use first to go, and a pool of relays that they share. All of it
 * is searched from end to end: it is small, and a name is looked for once for many connections.
 */
#define _GNU_SOURCE
#include "names.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "loop.h"
#include "ports.h"
#include "relay.h"

/* Addresses that are tried for one name, where others listen already: a relay that is declared by such an address. */
#define TRIES_MAX 4

static struct {
  const char *suffix; /* with the dot in front */
  uint16_t port;
} wildcards[WILDCARDS_MAX];
static size_t wildcard_count;

static struct name {
  char text[NAME_BYTES_MAX + 1]; /* empty: free */
  struct in_addr address;
  uint64_t used_ns;
} names[NAMES_MAX];

static struct relay pool[NAME_RELAYS_MAX];
static uint32_t address_count;

int names_configure(const struct spec *spec, const char **bad) {
  for (size_t at = 0; at < spec->count; at++) {
    unsigned long long port;
    char digits[6] = {0};
    if (strcmp(spec->pairs[at].key, "wildcard") != 0) continue;
    const char *value = *bad = spec->pairs[at].value;
    size_t length = strcspn(value, ":");
    errno = EINVAL;
    if (length >= sizeof digits || strncmp(value + length, ":*.", 3) != 0) return -1;
    memcpy(digits, value, length);
    const char *suffix = value + length + 2;
    if (parse_number(digits, 1, 65535, &port) < 0 || suffix[1] == '\0' || strlen(suffix) > NAME_BYTES_MAX) return -1;
    errno = E2BIG;
    if (wildcard_count == WILDCARDS_MAX) return -1;
    wildcards[wildcard_count].suffix = strdup(suffix); /* the specification is forgotten once the task runs */
    if (wildcards[wildcard_count].suffix == NULL) return -1;
    wildcards[wildcard_count++].port = (uint16_t)port;
  }
  ports_ignore_network(NAMES_NETWORK, NAMES_MASK);
  return 0;
}

/* One label or more before the suffix, and never the domain alone. */
static int is_covered(const char *name, const char *suffix) {
  size_t length = strlen(name), tail = strlen(suffix);
  return length > tail && name[0] != '.' && strcmp(name + length - tail, suffix) == 0;
}

/* The ports of all wildcards that cover the name, each once. */
static size_t find_ports(const char *name, uint16_t ports[WILDCARDS_MAX]) {
  size_t count = 0;
  for (size_t at = 0; at < wildcard_count; at++) {
    size_t same = 0;
    if (!is_covered(name, wildcards[at].suffix)) continue;
    while (same < count && ports[same] != wildcards[at].port) same++;
    if (same == count) ports[count++] = wildcards[at].port;
  }
  return count;
}

static void forget(struct name *name) {
  for (size_t at = 0; at < NAME_RELAYS_MAX; at++)
    if (pool[at].name == name->text) relay_close(&pool[at]);
  name->text[0] = '\0';
}

/* A name is in use as long as connections come, whether or not anybody asks for it again. */
static void note_connections(void) {
  for (size_t at = 0; at < NAME_RELAYS_MAX; at++) {
    if (pool[at].name == NULL) continue;
    struct name *name = container_of(pool[at].name, struct name, text);
    if (pool[at].used_ns > name->used_ns) name->used_ns = pool[at].used_ns;
  }
}

static void forget_oldest(void) {
  struct name *oldest = NULL;
  note_connections();
  for (size_t at = 0; at < NAMES_MAX; at++) {
    if (names[at].text[0] == '\0') continue;
    if (oldest == NULL || names[at].used_ns < oldest->used_ns) oldest = &names[at];
  }
  if (oldest != NULL) forget(oldest);
}

static struct name *find(const char *text) {
  for (size_t at = 0; at < NAMES_MAX; at++)
    if (strcmp(names[at].text, text) == 0) return &names[at];
  return NULL;
}

static size_t count_free_relays(void) {
  size_t count = 0;
  for (size_t at = 0; at < NAME_RELAYS_MAX; at++) count += pool[at].name == NULL;
  return count;
}

/* A free place in the table, with at least as many free relays. */
static struct name *make_room(size_t relay_count) {
  while (find("") == NULL || count_free_relays() < relay_count) forget_oldest();
  return find("");
}

static struct in_addr next_address(void) {
  struct in_addr address;
  int is_taken;
  do {
    address.s_addr = htonl(NAMES_NETWORK | (++address_count & ~NAMES_MASK));
    is_taken = 0;
    for (size_t at = 0; at < NAMES_MAX; at++)
      is_taken |= names[at].text[0] != '\0' && names[at].address.s_addr == address.s_addr;
  } while (is_taken);
  return address;
}

/* All ports or none. */
static int listen_on(struct name *name, const uint16_t *ports, size_t count) {
  for (size_t index = 0, at = 0; index < count; index++) {
    union ip_address address = {
        .v4 = {.sin_family = AF_INET, .sin_port = htons(ports[index]), .sin_addr = name->address}};
    while (pool[at].name != NULL) at++;
    if (relay_open(&pool[at], &address, name->text) == 0) continue;
    int saved = errno;
    forget(name);
    errno = saved;
    return -1;
  }
  return 0;
}

int names_resolve(const char *text, struct in_addr *out) {
  uint16_t ports[WILDCARDS_MAX];
  struct name *name = find(text);
  if (name == NULL) {
    size_t count = find_ports(text, ports);
    errno = ENOENT;
    if (count == 0) return -1;
    name = make_room(count);
    int result = -1;
    for (int tries = 0; tries < TRIES_MAX && result < 0; tries++) {
      struct in_addr address = next_address();
      memcpy(name->text, text, strlen(text) + 1);
      name->address = address;
      result = listen_on(name, ports, count);
      if (result < 0 && errno != EADDRINUSE) return -1;
    }
    if (result < 0) return -1;
  }
  name->used_ns = now_ns();
  *out = name->address;
  return 0;
}
