/* DNS messages (dns_message.h). Only the header and the first question are looked at, each length before it is used. */
#define _GNU_SOURCE
#include "dns_message.h"

#include <string.h>

#define HEADER_BYTES 12
#define LABEL_BYTES_MAX 63
#define CLASS_IN 1

/* The third byte of a message: answer, operation (four bits), authoritative, cut off, recursion wanted. */
#define IS_ANSWER 0x80
#define OPERATION 0x78
#define IS_AUTHORITATIVE 0x04
#define IS_CUT_OFF 0x02
#define IS_RECURSION_WANTED 0x01
/* The fourth one. */
#define IS_RECURSION_THERE 0x80

static uint16_t read_u16(const uint8_t *bytes) {
  return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* The letter of a host name in lower case, or 0. */
static char host_letter(uint8_t byte) {
  if (byte >= 'A' && byte <= 'Z') return (char)(byte - 'A' + 'a');
  int is_letter = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
  return is_letter ? (char)byte : '\0';
}

/*
 * Reads the name at `at`. The offset behind it, or 0 when it is cut off, too long or compressed: a first question has
 * nothing before it that it could point to, so that there are no loops to be followed.
 */
static size_t read_name(const uint8_t *bytes, size_t length, size_t at, struct dns_question *out) {
  size_t used = 0;
  int is_host = 1;
  while (at < length && bytes[at] != 0) {
    size_t label = bytes[at++];
    if (label > LABEL_BYTES_MAX || label > length - at || used + label + 1 > NAME_BYTES_MAX + 1) return 0;
    for (size_t end = at + label; at < end; at++) {
      char letter = host_letter(bytes[at]);
      is_host &= letter != '\0';
      out->name[used++] = letter;
    }
    out->name[used++] = '.';
  }
  if (at >= length) return 0;
  if (used > 0) used--; /* the final dot */
  out->name[is_host ? used : 0] = '\0';
  return at + 1;
}

int dns_read(const uint8_t *bytes, size_t length, struct dns_question *out) {
  *out = (struct dns_question){.length = HEADER_BYTES};
  if (length < HEADER_BYTES || (bytes[2] & IS_ANSWER) != 0) return -1;
  if ((bytes[2] & OPERATION) != 0) return DNS_NOT_IMPLEMENTED;
  /* What follows the question, such as the options of EDNS, changes nothing in what we say. */
  if (read_u16(bytes + 4) != 1 || (bytes[2] & IS_CUT_OFF) != 0) return DNS_FORMAT_ERROR;
  size_t at = read_name(bytes, length, HEADER_BYTES, out);
  if (at == 0 || length - at < 4) return DNS_FORMAT_ERROR;
  out->type = read_u16(bytes + at);
  out->length = at + 4;
  return read_u16(bytes + at + 2) == CLASS_IN ? DNS_NO_ERROR : DNS_REFUSED;
}

static void write_u32(uint8_t *bytes, uint32_t value) {
  for (int at = 0; at < 4; at++) bytes[at] = (uint8_t)(value >> (24 - 8 * at));
}

size_t dns_write(const uint8_t *query, const struct dns_question *question, int code, const struct dns_addresses *addresses,
                 uint8_t out[DNS_ANSWER_BYTES_MAX]) {
  size_t length = question->length;
  memcpy(out, query, length);
  memset(out + 4, 0, 8);
  out[2] = (uint8_t)(IS_ANSWER | IS_AUTHORITATIVE | (query[2] & (OPERATION | IS_RECURSION_WANTED)));
  /* glibc takes an empty answer without this for a referral, and asks the next server. */
  out[3] = (uint8_t)(IS_RECURSION_THERE | code);
  out[5] = length > HEADER_BYTES;
  out[7] = (uint8_t)addresses->count;
  for (size_t at = 0; at < addresses->count; at++) {
    static const uint8_t record[] = {0xc0, HEADER_BYTES, 0, DNS_TYPE_A, 0, CLASS_IN, 0, 0, 0, 0, 0, 4};
    memcpy(out + length, record, sizeof record);
    write_u32(out + length + 6, addresses->ttl_s);
    memcpy(out + length + sizeof record, &addresses->list[at].s_addr, 4);
    length += sizeof record + 4;
  }
  return length;
}
