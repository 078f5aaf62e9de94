/*
 * DNS messages (RFC 1035), as far as a responder needs them that has one kind of answer. Untrusted: the task writes what is
 * read here. Pure: knows bytes, no sockets and no names.
 */
#ifndef AINIT_DNS_MESSAGE_H
#define AINIT_DNS_MESSAGE_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "relay.h"

/* So many addresses that no answer has more than the 512 bytes that everybody takes: none is cut off, and nobody needs TCP. */
#define DNS_ADDRESSES_MAX 12
#define DNS_ANSWER_BYTES_MAX (12 + 255 + 4 + DNS_ADDRESSES_MAX * 16)

enum {
  DNS_TYPE_A = 1,
  DNS_TYPE_ANY = 255,
};

enum {
  DNS_NO_ERROR = 0,
  DNS_FORMAT_ERROR = 1,
  DNS_SERVER_FAILURE = 2,
  DNS_NAME_UNKNOWN = 3,
  DNS_NOT_IMPLEMENTED = 4,
  DNS_REFUSED = 5,
};

struct dns_question {
  /* In lower case, without the final dot; empty when it is no host name: of other bytes than letters, digits, `-` and `_`. */
  char name[NAME_BYTES_MAX + 1];
  uint16_t type;
  /* Header and question together, which an answer repeats; the header alone when the question could not be read. */
  size_t length;
};

/* DNS_NO_ERROR; another code, with which to answer; or -1 for what deserves no answer: it is too short, or one itself. */
int dns_read(const uint8_t *bytes, size_t length, struct dns_question *out);

/* What there is to say about a name. */
struct dns_addresses {
  struct in_addr list[DNS_ADDRESSES_MAX];
  size_t count;
  uint32_t ttl_s;
};

/* The answer to `query`, as `dns_read` took it, with one A record for each address. Its length. */
size_t dns_write(const uint8_t *query, const struct dns_question *question, int code, const struct dns_addresses *addresses,
                 uint8_t out[DNS_ANSWER_BYTES_MAX]);

#endif
