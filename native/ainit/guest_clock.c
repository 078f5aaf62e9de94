/* The host's clocks and randomness (guest_clock.h). */
#define _GNU_SOURCE
#include "guest_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "loop.h"

#define ENTROPY_BYTES_MAX 512

int clock_take(const uint8_t *payload, size_t length) {
  uint64_t clocks[2];
  errno = EINVAL;
  if (length != sizeof clocks) return -1;
  memcpy(clocks, payload, sizeof clocks);
  struct timespec real = {.tv_sec = (time_t)(clocks[0] / NS_PER_S), .tv_nsec = (long)(clocks[0] % NS_PER_S)};
  event_set_offset((int64_t)(clocks[1] - now_ns()));
  return clock_settime(CLOCK_REALTIME, &real);
}

int entropy_take(const uint8_t *payload, size_t length) {
  struct {
    struct rand_pool_info info;
    uint8_t bytes[ENTROPY_BYTES_MAX];
  } pool = {.info = {.entropy_count = (int)length * 8, .buf_size = (int)length}};
  errno = EINVAL;
  if (length == 0 || length > sizeof pool.bytes) return -1;
  memcpy(pool.bytes, payload, length);
  int device = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
  if (device < 0) return -1;
  int result = ioctl(device, RNDADDENTROPY, &pool);
  if (result == 0) result = ioctl(device, RNDRESEEDCRNG);
  int saved = errno;
  close(device);
  explicit_bzero(&pool, sizeof pool);
  errno = saved;
  return result;
}
