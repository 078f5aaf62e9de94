/* The opening (opening.h). */
#define _GNU_SOURCE
#include "opening.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "bytes.h"
#include "loop.h"
#include "machine.h"
#include "mux.h"

#define ENTROPY_BYTES 256
#define CLOCK_BEHIND_S_MAX 86400

static struct bytes records;
static uint64_t behind_ns; /* that the guest's clock is to be */

/* What the host alone needs, or is a secret of its own. */
static int is_for_host(const char *key) {
  static const char *const keys[] = {"dir",         "socket",  "stream_gid", "uid",         "gid",      "cgroup",
                                     "task_cgroup", "egress",  "bwrap",      "netns",       "token",    "log_bytes",
                                     "vmm",         "vmm_arg", "vmm_program", "wait_resume", "template", "boot_ms",
                                     "vmm_env",     "clock_behind_s"};
  for (size_t at = 0; at < sizeof keys / sizeof *keys; at++)
    if (strcmp(key, keys[at]) == 0) return 1;
  return 0;
}

static int add(const char *text, size_t length) {
  return bytes_append(&records, text, length, SPEC_BYTES_MAX);
}

int opening_prepare(const struct spec *spec) {
  unsigned long long behind_s = 0;
  const char *text = spec_get(spec, "clock_behind_s");
  if (text != NULL && parse_number(text, 1, CLOCK_BEHIND_S_MAX, &behind_s) < 0) return -1;
  behind_ns = behind_s * NS_PER_S;
  for (size_t at = 0; at < spec->count; at++) {
    const char *key = spec->pairs[at].key;
    const char *value = strcmp(key, "lend") == 0 ? "1" : spec->pairs[at].value; /* whether, not where */
    if (is_for_host(key)) continue;
    if (add(key, strlen(key)) < 0 || add("=", 1) < 0 || add(value, strlen(value) + 1) < 0) return -1;
  }
  return 0;
}

void opening_send_clock(void) {
  struct timespec real;
  clock_gettime(CLOCK_REALTIME, &real);
  uint64_t clocks[2] = {(uint64_t)real.tv_sec * NS_PER_S + (uint64_t)real.tv_nsec - behind_ns, now_ns()};
  mux_message(MESSAGE_CLOCK, clocks, sizeof clocks);
}

static void send_entropy(void) {
  uint8_t entropy[ENTROPY_BYTES];
  if (getrandom(entropy, sizeof entropy, 0) == sizeof entropy) mux_message(MESSAGE_ENTROPY, entropy, sizeof entropy);
  explicit_bzero(entropy, sizeof entropy);
}

void opening_send(void) {
  opening_send_clock();
  send_entropy();
  while (bytes_length(&records) > 0) {
    size_t length = bytes_length(&records) < MUX_PAYLOAD_BYTES_MAX ? bytes_length(&records) : MUX_PAYLOAD_BYTES_MAX;
    mux_message(MESSAGE_SETUP, bytes_first(&records), length);
    explicit_bzero(records.memory + records.start, length);
    bytes_drop(&records, length);
  }
  bytes_clear(&records);
  mux_message(MESSAGE_SETUP, NULL, 0);
}
