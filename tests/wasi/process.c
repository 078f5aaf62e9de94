/* Arguments, environment, clocks, random bytes, and how a program ends. Its first argument says what it does. */
#include "check.h"
#include <time.h>

int32_t proc_raise(int32_t signal)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise")));

static void report(char **argv, int argc) {
  extern char **environ;
  for (int index = 0; index < argc; index++) printf("[%s]", argv[index]);
  for (char **each = environ; *each; each++) printf("{%s}", *each);
  CHECK(argv[argc] == NULL);
}

static void clocks(void) {
  __wasi_timestamp_t time, later, resolution;
  for (__wasi_clockid_t id = 0; id < 4; id++) {
    OK(__wasi_clock_res_get(id, &resolution));
    CHECK(resolution > 0);
    OK(__wasi_clock_time_get(id, 1, &time));
    OK(__wasi_clock_time_get(id, 0, &later));
    CHECK(time > 0 && later >= time);
  }
  ERRNO(__wasi_clock_res_get(4, &resolution), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_clock_time_get(4, 0, &time), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_clock_time_get(-1, 0, &time), __WASI_ERRNO_INVAL);
  OK(__wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 0, &time));
  CHECK(time > 1700000000000000000 && (time_t)(time / 1000000000) >= 1700000000);
  OK(__wasi_sched_yield());
}

static void random_bytes(void) {
  static uint8_t bytes[100000];
  OK(__wasi_random_get(bytes, 0));
  OK(__wasi_random_get(bytes, sizeof bytes));
  int counts[256] = {0};
  for (unsigned index = 0; index < sizeof bytes; index++) counts[bytes[index]]++;
  for (int value = 0; value < 256; value++) CHECK(counts[value] > 200 && counts[value] < 600);
}

int main(int argc, char **argv) {
  CHECK(argc > 1);
  if (strcmp(argv[1], "report") == 0) report(argv, argc);
  if (strcmp(argv[1], "clocks") == 0) clocks();
  if (strcmp(argv[1], "random") == 0) random_bytes();
  if (strcmp(argv[1], "exit") == 0) __wasi_proc_exit(strtoul(argv[2], NULL, 0));
  if (strcmp(argv[1], "raise") == 0) ERRNO(proc_raise(atoi(argv[2])), atoi(argv[3]));
  if (strcmp(argv[1], "cat") == 0) {
    char line[64];
    while (fgets(line, sizeof line, stdin)) fputs(line, stdout);
  }
  if (strcmp(argv[1], "flood") == 0) {
    static uint8_t bytes[1 << 20];
    __wasi_ciovec_t vector = {bytes, sizeof bytes};
    __wasi_size_t written;
    for (int index = 0; index < 10240; index++) {
      int errno_was = __wasi_fd_write(1, &vector, 1, &written);
      if (errno_was != 0) return errno_was;
      CHECK(written == sizeof bytes);
    }
  }
  return 0;
}
