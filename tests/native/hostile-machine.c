/*
 * Stands where a virtual machine's monitor stands, and does what no honest one does: `hostile-machine WHAT [ARGUMENT]`. Descriptor
 * 3 is the channel. Not part of the product.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANNEL 3
#define FRAME_BYTES_MAX 16384

static uint32_t state;

static uint32_t next_random(void) {
  state += 0x6d2b79f5u;
  uint32_t mixed = (state ^ (state >> 15)) * (state | 1);
  mixed ^= mixed + (mixed ^ (mixed >> 7)) * (mixed | 61);
  return mixed ^ (mixed >> 14);
}

/* All of it, unless the host has gone. What the host says meanwhile is read, and forgotten, unless it is not to be. */
static void send_all(const uint8_t *bytes, size_t length, int is_reading) {
  static uint8_t heard[65536];
  while (length > 0) {
    struct pollfd channel = {.fd = CHANNEL, .events = (short)(POLLOUT | (is_reading ? POLLIN : 0))};
    poll(&channel, 1, -1);
    if ((channel.revents & POLLIN) != 0 && read(CHANNEL, heard, sizeof heard) <= 0) exit(0);
    if ((channel.revents & (POLLOUT | POLLERR | POLLHUP)) == 0) continue;
    ssize_t sent = write(CHANNEL, bytes, length);
    if (sent < 0 && (channel.revents & (POLLERR | POLLHUP)) != 0) exit(0);
    if (sent < 0) continue;
    bytes += sent;
    length -= (size_t)sent;
  }
}

static void frame(uint32_t channel, uint8_t type, const void *payload, uint16_t length, int is_reading) {
  uint8_t bytes[8 + FRAME_BYTES_MAX] = {0};
  memcpy(bytes, &channel, 4);
  memcpy(bytes + 4, &length, 2);
  bytes[6] = type;
  if (length > 0) memcpy(bytes + 8, payload, length);
  send_all(bytes, 8u + length, is_reading);
}

static void hello(void) {
  const uint8_t version[4] = {1};
  frame(0, 16, version, sizeof version, 1);
}

/* Until the host ends us. */
_Noreturn static void listen_on(void) {
  static uint8_t heard[65536];
  struct pollfd channel = {.fd = CHANNEL, .events = POLLIN};
  while (poll(&channel, 1, -1) >= 0 && read(CHANNEL, heard, sizeof heard) != 0) continue;
  exit(0);
}

/* Frames that look right more often than not: small numbers of channels, known types, lengths that fit. */
static void send_random(unsigned count) {
  uint8_t payload[FRAME_BYTES_MAX];
  for (unsigned at = 0; at < count; at++) {
    uint32_t luck = next_random() % 64;
    uint8_t type = (uint8_t)(luck == 0 ? next_random() : luck < 8 ? 16 + next_random() % 10 : 1 + next_random() % 7);
    uint32_t channel = type >= 16 ? 0 : luck == 1 ? next_random() : 2 * (1 + next_random() % 24) - (luck % 4 == 2);
    uint16_t length = (uint16_t)(luck == 3 ? next_random() % 20000 : next_random() % (type == 4 ? 600 : 12));
    if (type == 7 && luck > 4) length = 4;
    if (type == 3) length = 2;
    if ((type == 2 || type == 5 || type == 6) && luck > 4) length = 0;
    if (length > FRAME_BYTES_MAX) length = FRAME_BYTES_MAX;
    for (size_t byte = 0; byte < length; byte++) payload[byte] = (uint8_t)next_random();
    if (type == 1 && length > 0) payload[0] = (uint8_t)(3 + next_random() % 4);
    if (type == 1 && length > 4) memset(payload + 3, 'a', length - 3u);
    if (type == 7 && length == 4) memset(payload + 2, 0, 2);
    if (luck == 5) send_all(payload, length, 1);
    else frame(channel, type, payload, length, 1);
  }
}

/* The same again and again: `type` on ever new channels, or on one. */
static void send_floods(const char *what) {
  static const uint8_t relay[] = {3, 0xbb, 1, 'a', '.', 'b'};
  static const uint8_t bytes[FRAME_BYTES_MAX] = {1};
  int is_reading = strstr(what, "deaf") == NULL;
  for (uint32_t at = 1;; at++) {
    if (strncmp(what, "opens", 5) == 0) frame(2 * at, 1, relay, sizeof relay, is_reading);
    if (strncmp(what, "resets", 6) == 0) frame(2 * at, 1, relay, sizeof relay, is_reading);
    if (strncmp(what, "resets", 6) == 0) frame(2 * at, 6, NULL, 0, is_reading);
    if (strncmp(what, "refusals", 8) == 0) frame(2 * at, 1, "?", 1, is_reading);
    if (strncmp(what, "data", 4) == 0 && at == 1) frame(2, 1, relay, sizeof relay, is_reading);
    if (strncmp(what, "data", 4) == 0) frame(2, 4, bytes, sizeof bytes, is_reading);
    if (strncmp(what, "logs", 4) == 0) frame(0, 18, bytes, sizeof bytes, is_reading);
  }
}

static void send_hex(const char *hex) {
  for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
    unsigned value = 0;
    sscanf(hex, "%2x", &value);
    uint8_t byte = (uint8_t)value;
    send_all(&byte, 1, 1);
  }
}

int main(int argc, char **argv) {
  const char *what = argc < 2 ? "" : argv[1], *argument = argc < 3 ? "" : argv[2];
  signal(SIGPIPE, SIG_IGN);
  if (strcmp(what, "silent") == 0) pause();
  if (strcmp(what, "exit") == 0) {
    puts("the last line");
    return 9;
  }
  if (strcmp(what, "kill") == 0) raise(SIGKILL);
  if (strcmp(what, "hex") == 0) {
    send_hex(argument);
    listen_on();
  }
  hello();
  if (strcmp(what, "close") == 0) {
    close(CHANNEL);
    pause();
  }
  if (strcmp(what, "console") == 0) {
    for (int line = 0; line < 300000; line++) printf("line %d of a flood\n", line);
    return 0;
  }
  if (strcmp(what, "flood") == 0) send_floods(argument);
  if (strcmp(what, "then") == 0) send_hex(argument);
  if (strcmp(what, "random") == 0) {
    state = (uint32_t)strtoul(argument, NULL, 10);
    send_random(2000);
    return 0;
  }
  listen_on();
}
