/* Names and the files that say them (guest_identity.h). */
#define _GNU_SOURCE
#include "guest_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* What has no record is random. */
static const struct {
  const char *path;
  const char *file;
  const char *record;
} files[] = {
    {"/etc/hosts", "hosts", "hosts"},
    {"/etc/resolv.conf", "resolv.conf", "resolv"},
    {"/etc/passwd", "passwd", "passwd"},
    {"/etc/group", "group", "group"},
    {"/etc/hostname", "hostname", "hostname"},
    {"/etc/machine-id", "machine-id", NULL},
    {"/proc/sys/kernel/random/boot_id", "boot_id", NULL},
};

#define FILE_COUNT (sizeof files / sizeof *files)

static int folder = -1;

const char *identity_path(size_t index) {
  return index < FILE_COUNT ? files[index].path : NULL;
}

const char *identity_file(size_t index) {
  return files[index].file;
}

int identity_is_of_tree(size_t index) {
  return strncmp(files[index].path, "/etc/", 5) == 0;
}

int identity_has(const struct spec *spec, size_t index) {
  return files[index].record == NULL || spec_get(spec, files[index].record) != NULL;
}

int identity_open(const char *path) {
  folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return folder < 0 ? -1 : 0;
}

/* In place: it is mounted elsewhere. */
static int write_file(const char *name, const char *text, const char *more) {
  int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return -1;
  int result = dprintf(fd, "%s%s", text, more) < 0 ? -1 : 0;
  close(fd);
  return result;
}

/* A version 4 UUID (RFC 9562), with or without its dashes. */
static void write_random(char text[40], int has_dashes) {
  uint8_t bytes[16] = {0};
  char *to = text;
  if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) < 0) memset(bytes, 0, sizeof bytes); /* without a seed, in a test kernel */
  bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
  bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
  for (size_t at = 0; at < sizeof bytes; at++) {
    if (has_dashes && (at == 4 || at == 6 || at == 8 || at == 10)) *to++ = '-';
    to += sprintf(to, "%02x", bytes[at]);
  }
}

int identity_write(const struct spec *spec) {
  const char *name = spec_get(spec, "hostname");
  if (name != NULL && sethostname(name, strlen(name)) < 0) return -1;
  for (size_t at = 0; at < FILE_COUNT; at++) {
    char random[40];
    const char *text = random;
    if (files[at].record != NULL) text = spec_get(spec, files[at].record);
    else write_random(random, files[at].path[1] == 'p');
    if (text != NULL && write_file(files[at].file, text, files[at].record == NULL || text == name ? "\n" : "") < 0) return -1;
  }
  return 0;
}
