/* What the guest opens (leaving.h). */
#define _GNU_SOURCE
#include "leaving.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "egress.h"
#include "log.h"
#include "machine.h"
#include "protocol.h"
#include "splice.h"

#define RETRY_MS 100
#define LEAVING_MAX 256
#define CORES_MAX 8
#define CORE_NAME_BYTES 24

/* A connection out of the machine that egress has not been given yet. */
struct leaving {
  int fd; /* 0: a free entry */
  uint16_t port;
  char name[NAME_BYTES_MAX + 1];
};

static struct leaving leaving[LEAVING_MAX];
static struct timer retry;
static int has_lent_program;
static unsigned long long core_bytes;
static int core_count;

int leaving_configure(const struct spec *spec, int is_program_lent, const char **bad) {
  const char *text = spec_get(spec, *bad = "core_bytes");
  has_lent_program = is_program_lent;
  return text == NULL ? 0 : parse_number(text, 0, 1ull << 50, &core_bytes);
}

/* 0, or -1 while egress cannot be reached. */
static int try_to_leave(struct leaving *one) {
  if (egress_give(one->name, one->port, one->fd) < 0) return -1;
  close(one->fd);
  one->fd = 0;
  return 0;
}

static void retry_fired(struct timer *timer) {
  int is_waiting = 0;
  for (size_t at = 0; at < LEAVING_MAX; at++)
    if (leaving[at].fd != 0 && try_to_leave(&leaving[at]) < 0) is_waiting = 1;
  if (is_waiting) timer_set(timer, now_ns() + RETRY_MS * NS_PER_MS);
}

/* The port and the name, as a relay has them. Whether the instance may go there is egress's to say. */
static int read_relay(const uint8_t *arguments, size_t length, struct leaving *one) {
  if (length < 4 || length - 3 > NAME_BYTES_MAX) return -1;
  memcpy(&one->port, arguments + 1, sizeof one->port);
  for (size_t at = 3; at < length; at++)
    if (arguments[at] <= ' ' || arguments[at] >= 127) return -1;
  memcpy(one->name, arguments + 3, length - 3);
  one->name[length - 3] = '\0';
  return one->port == 0 ? -1 : 0;
}

static void take_relay(uint32_t id, const uint8_t *arguments, size_t length) {
  int ends[2];
  struct leaving *one = leaving;
  while (one < leaving + LEAVING_MAX && one->fd != 0) one++;
  if (one == leaving + LEAVING_MAX) {
    mux_refuse(id, EAGAIN);
    return;
  }
  if (read_relay(arguments, length, one) < 0) {
    mux_refuse(id, EINVAL);
    return;
  }
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
    mux_refuse(id, errno);
    return;
  }
  struct splice *splice = splice_accept(id, CHANNEL_RELAY);
  if (splice == NULL) {
    close(ends[0]);
    close(ends[1]);
    return;
  }
  one->fd = ends[1];
  splice_answer(splice);
  splice_attach(splice, ends[0]);
  if (try_to_leave(one) == 0 || retry.at_ns != 0) return;
  retry.fire = retry_fired;
  timer_set(&retry, now_ns() + RETRY_MS * NS_PER_MS);
}

/* The descriptor says only where the program is. */
static void take_lend(uint32_t id) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", FD_LEND);
  int fd = has_lent_program ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) {
    mux_refuse(id, ENOENT);
    return;
  }
  struct splice *splice = splice_accept(id, CHANNEL_LEND);
  if (splice == NULL) {
    close(fd);
    return;
  }
  splice_answer(splice);
  splice_attach(splice, fd);
}

/* A dump whose name has no `.part` any more is whole, or as long as is allowed. */
static void core_gone(struct splice *splice) {
  const char *name = splice->context, *part = name + CORE_NAME_BYTES;
  if (renameat(FD_OUT, part, FD_OUT, name) < 0) log_remark("%s keeps its name: %s", part, strerror(errno));
}

/* All together are as long as is allowed, and each is cut off where that is reached. */
static void take_core(uint32_t id) {
  static char names[CORES_MAX][2][CORE_NAME_BYTES];
  if (core_bytes == 0 || core_count == CORES_MAX) {
    mux_refuse(id, EFBIG);
    return;
  }
  char *name = names[core_count][0], *part = names[core_count][1];
  snprintf(name, CORE_NAME_BYTES, "core.%d", core_count + 1);
  snprintf(part, CORE_NAME_BYTES, "core.%d.part", core_count + 1);
  int fd = openat(FD_OUT, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  struct splice *splice = fd < 0 ? NULL : splice_accept(id, CHANNEL_CORE);
  if (fd < 0) mux_refuse(id, errno);
  if (fd >= 0 && splice == NULL) close(fd);
  if (splice == NULL) return;
  core_count++;
  log_remark("a core dump is written to %s", name);
  splice->bytes_left = &core_bytes;
  splice->context = name;
  splice->gone = core_gone;
  splice_answer(splice);
  splice_finish(splice);
  splice_attach(splice, fd);
}

void leaving_take(uint32_t id, const uint8_t *arguments, size_t length) {
  switch (length == 0 ? 0 : arguments[0]) {
    case CHANNEL_RELAY:
      take_relay(id, arguments, length);
      return;
    case CHANNEL_LEND:
      take_lend(id);
      return;
    case CHANNEL_CORE:
      take_core(id);
      return;
    default:
      mux_refuse(id, ENOSYS);
  }
}
