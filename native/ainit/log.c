/* The log of an instance (log.h). No fsync: a log is not state, and a crash of the machine ends the instance anyway. */
#define _GNU_SOURCE
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RECORD_HEADER_BYTES 13

static void (*sink)(uint8_t stream, const void *bytes, size_t length);
static int folder = -1;
static int file = -1;
static uint64_t file_bytes;
static uint64_t file_bytes_max;
static uint64_t lost_bytes;
static int lost_errno;

static void open_file(void) {
  struct stat status;
  file = openat(folder, "log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  file_bytes = file >= 0 && fstat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
}

void log_open(int out_folder, uint64_t bytes_max) {
  folder = out_folder;
  file_bytes_max = bytes_max / 2;
  if (folder >= 0) open_file();
}

void log_open_sink(void (*log_sink)(uint8_t stream, const void *bytes, size_t length)) {
  sink = log_sink;
}

static void rotate(void) {
  if (file >= 0) close(file);
  renameat(folder, "log", folder, "log.1");
  open_file();
}

static void write_header(uint8_t header[RECORD_HEADER_BYTES], uint8_t stream, uint32_t length) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t at_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  memcpy(header, &at_ns, sizeof at_ns);
  header[8] = stream;
  memcpy(header + 9, &length, sizeof length);
}

/* One whole record or nothing. 0, or -1 with errno. */
static int append(uint8_t stream, const void *bytes, size_t length) {
  uint8_t header[RECORD_HEADER_BYTES];
  size_t total = sizeof header + length;
  if (file_bytes > 0 && file_bytes + total > file_bytes_max) rotate();
  if (file < 0) open_file();
  if (file < 0) return -1;
  write_header(header, stream, (uint32_t)length);
  struct iovec parts[] = {{header, sizeof header}, {(void *)(uintptr_t)bytes, length}};
  ssize_t written = writev(file, parts, 2);
  if (written == (ssize_t)total) {
    file_bytes += total;
    return 0;
  }
  int saved = written < 0 ? errno : ENOSPC;
  /* A reader must never find half a record followed by another. */
  if (written > 0 && ftruncate(file, (off_t)file_bytes) < 0) file_bytes += (uint64_t)written;
  errno = saved;
  return -1;
}

static void lose(size_t length) {
  lost_errno = errno;
  lost_bytes += length;
}

static int tell_loss(void) {
  char text[160];
  int length = snprintf(text, sizeof text, "%" PRIu64 " bytes of output could not be written: %s\n", lost_bytes,
                        strerror(lost_errno));
  return append(LOG_REMARK, text, (size_t)length);
}

/* After a loss the remark goes first, and goes again when what follows does not fit: one loss, one remark. */
static int append_after_loss(uint8_t stream, const void *bytes, size_t length) {
  uint64_t before = file_bytes;
  if (tell_loss() < 0) return -1;
  uint64_t told = file_bytes;
  if (append(stream, bytes, length) == 0) {
    lost_bytes = 0;
    return 0;
  }
  int saved = errno;
  int is_same_file = told > before && file_bytes == told;
  if (is_same_file && ftruncate(file, (off_t)before) == 0)
    file_bytes = before;
  else
    lost_bytes = 0;
  errno = saved;
  return -1;
}

void log_write(uint8_t stream, const void *bytes, size_t length) {
  if (sink != NULL) sink(stream, bytes, length);
  if (folder < 0) return;
  size_t record_max = file_bytes_max > RECORD_HEADER_BYTES ? file_bytes_max - RECORD_HEADER_BYTES : 0;
  if (record_max > 65536) record_max = 65536;
  for (size_t at = 0; at < length;) {
    size_t part = length - at < record_max ? length - at : record_max;
    if (part == 0) return;
    const char *from = (const char *)bytes + at;
    int result = lost_bytes == 0 ? append(stream, from, part) : append_after_loss(stream, from, part);
    if (result < 0) lose(part);
    at += part;
  }
}

void log_remark(const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text - 1, format, arguments);
  va_end(arguments);
  if (length < 0) return;
  if (length > (int)sizeof text - 2) length = (int)sizeof text - 2;
  text[length++] = '\n';
  log_write(LOG_REMARK, text, (size_t)length);
}
