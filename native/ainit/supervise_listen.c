/* The sockets that supervise holds (supervise.h). */
#define _GNU_SOURCE
#include "supervise.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DESCRIPTOR_MIN 64

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_un file;
};

/* `127.0.0.1:80` or `[::1]:80`: numeric, because a name could mean something else tomorrow. */
static int parse_tcp(const char *text, union address *out, socklen_t *length) {
  char host[INET6_ADDRSTRLEN];
  unsigned long long port;
  const char *colon = strrchr(text, ':');
  int is_v6 = text[0] == '[';
  memset(out, 0, sizeof *out);
  if (colon == NULL || parse_number(colon + 1, 0, 65535, &port) != 0) return 0;
  if (is_v6 && (colon - text < 3 || colon[-1] != ']')) return 0;
  size_t host_length = (size_t)(colon - text) - (is_v6 ? 2 : 0);
  if (host_length >= sizeof host) return 0;
  memcpy(host, text + is_v6, host_length);
  host[host_length] = '\0';
  if (is_v6) {
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons((uint16_t)port);
    *length = sizeof out->v6;
    return inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1;
  }
  out->v4.sin_family = AF_INET;
  out->v4.sin_port = htons((uint16_t)port);
  *length = sizeof out->v4;
  return inet_pton(AF_INET, host, &out->v4.sin_addr) == 1;
}

/* Puts the port that was given in the place of 0. */
static int name_tcp(struct listener *listener, int fd) {
  union address bound;
  socklen_t length = sizeof bound;
  if (getsockname(fd, &bound.any, &length) != 0) return -1;
  char *port = strrchr(listener->address, ':') + 1;
  size_t room = sizeof listener->address - (size_t)(port - listener->address);
  uint16_t number = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
  return snprintf(port, room, "%u", number) < (int)room ? 0 : -1;
}

static int open_tcp(struct listener *listener) {
  union address address;
  socklen_t length;
  int on = 1;
  if (!parse_tcp(listener->address, &address, &length)) {
    errno = EINVAL;
    return -1;
  }
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      (address.any.sa_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
      bind(fd, &address.any, length) == 0 && listen(fd, SOMAXCONN) == 0 && name_tcp(listener, fd) == 0)
    return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

/*
 * A socket file that nobody listens on was left by a killed supervisor: only the holder of the lock comes here, so it
 * is ours to replace. connect(2) also says ECONNREFUSED for a file that is no socket, and that one is not ours.
 */
static int is_stale(const union address *address, int type) {
  struct stat status;
  if (lstat(address->file.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return 0;
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return 0;
  int is_refused = connect(fd, &address->any, sizeof address->file) != 0 && errno == ECONNREFUSED;
  close(fd);
  return is_refused;
}

static int bind_file(int fd, const union address *address, int type) {
  if (bind(fd, &address->any, sizeof address->file) == 0) return 0;
  if (errno != EADDRINUSE) return -1;
  if (is_stale(address, type) && unlink(address->file.sun_path) == 0)
    return bind(fd, &address->any, sizeof address->file);
  errno = EADDRINUSE;
  return -1;
}

static int open_file(const struct listener *listener) {
  union address address;
  memset(&address, 0, sizeof address);
  address.file.sun_family = AF_UNIX;
  memcpy(address.file.sun_path, listener->address, strlen(listener->address));
  int fd = socket(AF_UNIX, listener->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  /* fchmod on the unbound socket narrows the mode that bind creates the file with: never open wider for a moment. */
  if (fchmod(fd, 0600) == 0 && bind_file(fd, &address, listener->type) == 0) {
    if (lchown(listener->address, (uid_t)-1, listener->gid) == 0 && chmod(listener->address, listener->mode) == 0 &&
        listen(fd, SOMAXCONN) == 0)
      return fd;
    int saved = errno;
    unlink(listener->address);
    errno = saved;
  }
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

int descriptor_move_up(int fd) {
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, DESCRIPTOR_MIN);
  int saved = errno;
  close(fd);
  errno = saved;
  return moved;
}

int listeners_bind(struct listener *listeners, size_t count, struct problem *problem) {
  for (size_t i = 0; i < count; i++) {
    struct listener *listener = &listeners[i];
    int fd = listener->is_tcp ? open_tcp(listener) : open_file(listener);
    listener->fd = fd < 0 ? -1 : descriptor_move_up(fd);
    if (listener->fd >= 0) continue;
    char facts[256];
    int number = errno;
    snprintf(facts, sizeof facts, " errno=%d name=%s address=%s", number, listener->name, listener->address);
    return problem_set(problem, STATUS_LISTEN, facts, "cannot listen on %s (%s): %s", listener->address,
                       listener->name, strerror(number));
  }
  return 0;
}

void listeners_unlink(const struct listener *listeners, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!listeners[i].is_tcp && listeners[i].fd >= 0) unlink(listeners[i].address);
}

void listeners_leave(const struct listener *listeners, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!listeners[i].is_tcp) folder_leave(listeners[i].address);
}

void folder_leave(const char *path) {
  char folder[4096];
  const char *slash = strrchr(path, '/');
  if (slash == NULL || slash == path || (size_t)(slash - path) >= sizeof folder) return;
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
  rmdir(folder);
}
