/* The folder `out` (out.h). */
#define _GNU_SOURCE
#include "out.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "protocol.h"

int out_open(const struct spec *spec, int is_there, const char **bad) {
  unsigned long long log_bytes = LOG_BYTES_DEFAULT;
  const char *text = spec_get(spec, *bad = "log_bytes");
  if (text != NULL && parse_number(text, LOG_BYTES_MIN, 1ull << 50, &log_bytes) < 0) return -1;
  log_open(is_there ? FD_OUT : -1, log_bytes);
  return 0;
}

void out_write_exit(const char *line) {
  int file = openat(FD_OUT, "exit.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return;
  size_t length = strlen(line);
  int is_written = write(file, line, length) == (ssize_t)length;
  close(file);
  if (is_written) renameat(FD_OUT, "exit.new", FD_OUT, "exit");
}
