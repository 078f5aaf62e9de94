/* The predecessor `wasi_unstable`, where its layouts differ. */
#include "check.h"

#define IMPORT(name) __attribute__((import_module("wasi_unstable"), import_name(name)))
int32_t unstable_fd_seek(int32_t fd, int64_t offset, int32_t whence, uint64_t *result) IMPORT("fd_seek");
int32_t unstable_fd_filestat_get(int32_t fd, void *result) IMPORT("fd_filestat_get");
int32_t unstable_path_filestat_get(int32_t fd, int32_t lookup, const char *path, int32_t length, void *result)
    IMPORT("path_filestat_get");
int32_t unstable_poll_oneoff(const void *wanted, void *events, int32_t count, int32_t *result) IMPORT("poll_oneoff");
int32_t unstable_proc_raise(int32_t signal) IMPORT("proc_raise");

typedef struct {
  uint64_t dev, ino;
  uint8_t filetype;
  uint32_t nlink;
  uint64_t size, atim, mtim, ctim;
  uint64_t behind;
} filestat_t;

typedef struct {
  uint64_t userdata;
  uint8_t type;
  uint64_t identifier;
  uint32_t clock;
  uint64_t timeout, precision;
  uint16_t flags;
} clock_subscription_t;

typedef struct {
  uint64_t userdata;
  uint64_t type;
  uint32_t fd;
  uint8_t rest[36];
} fd_subscription_t;

_Static_assert(sizeof(filestat_t) == 64 && sizeof(clock_subscription_t) == 56 && sizeof(fd_subscription_t) == 56, "");

int main(void) {
  uint64_t position;
  __wasi_filestat_t stat;
  filestat_t old = {.behind = 42};
  __wasi_fd_t fd = open_file("file");
  put(fd, "0123456789");
  OK(unstable_fd_seek(fd, 3, 2, &position)); /* from the start */
  CHECK(position == 3);
  OK(unstable_fd_seek(fd, 1, 0, &position)); /* from here */
  CHECK(position == 4);
  OK(unstable_fd_seek(fd, -1, 1, &position)); /* from the end */
  CHECK(position == 9);

  OK(__wasi_fd_filestat_get(fd, &stat));
  OK(unstable_fd_filestat_get(fd, &old));
  CHECK(old.dev == stat.dev && old.ino == stat.ino && old.filetype == stat.filetype && old.nlink == 1);
  CHECK(old.size == 10 && old.atim == stat.atim && old.mtim == stat.mtim && old.ctim == stat.ctim && old.behind == 42);
  memset(&old, 0, sizeof old);
  OK(unstable_path_filestat_get(ROOT, 0, "file", 4, &old));
  CHECK(old.size == 10 && old.mtim == stat.mtim && old.behind == 0);

  int32_t count;
  __wasi_event_t events[2];
  union {
    clock_subscription_t clock;
    fd_subscription_t fd;
  } wanted[2] = {{.clock = {.userdata = 7, .identifier = ~0ull, .clock = __WASI_CLOCKID_MONOTONIC, .timeout = 1}},
                 {.fd = {.userdata = 8, .type = 1, .fd = fd}}};
  OK(unstable_poll_oneoff(wanted, events, 2, &count));
  CHECK(count >= 1 && events[count - 1].userdata == 8 && events[count - 1].fd_readwrite.nbytes == 1);
  OK(unstable_poll_oneoff(wanted, events, 1, &count));
  CHECK(count == 1 && events[0].userdata == 7 && events[0].type == __WASI_EVENTTYPE_CLOCK);
  OK(unstable_proc_raise(0));
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "file"));
  return 0;
}
