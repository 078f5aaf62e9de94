/*
 * Interfaces on a bridge (bridge.h). Frames are let in from a port only with the address that the port was given, so an instance
 * that should ever get to its interface can be nobody else; and frames for others are never flooded to it.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"

#define INSIDE "eth0"
/* The headers of older machines lack it, and their kernels ignore it. */
#define BRIDGE_PORT_LOCKED 39

struct interface {
  const char *port;
  struct ether_addr mac;
  struct in_addr address;
  unsigned prefix_bits;
  struct in_addr gateway;
  int has_gateway;
};

static int read_address(const char *text, struct interface *out) {
  char host[INET_ADDRSTRLEN];
  unsigned long long bits;
  const char *slash = text == NULL ? NULL : strchr(text, '/');
  errno = EINVAL;
  if (slash == NULL || (size_t)(slash - text) >= sizeof host) return -1;
  memcpy(host, text, (size_t)(slash - text));
  host[slash - text] = '\0';
  if (inet_pton(AF_INET, host, &out->address) != 1 || parse_number(slash + 1, 1, 32, &bits) < 0) return -1;
  out->prefix_bits = (unsigned)bits;
  return 0;
}

static int is_name(const char *text) {
  return text != NULL && *text != '\0' && strlen(text) < IFNAMSIZ;
}

static int read_interface(const struct spec *spec, struct interface *out) {
  const char *mac = spec_get(spec, "mac"), *gateway = spec_get(spec, "gateway");
  *out = (struct interface){.port = spec_get(spec, "bridge_port"), .has_gateway = gateway != NULL};
  errno = EINVAL;
  if (!is_name(out->port) || mac == NULL || ether_aton_r(mac, &out->mac) == NULL) return -1;
  if (gateway != NULL && inet_pton(AF_INET, gateway, &out->gateway) != 1) return -1;
  return read_address(spec_get(spec, "address"), out);
}

static void begin_link(struct request *request, uint16_t flags, unsigned index, int is_up) {
  struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index};
  if (is_up) link.ifi_flags = link.ifi_change = IFF_UP;
  request_begin(request, RTM_NEWLINK, flags, &link, sizeof link);
}

/* Both ends at once, each where it belongs: the end of this namespace is the end of both. */
static int make_pair(const struct interface *interface, int outside) {
  struct request request;
  struct ifinfomsg peer = {.ifi_family = AF_UNSPEC};
  begin_link(&request, NLM_F_CREATE | NLM_F_EXCL, 0, 0);
  request_add_text(&request, IFLA_IFNAME, INSIDE);
  request_add(&request, IFLA_ADDRESS, &interface->mac, sizeof interface->mac);
  size_t info = request_open(&request, IFLA_LINKINFO, NULL, 0);
  request_add(&request, IFLA_INFO_KIND, "veth", 4);
  size_t data = request_open(&request, IFLA_INFO_DATA, NULL, 0);
  size_t other = request_open(&request, VETH_INFO_PEER, &peer, sizeof peer);
  request_add_text(&request, IFLA_IFNAME, interface->port);
  request_add_u32(&request, IFLA_NET_NS_FD, (uint32_t)outside);
  request_close(&request, other);
  request_close(&request, data);
  request_close(&request, info);
  return request_send(&request);
}

static int write_setting(const char *name, const char *value) {
  char path[96];
  snprintf(path, sizeof path, "/proc/sys/net/%s", name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  /* A kernel without IPv6 needs no telling that there is none. */
  if (fd < 0) return errno == ENOENT ? 0 : -1;
  ssize_t written = write(fd, value, strlen(value));
  close(fd);
  return written < 0 ? -1 : 0;
}

/*
 * IPv4 alone, as the address says who somebody is. Only the interface's own address is answered for and spoken with: loopback
 * has others, on which relays listen. Nobody is told of other ways by redirection, and nothing is passed on. A namespace begins
 * with what the machine has set for itself, which may be a router's.
 */
static int settle(void) {
  static const char *const settings[][2] = {
      {"ipv6/conf/" INSIDE "/disable_ipv6", "1"},     {"ipv4/conf/all/arp_ignore", "1"},
      {"ipv4/conf/all/arp_announce", "2"},            {"ipv4/conf/all/forwarding", "0"},
      {"ipv4/conf/" INSIDE "/forwarding", "0"},       {"ipv4/conf/all/accept_redirects", "0"},
      {"ipv4/conf/" INSIDE "/accept_redirects", "0"}, {"ipv4/conf/all/route_localnet", "0"},
      {"ipv4/conf/" INSIDE "/route_localnet", "0"}};
  for (size_t at = 0; at < sizeof settings / sizeof *settings; at++)
    if (write_setting(settings[at][0], settings[at][1]) < 0) return -1;
  return 0;
}

static int add_address(const struct interface *interface, unsigned index) {
  struct request request;
  struct ifaddrmsg body = {
      .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)interface->prefix_bits, .ifa_index = index};
  uint32_t mask = htonl(~0u << (32 - interface->prefix_bits));
  struct in_addr everybody = {interface->address.s_addr | ~mask};
  request_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  request_add(&request, IFA_LOCAL, &interface->address, sizeof interface->address);
  request_add(&request, IFA_ADDRESS, &interface->address, sizeof interface->address);
  if (interface->prefix_bits < 31) request_add(&request, IFA_BROADCAST, &everybody, sizeof everybody);
  return request_send(&request);
}

static int add_gateway(const struct interface *interface, unsigned index) {
  struct request request;
  struct rtmsg body = {.rtm_family = AF_INET,
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_STATIC,
                       .rtm_scope = RT_SCOPE_UNIVERSE,
                       .rtm_type = RTN_UNICAST};
  request_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  request_add(&request, RTA_GATEWAY, &interface->gateway, sizeof interface->gateway);
  request_add_u32(&request, RTA_OIF, index);
  return request_send(&request);
}

static int set_up(unsigned index) {
  struct request request;
  begin_link(&request, 0, index, 1);
  return request_send(&request);
}

static int set_master(unsigned index, unsigned bridge) {
  struct request request;
  begin_link(&request, 0, index, 0);
  request_add_u32(&request, IFLA_MASTER, bridge);
  return request_send(&request);
}

/* What a port may say and hear: from its own address alone, and what is for it or for everybody. */
static int restrict_port(unsigned index) {
  struct request request;
  struct ifinfomsg link = {.ifi_family = AF_BRIDGE, .ifi_index = (int)index};
  request_begin(&request, RTM_SETLINK, 0, &link, sizeof link);
  size_t info = request_open(&request, IFLA_PROTINFO | NLA_F_NESTED, NULL, 0);
  request_add_u8(&request, IFLA_BRPORT_LEARNING, 0);
  request_add_u8(&request, IFLA_BRPORT_UNICAST_FLOOD, 0);
  request_add_u8(&request, BRIDGE_PORT_LOCKED, 1);
  request_close(&request, info);
  return request_send(&request);
}

/* Where frames for the address go, and whence frames from it may come. */
static int bind_mac(unsigned index, const struct ether_addr *mac) {
  struct request request;
  struct ndmsg body = {
      .ndm_family = AF_BRIDGE, .ndm_ifindex = (int)index, .ndm_state = NUD_NOARP | NUD_REACHABLE, .ndm_flags = NTF_MASTER};
  request_begin(&request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
  request_add(&request, NDA_LLADDR, mac, sizeof *mac);
  return request_send(&request);
}

/* In the bridge's namespace. Up comes last: before it is restricted, a port says and hears nothing. */
static int plug(const char *bridge_name, const char *port_name, const struct ether_addr *mac, const char **about) {
  unsigned bridge = if_nametoindex(*about = bridge_name);
  if (bridge == 0) return -1;
  unsigned port = if_nametoindex(*about = port_name);
  if (port == 0) return -1;
  if (set_master(port, bridge) < 0) return -1;
  return restrict_port(port) < 0 || bind_mac(port, mac) < 0 || set_up(port) < 0 ? -1 : 0;
}

int bridge_attach(const struct spec *spec, int outside, const char **about) {
  struct interface interface;
  const char *bridge = spec_get(spec, "bridge");
  *about = "the interface";
  if (read_interface(spec, &interface) < 0 || make_pair(&interface, outside) < 0 || settle() < 0) return -1;
  unsigned index = if_nametoindex(INSIDE);
  if (index == 0 || add_address(&interface, index) < 0 || set_up(index) < 0) return -1;
  *about = "the gateway";
  if (interface.has_gateway && add_gateway(&interface, index) < 0) return -1;
  if (bridge == NULL) return 0;
  *about = "the network namespace";
  int inside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (inside < 0 || setns(outside, CLONE_NEWNET) < 0) return -1;
  int result = plug(bridge, interface.port, &interface.mac, about);
  int saved = errno;
  if (setns(inside, CLONE_NEWNET) < 0) return -1;
  close(inside);
  errno = saved;
  return result;
}

static int make_bridge(const char *name) {
  struct request request;
  begin_link(&request, NLM_F_CREATE | NLM_F_EXCL, 0, 1);
  request_add_text(&request, IFLA_IFNAME, name);
  size_t info = request_open(&request, IFLA_LINKINFO, NULL, 0);
  request_add(&request, IFLA_INFO_KIND, "bridge", 6);
  request_close(&request, info);
  return request_send(&request);
}

static int fail(const char *about) {
  fprintf(stderr, "error: %s: %s\n", about, strerror(errno));
  return 71;
}

/* A switch, for as long as stdin is open: meanwhile whoever wants to keep it opens /proc/PID/ns/net. */
static int make_switch(const char *name) {
  char byte;
  if (unshare(CLONE_NEWNET) < 0) return fail("a network namespace");
  if (make_bridge(name) < 0) return fail("a bridge");
  if (write(STDOUT_FILENO, "made\n", 5) < 0) return fail("stdout");
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  return 0;
}

static int enter(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -1 : setns(fd, CLONE_NEWNET);
}

static int unplug(const char *port_name) {
  struct request request;
  struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(port_name)};
  if (link.ifi_index == 0) return errno == ENODEV ? 0 : fail(port_name);
  request_begin(&request, RTM_DELLINK, 0, &link, sizeof link);
  return request_send(&request) < 0 && errno != ENODEV ? fail(port_name) : 0;
}

/* Whether there is such a bridge in this process's namespace. */
static int find_bridge(const char *name) {
  struct ethtool_drvinfo about = {.cmd = ETHTOOL_GDRVINFO};
  struct ifreq request = {.ifr_data = (void *)&about};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0) return fail(name);
  errno = ENOTTY;
  return strcmp(about.driver, "bridge") == 0 ? 0 : fail(name);
}

/* The counters of a namespace's interfaces, as the kernel prints them. */
static int show(void) {
  char bytes[4096];
  ssize_t got;
  int fd = open("/proc/self/net/dev", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("/proc/self/net/dev");
  while ((got = read(fd, bytes, sizeof bytes)) > 0)
    if (write(STDOUT_FILENO, bytes, (size_t)got) < got) return fail("stdout");
  return got < 0 ? fail("/proc/self/net/dev") : 0;
}

int bridge_main(int argc, char **argv) {
  const char *about, *command = argc < 2 ? "" : argv[1];
  struct ether_addr mac;
  if (strcmp(command, "make") == 0 && argc == 3 && is_name(argv[2])) return make_switch(argv[2]);
  if (strcmp(command, "find") == 0 && argc == 3 && is_name(argv[2])) return find_bridge(argv[2]);
  if (strcmp(command, "show") == 0 && argc == 3) return enter(argv[2]) < 0 ? fail(argv[2]) : show();
  if (strcmp(command, "unplug") == 0 && argc == 4) return enter(argv[2]) < 0 ? fail(argv[2]) : unplug(argv[3]);
  if (strcmp(command, "plug") == 0 && argc == 6 && ether_aton_r(argv[5], &mac) != NULL) {
    if (enter(argv[2]) < 0) return fail(argv[2]);
    return plug(argv[3], argv[4], &mac, &about) < 0 ? fail(about) : 0;
  }
  fputs("usage: ainit bridge make NAME | find NAME | show NETNS | plug NETNS BRIDGE PORT MAC | unplug NETNS PORT\n", stderr);
  return 64;
}
