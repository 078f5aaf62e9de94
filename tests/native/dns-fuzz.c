/*
 * Feeds messages that no friend sends to ainit's reader of DNS messages, within bounds that the sanitizers watch. Not part of
 * the product. Usage: dns-fuzz SEED ROUNDS
 */
#include "../../native/ainit/dns_message.c"

#include <stdio.h>
#include <stdlib.h>

static uint32_t state;

/* mulberry32, as in the other fuzz tests. */
static uint32_t draw(uint32_t end) {
  state += 0x6d2b79f5u;
  uint32_t mixed = (state ^ (state >> 15)) * (state | 1);
  mixed ^= mixed + (mixed ^ (mixed >> 7)) * (mixed | 61);
  return (mixed ^ (mixed >> 14)) % end;
}

/* Nearly a query: labels of any length, pointers, counts, a name that ends or does not. */
static size_t make(uint8_t *bytes, size_t size) {
  size_t length = 12, labels = draw(draw(8) == 0 ? 200 : 5);
  for (size_t at = 0; at < 12; at++) bytes[at] = (uint8_t)(draw(12) == 0 ? draw(256) : at == 5);
  for (size_t label = 0; label < labels && length + 70 < size; label++) {
    uint32_t kind = draw(16);
    size_t count = kind == 0 ? draw(256) : 1 + draw(kind == 1 ? 63 : 6), filled = count > 63 ? 3 : count;
    bytes[length++] = (uint8_t)count;
    for (size_t at = 0; at < filled; at++) bytes[length++] = (uint8_t)(draw(24) == 0 ? draw(256) : 'A' + draw(58));
  }
  static const uint8_t tail[] = {0, 0, 1, 0, 1};
  memcpy(bytes + length, tail, sizeof tail);
  length += sizeof tail;
  for (uint32_t changes = draw(3); changes > 0; changes--) bytes[draw((uint32_t)length)] = (uint8_t)draw(256);
  return draw(4) == 0 ? draw((uint32_t)length + 1) : length;
}

static void check(int is_right, const char *what) {
  if (is_right) return;
  fprintf(stderr, "%s\n", what);
  abort();
}

static void check_one(const uint8_t *message, size_t length, unsigned long counts[8]) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
  uint8_t *query = malloc(length), *answer = malloc(DNS_ANSWER_BYTES_MAX); /* exact, so that one byte too many is seen */
  struct dns_question question;
  struct dns_addresses addresses = {.ttl_s = 2};
  if (length > 0) memcpy(query, message, length);
  int code = dns_read(query, length, &question);
  check(code >= -1 && code <= 5, "a code that there is not");
  counts[code + 1]++;
  if (code >= 0) {
    check(strspn(question.name, letters) == strlen(question.name), "a name of other letters");
    check(question.length <= length && question.length <= 12 + 255 + 4, "a question that is too long");
    addresses.count = code == 0 ? (size_t)counts[1] % (DNS_ADDRESSES_MAX + 1) : 0;
    size_t written = dns_write(query, &question, code, &addresses, answer);
    check(written <= DNS_ANSWER_BYTES_MAX && written >= 12, "an answer that is too long");
    check(memcmp(answer, query, 2) == 0 && (answer[2] & 0x80) != 0, "an answer to nothing");
  }
  free(query);
  free(answer);
}

int main(int argc, char **argv) {
  static uint8_t message[2048];
  unsigned long counts[8] = {0};
  if (argc != 3) return 64;
  state = (uint32_t)strtoul(argv[1], NULL, 10);
  for (long rounds = strtol(argv[2], NULL, 10); rounds > 0; rounds--) check_one(message, make(message, sizeof message), counts);
  /* So that the test sees whether the messages are as broken as they should be, and no more than that. */
  printf("{\"dropped\":%lu,\"read\":%lu,\"malformed\":%lu,\"refused\":%lu}\n", counts[0], counts[1], counts[2], counts[6]);
  return 0;
}
