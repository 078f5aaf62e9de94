/* Handing over to egress (egress.h). ainit moves no bytes: it passes a socket, with the instance's token and what is asked for. */
#define _GNU_SOURCE
#include "egress.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol.h"

#define TOKEN_BYTES_MAX 128

static char token[TOKEN_BYTES_MAX + 1];

int egress_configure(const struct spec *spec, const char **bad) {
  const char *given = spec_get(spec, *bad = "token");
  errno = EINVAL;
  if (given != NULL && (strlen(given) > TOKEN_BYTES_MAX || strpbrk(given, " \n") != NULL)) return -1;
  snprintf(token, sizeof token, "%s", given == NULL ? "-" : given);
  return 0;
}

/*
 * A connection to egress, or -1. Its backlog is kept by the supervisor, so that it is there while egress restarts. The folder
 * and not the socket is held open: a supervisor that was killed is followed by one that binds another socket in it.
 */
static int connect_egress(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/egress.sock", FD_EGRESS);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

static int hand_over(int egress, const char *name, uint16_t port, int given) {
  char text[TOKEN_BYTES_MAX + NAME_BYTES_MAX + 16];
  int length = snprintf(text, sizeof text, "%s %s %u", token, name, (unsigned)port);
  struct iovec part = {text, (size_t)length};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.header), &given, sizeof given);
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  return sendmsg(egress, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int egress_give(const char *name, uint16_t port, int fd) {
  int egress = connect_egress();
  if (egress < 0) return -1;
  int result = hand_over(egress, name, port, fd);
  close(egress);
  return result;
}

int egress_take(struct relay *relay) {
  int egress = connect_egress();
  if (egress < 0) return -1;
  int accepted = relay_accept(relay);
  int result = accepted < 0 && errno != EAGAIN && errno != ECONNABORTED ? -1 : 0;
  if (accepted >= 0) {
    /* Refused only when more descriptors are in flight than the kernel allows: this client is turned away, the next wait. */
    result = hand_over(egress, relay->name, relay->port, accepted);
    close(accepted);
  }
  close(egress);
  return result;
}
