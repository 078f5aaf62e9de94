/* The reader of records (spec.h). Untrusted in `spec_parse`: every length is checked, nothing is assumed to be text. */
#define _GNU_SOURCE
#include "spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Splits `spec->bytes`. `*is_ended` tells whether the end marker was met. */
static int split(struct spec *spec, int *is_ended) {
  char *at = spec->bytes;
  char *end = spec->bytes + spec->length;
  *is_ended = 0;
  while (at < end) {
    char *stop = memchr(at, '\0', (size_t)(end - at));
    if (stop == NULL) break;
    if (stop == at) {
      *is_ended = 1;
      if (stop + 1 == end) return 0;
      errno = EINVAL;
      return -1;
    }
    char *equals = memchr(at, '=', (size_t)(stop - at));
    if (equals == NULL || equals == at) {
      errno = EINVAL;
      return -1;
    }
    if (spec->count == SPEC_PAIRS_MAX) {
      errno = E2BIG;
      return -1;
    }
    *equals = '\0';
    spec->pairs[spec->count++] = (struct pair){.key = at, .value = equals + 1};
    at = stop + 1;
  }
  if (at == end) return 0;
  errno = EINVAL; /* a record without its NUL */
  return -1;
}

static size_t count_records(const char *bytes, size_t length) {
  size_t count = 0;
  for (size_t at = 0; at < length; at++) count += bytes[at] == '\0';
  return count < SPEC_PAIRS_MAX ? count : SPEC_PAIRS_MAX;
}

/* Takes ownership of `bytes`. */
static int adopt(char *bytes, size_t length, int is_end_required, struct spec *out) {
  int is_ended = 0;
  *out = (struct spec){.bytes = bytes, .length = length};
  out->pairs = calloc(count_records(bytes, length) + 1, sizeof *out->pairs);
  int result = out->pairs == NULL ? -1 : split(out, &is_ended);
  if (result == 0 && is_end_required && !is_ended) {
    errno = ENODATA;
    result = -1;
  }
  if (result == 0) return 0;
  int saved = errno;
  spec_free(out);
  errno = saved;
  return -1;
}

static int has_end_marker(const char *bytes, size_t length) {
  if (length == 0 || bytes[length - 1] != '\0') return 0;
  return length == 1 || bytes[length - 2] == '\0';
}

int spec_read(int fd, struct spec *out) {
  size_t length = 0;
  char *bytes = malloc(SPEC_BYTES_MAX + 1);
  if (bytes == NULL) return -1;
  while (!has_end_marker(bytes, length)) {
    ssize_t got = read(fd, bytes + length, SPEC_BYTES_MAX + 1 - length);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) break;
    if (got > 0) length += (size_t)got;
    if (got > 0 && length <= SPEC_BYTES_MAX) continue;
    int saved = got < 0 ? errno : E2BIG;
    explicit_bzero(bytes, length);
    free(bytes);
    errno = saved;
    return -1;
  }
  return adopt(bytes, length, 1, out);
}

int spec_parse(const void *bytes, size_t length, struct spec *out) {
  *out = (struct spec){0};
  if (length > SPEC_BYTES_MAX) {
    errno = E2BIG;
    return -1;
  }
  char *copy = malloc(length + 1);
  if (copy == NULL) return -1;
  memcpy(copy, bytes, length);
  return adopt(copy, length, 0, out);
}

void spec_free(struct spec *spec) {
  if (spec->bytes != NULL) explicit_bzero(spec->bytes, spec->length);
  free(spec->bytes);
  free(spec->pairs);
  *spec = (struct spec){0};
}

const char *spec_get(const struct spec *spec, const char *key) {
  for (size_t at = 0; at < spec->count; at++)
    if (strcmp(spec->pairs[at].key, key) == 0) return spec->pairs[at].value;
  return NULL;
}

size_t spec_count(const struct spec *spec, const char *key) {
  size_t count = 0;
  for (size_t at = 0; at < spec->count; at++) count += strcmp(spec->pairs[at].key, key) == 0;
  return count;
}

char **spec_vector(const struct spec *spec, const char *key) {
  char **vector = calloc(spec_count(spec, key) + 1, sizeof *vector);
  if (vector == NULL) return NULL;
  size_t used = 0;
  for (size_t at = 0; at < spec->count; at++)
    if (strcmp(spec->pairs[at].key, key) == 0) vector[used++] = (char *)(size_t)spec->pairs[at].value;
  return vector;
}

int parse_number(const char *text, unsigned long long min, unsigned long long max, unsigned long long *out) {
  unsigned long long value = 0;
  if (*text == '\0' || strlen(text) > 19) goto invalid;
  for (const char *at = text; *at != '\0'; at++) {
    if (*at < '0' || *at > '9') goto invalid;
    value = value * 10 + (unsigned long long)(*at - '0');
  }
  if (value < min || value > max) goto invalid;
  *out = value;
  return 0;
invalid:
  errno = EINVAL;
  return -1;
}
