/*
 * A web server without dependencies: one process, epoll, keep-alive, pipelining. It answers every request with the
 * same text; bodies are read and dropped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 8192 /* Longest request head. */
#define EVENTS_MAX 64

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n";
static const char BODY[] = "hello from C\n";
static const char REFUSAL[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

struct connection {
  int fd;
  bool is_last;              /* Close when everything is sent. */
  size_t body_left;          /* Bytes of the present request's body still to come. */
  size_t received, unsent, sent;
  char in[HEAD_MAX];
  char out[HEAD_MAX * 8];    /* A request has 18 bytes or more, so this holds the answers to a full `in`. */
};

static void answer(struct connection *c, const char *text, size_t length) {
  memcpy(c->out + c->unsent, text, length);
  c->unsent += length;
}

/* The value of a field in a request head, whose last line ends at `end`; NULL when it is not there. */
static const char *find_field(const char *head, const char *end, const char *name) {
  size_t length = strlen(name);
  const char *line = memmem(head, (size_t)(end - head), "\r\n", 2);
  while (line != NULL && (size_t)(end - line) > length + 2) {
    line += 2;
    if (strncasecmp(line, name, length) == 0 && line[length] == ':')
      return line + length + 1 + strspn(line + length + 1, " \t");
    line = memmem(line, (size_t)(end - line), "\r\n", 2);
  }
  return NULL;
}

/* Answers one request; false when it makes no sense. */
static bool serve_request(struct connection *c, const char *head, const char *end) {
  const char *line_end = memmem(head, (size_t)(end - head), "\r\n", 2);
  const char *length = find_field(head, end, "content-length");
  const char *option = find_field(head, end, "connection");
  if (line_end - head < 14 || memcmp(line_end - 9, " HTTP/1.", 8) != 0 || find_field(head, end, "transfer-encoding"))
    return false;
  if (length != NULL)
    c->body_left = strtoul(length, NULL, 10);
  c->is_last = line_end[-1] == '0' || (option != NULL && strncasecmp(option, "close", 5) == 0);
  answer(c, HEAD, sizeof HEAD - 1);
  if (memcmp(head, "HEAD ", 5) != 0)
    answer(c, BODY, sizeof BODY - 1);
  return true;
}

/* Answers every whole request in `in`, and keeps the rest for later. */
static void serve_received(struct connection *c) {
  size_t at = 0;
  while (!c->is_last) {
    size_t skipped = c->body_left < c->received - at ? c->body_left : c->received - at;
    c->body_left -= skipped;
    at += skipped;
    char *head = c->in + at;
    char *end = memmem(head, c->received - at, "\r\n\r\n", 4);
    if (end == NULL)
      break;
    at += (size_t)(end + 4 - head);
    if (!serve_request(c, head, end + 2)) {
      answer(c, REFUSAL, sizeof REFUSAL - 1);
      c->is_last = true;
    }
  }
  c->received -= at;
  memmove(c->in, c->in + at, c->received);
}

/* Sends what there is to send; false when the connection is over. */
static bool flush(int epoll, struct connection *c) {
  while (c->sent < c->unsent) {
    ssize_t count = send(c->fd, c->out + c->sent, c->unsent - c->sent, MSG_NOSIGNAL);
    if (count > 0) {
      c->sent += (size_t)count;
      continue;
    }
    if (errno != EAGAIN)
      return false;
    /* A client that does not read is not read from either. */
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) == 0;
  }
  c->sent = c->unsent = 0;
  return !c->is_last;
}

/* Does what is to be done for a ready connection; false when it is over. */
static bool serve(int epoll, struct connection *c, uint32_t events) {
  if (events & EPOLLOUT) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (!flush(epoll, c))
      return false;
    return c->unsent > 0 || epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) == 0;
  }
  ssize_t count = read(c->fd, c->in + c->received, sizeof c->in - c->received);
  if (count < 0)
    return errno == EAGAIN;
  c->received += (size_t)count;
  serve_received(c);
  bool is_head_too_long = c->received == sizeof c->in;
  return flush(epoll, c) && count > 0 && !is_head_too_long;
}

static void accept_all(int epoll, int listener) {
  int fd, one = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct connection *c = malloc(sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c != NULL) {
      c->fd = fd;
      c->is_last = false;
      c->body_left = c->received = c->unsent = c->sent = 0;
    }
    if (c != NULL && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0)
      continue;
    free(c);
    close(fd);
  }
}

static int listen_on(uint16_t port) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, SOMAXCONN) == 0)
    return fd;
  perror("listen");
  exit(1);
}

static void on_sigterm(int signal) {
  (void)signal;
  _exit(0);
}

int main(void) {
  const char *port = getenv("PORT");
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_on((uint16_t)atoi(port != NULL ? port : "8080"));
  struct epoll_event events[EVENTS_MAX], event = {.events = EPOLLIN};
  signal(SIGTERM, on_sigterm);
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
    return 1;
  for (;;) {
    int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == NULL) {
        accept_all(epoll, listener);
      } else if (!serve(epoll, c, events[i].events)) {
        close(c->fd);
        free(c);
      }
    }
  }
}
