/*
 * Records: how every specification reaches ainit. `key=value` ended by NUL; an empty record (a lone NUL) ends the list.
 * What the keys mean is decided by the readers (launch, init, supervise), not here.
 */
#ifndef AINIT_SPEC_H
#define AINIT_SPEC_H

#include <stddef.h>

#define SPEC_BYTES_MAX (256 * 1024)
#define SPEC_PAIRS_MAX 8192

struct pair {
  const char *key;   /* never empty */
  const char *value; /* may be empty */
};

/* The pairs in the order they were written. They point into `bytes`; `spec_free` releases both. */
struct spec {
  char *bytes;
  size_t length;
  struct pair *pairs;
  size_t count;
};

/*
 * Reads `fd` (pipe, socket or file) up to the end marker; blocks until it is there. 0, or -1 with errno: E2BIG past the
 * bounds above, EINVAL for a record without a key or bytes after the end marker, ENODATA when `fd` ends before the marker.
 */
int spec_read(int fd, struct spec *out);

/* Parses `length` bytes that are in memory already, which are copied. The end marker may be missing. Errors as above. */
int spec_parse(const void *bytes, size_t length, struct spec *out);

/* Forgets the pairs; their bytes are overwritten first, because they may hold secrets. */
void spec_free(struct spec *spec);

/* The first value of `key`, or NULL. */
const char *spec_get(const struct spec *spec, const char *key);

/* How often `key` is there. */
size_t spec_count(const struct spec *spec, const char *key);

/* A NULL-ended array of all values of `key`, in order, for execve: the array is allocated, the values are not. */
char **spec_vector(const struct spec *spec, const char *key);

/* A decimal number from `min` to `max` and nothing else. 0, or -1 with errno EINVAL. */
int parse_number(const char *text, unsigned long long min, unsigned long long max, unsigned long long *out);

#endif
