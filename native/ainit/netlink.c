/*
 * Requests to the kernel's network configuration (netlink.h). Each has a socket of its own: a socket belongs to the network
 * namespace that it was made in, and requests go to several.
 */
#define _GNU_SOURCE
#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* An answer holds the header of the request, and with it the request unless it is told not to. */
#define ANSWER_BYTES_MAX 4096

static struct nlmsghdr *header_of(struct request *request) {
  return (struct nlmsghdr *)(void *)request->as.bytes;
}

/* Room for `length` bytes behind what is there, aligned and zeroed. */
static void *extend(struct request *request, size_t length) {
  struct nlmsghdr *header = header_of(request);
  size_t at = NLMSG_ALIGN(header->nlmsg_len);
  if (at + NLMSG_ALIGN(length) > REQUEST_BYTES_MAX) abort();
  header->nlmsg_len = (uint32_t)(at + length);
  return request->as.bytes + at;
}

void request_begin(struct request *request, uint16_t type, uint16_t flags, const void *body, size_t body_length) {
  memset(request, 0, sizeof *request);
  *header_of(request) = (struct nlmsghdr){
      .nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags)};
  memcpy(extend(request, body_length), body, body_length);
}

void request_add(struct request *request, uint16_t type, const void *value, size_t length) {
  struct rtattr *attribute = extend(request, RTA_LENGTH(length));
  attribute->rta_type = type;
  attribute->rta_len = (uint16_t)RTA_LENGTH(length);
  if (length > 0) memcpy(RTA_DATA(attribute), value, length);
}

void request_add_text(struct request *request, uint16_t type, const char *text) {
  request_add(request, type, text, strlen(text) + 1);
}

void request_add_u8(struct request *request, uint16_t type, uint8_t value) {
  request_add(request, type, &value, sizeof value);
}

void request_add_u32(struct request *request, uint16_t type, uint32_t value) {
  request_add(request, type, &value, sizeof value);
}

size_t request_open(struct request *request, uint16_t type, const void *value, size_t length) {
  size_t at = NLMSG_ALIGN(header_of(request)->nlmsg_len);
  request_add(request, type, value, length);
  return at;
}

void request_close(struct request *request, size_t opened) {
  struct rtattr *attribute = (struct rtattr *)(void *)(request->as.bytes + opened);
  attribute->rta_len = (uint16_t)(header_of(request)->nlmsg_len - opened);
}

static int read_answer(int fd) {
  union {
    struct nlmsghdr header;
    uint8_t bytes[ANSWER_BYTES_MAX];
  } answer;
  ssize_t got;
  do got = recv(fd, &answer, sizeof answer, 0);
  while (got < 0 && errno == EINTR);
  if (got < 0) return -1;
  errno = EPROTO;
  if (!NLMSG_OK(&answer.header, (uint32_t)got) || answer.header.nlmsg_type != NLMSG_ERROR) return -1;
  if (answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))) return -1;
  const struct nlmsgerr *result = NLMSG_DATA(&answer.header);
  errno = -result->error;
  return result->error == 0 ? 0 : -1;
}

int request_send(const struct request *request) {
  const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)request->as.bytes;
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -1;
  ssize_t sent = sendto(fd, request, header->nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof kernel);
  int result = sent < 0 ? -1 : read_answer(fd);
  int saved = errno;
  close(fd);
  errno = saved;
  return result;
}
