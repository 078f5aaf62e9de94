/*
 * Where the output of the processes goes when FILE names a log (supervise.h). They write into a pipe, and supervise into
 * the file: only who holds the one descriptor of a file can begin a new one without losing a line of the others.
 */
#define _GNU_SOURCE
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES 65536
/* A process that never stops writing must not keep the others waiting for a restart. */
#define CHUNKS_MAX 16

static const char *path;
static unsigned long long bytes_max;
static int file = -1;
static unsigned long long file_bytes;
static int reader = -1;

static int open_file(void) {
  struct stat status;
  file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (file < 0) return -1;
  file = descriptor_move_up(file);
  file_bytes = fstat(file, &status) == 0 ? (unsigned long long)status.st_size : 0;
  return 0;
}

int output_open(struct plan *plan, struct problem *problem) {
  int ends[2];
  if (plan->log == NULL) return 0;
  path = plan->log;
  bytes_max = plan->log_bytes;
  if (open_file() != 0)
    return problem_set(problem, STATUS_SYSTEM, "", "cannot open %s: %s", path, strerror(errno));
  if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
    return problem_set(problem, STATUS_SYSTEM, "", "cannot make a pipe: %s", strerror(errno));
  reader = descriptor_move_up(ends[0]);
  plan->output = descriptor_move_up(ends[1]);
  return 0;
}

int output_reader(void) {
  return reader;
}

static void rotate(void) {
  char older[PATH_MAX];
  snprintf(older, sizeof older, "%s.1", path);
  if (rename(path, older) != 0 && errno != ENOENT) return;
  close(file);
  file = -1;
}

/* What a full disk does not take is lost: no process may wait for it. */
static void append(const char *bytes, size_t length) {
  if (file < 0 && open_file() != 0) return;
  ssize_t written = write(file, bytes, length);
  if (written > 0) file_bytes += (unsigned long long)written;
}

void output_write(const char *bytes, size_t length) {
  size_t kept = 0;
  if (file_bytes > 0 && file_bytes + length > bytes_max) {
    /* The line that is under way is ended in the file where it began. */
    const char *end = memchr(bytes, '\n', length);
    kept = end == NULL ? 0 : (size_t)(end - bytes) + 1;
    if (kept > 0) append(bytes, kept);
    rotate();
  }
  if (kept < length) append(bytes + kept, length - kept);
}

void output_take(void) {
  static char chunk[CHUNK_BYTES];
  for (int i = 0; i < CHUNKS_MAX; i++) {
    ssize_t length = reader < 0 ? 0 : read(reader, chunk, sizeof chunk);
    if (length <= 0) return;
    output_write(chunk, (size_t)length);
  }
}
