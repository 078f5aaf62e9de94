/*
 * How fast this machine's time stamp counter counts (tsc.h): against the monotonic clock, over a while that makes the error of
 * reading both small. An emulated guest reads the same counter, and cannot find out by itself on a busy host.
 */
#define _GNU_SOURCE
#include "tsc.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>

#define INTERVAL_NS 50000000
#define TRIES 32

struct moment {
  uint64_t ticks;
  uint64_t ns;
};

static uint64_t raw_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Both clocks at one moment: of some tries the one that was interrupted least. */
static struct moment read_both(void) {
  struct moment best = {0};
  uint64_t narrowest = UINT64_MAX;
  for (int left = TRIES; left > 0; left--) {
    uint64_t before = __rdtsc(), ns = raw_ns(), after = __rdtsc();
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    best = (struct moment){before + narrowest / 2, ns};
  }
  return best;
}

int tsc_main(void) {
  struct moment start = read_both();
  nanosleep(&(struct timespec){.tv_nsec = INTERVAL_NS}, NULL);
  struct moment end = read_both();
  uint64_t ns = end.ns - start.ns;
  uint64_t khz = ((end.ticks - start.ticks) * 1000000u + ns / 2) / ns;
  return printf("%llu\n", (unsigned long long)khz) > 0 ? 0 : 1;
}
#else
int tsc_main(void) { return puts("0") >= 0 ? 0 : 1; }
#endif
