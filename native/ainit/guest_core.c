/* Core dumps (guest_core.h). */
#define _GNU_SOURCE
#include "guest_core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "acceptor.h"
#include "machine.h"
#include "splice.h"

/* Dumps at a time; more are lost. While one is taken its process waits, and so is not reaped before it is whole. */
#define PIPES_MAX "4"
#define BUFFER_BYTES 65536

static struct acceptor acceptor;

/* An abstract name: it is in no file system, and so the same in and outside of the task's root. */
static socklen_t name_address(struct sockaddr_un *address) {
  static const char name[] = "\0ainit-core";
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  memcpy(address->sun_path, name, sizeof name - 1);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof name - 1);
}

static int write_setting(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t written = write(fd, text, strlen(text));
  close(fd);
  return written < 0 ? -1 : 0;
}

/* The task may connect as well, and is turned away. */
static int is_from_root(int fd) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == 0;
}

static void core_ready(struct source *source, uint32_t events) {
  const uint8_t kind = CHANNEL_CORE;
  (void)source;
  (void)events;
  int fd = acceptor_take(&acceptor);
  if (fd < 0) return;
  if (!is_from_root(fd) || splice_open(&kind, sizeof kind, fd) == NULL) close(fd);
}

int core_open(const struct spec *spec) {
  struct sockaddr_un address;
  unsigned long long bytes = 0;
  const char *text = spec_get(spec, "core_bytes");
  if (text != NULL && parse_number(text, 0, 1ull << 50, &bytes) < 0) return -1;
  if (bytes == 0) return 0;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  socklen_t length = name_address(&address);
  if (bind(fd, (const struct sockaddr *)&address, length) < 0 || listen(fd, 4) < 0) {
    close(fd);
    return -1;
  }
  acceptor_open(&acceptor, fd, core_ready);
  if (write_setting("/proc/sys/kernel/core_pipe_limit", PIPES_MAX) < 0) return -1;
  return write_setting("/proc/sys/kernel/core_pattern", "|/init core %p %s %e");
}

int core_main(int argc, char **argv) {
  static char buffer[BUFFER_BYTES];
  struct sockaddr_un address;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = name_address(&address);
  if (argc < 5 || fd < 0 || connect(fd, (const struct sockaddr *)&address, length) < 0) return 1;
  if (dprintf(fd, "pid=%s signal=%s comm=%s\n", argv[2], argv[3], argv[4]) < 0) return 1;
  for (;;) {
    ssize_t got = read(0, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0;
    for (ssize_t sent = 0; sent < got;) {
      ssize_t part = send(fd, buffer + sent, (size_t)(got - sent), MSG_NOSIGNAL);
      if (part < 0) return 1;
      sent += part;
    }
  }
}
