/* poll_oneoff: clocks, streams that are ready, will be or never are, and several at once. stdin says "input" after 20 ms. */
#include "check.h"

static __wasi_subscription_t wanted[4];
static __wasi_event_t events[4];
static __wasi_size_t count;

static void want_clock(int index, __wasi_clockid_t clock, uint64_t timeout_ns, int flags) {
  memset(&wanted[index], 0, sizeof *wanted);
  wanted[index].userdata = 100 + index;
  wanted[index].u.tag = __WASI_EVENTTYPE_CLOCK;
  wanted[index].u.u.clock.id = clock;
  wanted[index].u.u.clock.timeout = timeout_ns;
  wanted[index].u.u.clock.flags = flags;
}

static void want_fd(int index, int type, __wasi_fd_t fd) {
  memset(&wanted[index], 0, sizeof *wanted);
  wanted[index].userdata = 100 + index;
  wanted[index].u.tag = type;
  wanted[index].u.u.fd_read.file_descriptor = fd;
}

static __wasi_timestamp_t now(__wasi_clockid_t clock) {
  __wasi_timestamp_t time;
  OK(__wasi_clock_time_get(clock, 0, &time));
  return time;
}

int main(void) {
  ERRNO(__wasi_poll_oneoff(wanted, events, 0, &count), __WASI_ERRNO_INVAL);

  /* Stdin has nothing yet, so the clock is first; stdout is ready at once. */
  want_clock(0, __WASI_CLOCKID_MONOTONIC, 1000000, 0);
  want_fd(1, __WASI_EVENTTYPE_FD_READ, 0);
  __wasi_timestamp_t start = now(__WASI_CLOCKID_MONOTONIC);
  OK(__wasi_poll_oneoff(wanted, events, 2, &count));
  CHECK(count == 1 && events[0].userdata == 100 && events[0].error == 0 && events[0].type == __WASI_EVENTTYPE_CLOCK);
  CHECK(now(__WASI_CLOCKID_MONOTONIC) - start >= 1000000);

  want_fd(2, __WASI_EVENTTYPE_FD_WRITE, 1);
  OK(__wasi_poll_oneoff(wanted, events, 3, &count));
  CHECK(count == 1 && events[0].userdata == 102 && events[0].type == __WASI_EVENTTYPE_FD_WRITE);
  CHECK(events[0].fd_readwrite.nbytes > 0);

  /* Then it has something. */
  want_clock(0, __WASI_CLOCKID_MONOTONIC, 60000000000, 0);
  OK(__wasi_poll_oneoff(wanted, events, 2, &count));
  CHECK(count == 1 && events[0].userdata == 101 && events[0].fd_readwrite.nbytes == 5);
  CHECK(strcmp(get(0), "input") == 0);
  OK(__wasi_poll_oneoff(wanted, events, 2, &count));
  CHECK(count == 1 && events[0].userdata == 101 && events[0].fd_readwrite.nbytes == 0);
  CHECK(events[0].fd_readwrite.flags == __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP);
  CHECK(strcmp(get(0), "") == 0);

  /* Times that are absolute, in the past, and of several clocks. */
  want_clock(0, __WASI_CLOCKID_REALTIME, now(__WASI_CLOCKID_REALTIME) + 2000000, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
  want_clock(1, __WASI_CLOCKID_MONOTONIC, 3600000000000, 0);
  OK(__wasi_poll_oneoff(wanted, events, 2, &count));
  CHECK(count == 1 && events[0].userdata == 100);
  want_clock(0, __WASI_CLOCKID_REALTIME, 1, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
  want_clock(1, __WASI_CLOCKID_MONOTONIC, 0, 0);
  OK(__wasi_poll_oneoff(wanted, events, 2, &count));
  CHECK(count == 2);

  /* What is wrong with one subscription is said in its event, and does not hide the others. */
  __wasi_fd_t file = open_file("file");
  put(file, "0123456789");
  seek(file, 4, __WASI_WHENCE_SET);
  want_fd(0, __WASI_EVENTTYPE_FD_READ, 77);
  want_fd(1, __WASI_EVENTTYPE_FD_WRITE, 0);
  want_fd(2, __WASI_EVENTTYPE_FD_READ, file);
  want_clock(3, __WASI_CLOCKID_MONOTONIC, UINT64_MAX, 0);
  OK(__wasi_poll_oneoff(wanted, events, 4, &count));
  CHECK(count == 3);
  CHECK(events[0].userdata == 100 && events[0].error == __WASI_ERRNO_BADF);
  CHECK(events[1].userdata == 101 && events[1].error == __WASI_ERRNO_NOTCAPABLE);
  CHECK(events[2].userdata == 102 && events[2].error == 0 && events[2].fd_readwrite.nbytes == 6);
  OK(__wasi_fd_close(file));
  OK(__wasi_path_unlink_file(ROOT, "file"));

  want_clock(0, 9, 0, 0);
  ERRNO(__wasi_poll_oneoff(wanted, events, 1, &count), __WASI_ERRNO_INVAL);
  wanted[0].u.tag = 3;
  ERRNO(__wasi_poll_oneoff(wanted, events, 1, &count), __WASI_ERRNO_INVAL);
  return 0;
}
