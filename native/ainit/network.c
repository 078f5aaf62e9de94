/*
 * The instance's network namespace (network.h). bwrap could make one, but it gives the program's uid by a second, inner user
 * namespace, and from there the port limit of the outer one cannot be changed.
 */
#define _GNU_SOURCE
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay.h"

static int write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t written = write(fd, text, strlen(text));
  close(fd);
  return written < 0 ? -1 : 0;
}

static int unshare_as_user(void) {
  char uid_map[48], gid_map[48];
  snprintf(uid_map, sizeof uid_map, "%u %u 1\n", geteuid(), geteuid());
  snprintf(gid_map, sizeof gid_map, "%u %u 1\n", getegid(), getegid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) return -1;
  if (write_file("/proc/self/setgroups", "deny") < 0 || write_file("/proc/self/uid_map", uid_map) < 0) return -1;
  return write_file("/proc/self/gid_map", gid_map);
}

static int raise_loopback(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int result = ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
  return result;
}

/* Each further address of an interface goes by a label of its own; it is there already when several ports share it. */
static int add_v4(int fd, struct in_addr address, unsigned label) {
  struct sockaddr_in wanted = {.sin_family = AF_INET, .sin_addr = address};
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "lo:%u", label);
  memcpy(&request.ifr_addr, &wanted, sizeof wanted);
  if (ioctl(fd, SIOCSIFADDR, &request) < 0) return errno == EEXIST ? 0 : -1;
  wanted.sin_addr.s_addr = INADDR_BROADCAST;
  memcpy(&request.ifr_netmask, &wanted, sizeof wanted);
  return ioctl(fd, SIOCSIFNETMASK, &request);
}

static int add_v6(int fd, struct in6_addr address) {
  /* `struct in6_ifreq` of <linux/ipv6.h>, which cannot be included beside <netinet/in.h>. */
  struct {
    struct in6_addr address;
    uint32_t prefix_bits;
    int interface;
  } request = {address, 128, (int)if_nametoindex("lo")};
  return ioctl(fd, SIOCSIFADDR, &request) < 0 && errno != EEXIST ? -1 : 0;
}

/* Whether loopback has the address anyway. */
static int is_loopback(const union ip_address *address) {
  if (address->any.sa_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
  return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static int add_address(const union ip_address *address, unsigned label) {
  int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int result = address->any.sa_family == AF_INET6 ? add_v6(fd, address->v6.sin6_addr) : add_v4(fd, address->v4.sin_addr, label);
  int saved = errno;
  close(fd);
  errno = saved;
  return result;
}

int network_add_addresses(const struct spec *spec) {
  for (size_t at = 0; at < spec->count; at++) {
    union ip_address address;
    const char *name;
    /* What is not valid is found, and told, by the relay itself. */
    if (strcmp(spec->pairs[at].key, "relay") != 0 || relay_parse(spec->pairs[at].value, &address, &name) < 0) continue;
    if (!is_loopback(&address) && add_address(&address, (unsigned)at) < 0) return -1;
  }
  return 0;
}

int network_open(void) {
  return raise_loopback() < 0 ? -1 : write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

int network_unshare(void) {
  return (geteuid() == 0 ? unshare(CLONE_NEWNET) : unshare_as_user()) < 0 ? -1 : network_open();
}
