/* The console (console.h): a bucket of bytes that fills steadily, and the last line for whoever asks why it ended. */
#include "console.h"

#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "loop.h"

#define BYTES_PER_SECOND 16384u
#define BYTES_AT_ONCE_MAX (256u * 1024)
#define LINE_BYTES_MAX 160

static uint64_t room = BYTES_AT_ONCE_MAX;
static uint64_t filled_ns, dropped;
static char line[LINE_BYTES_MAX + 1], last[LINE_BYTES_MAX + 1];
static size_t line_length;

/* A carriage return does not end a line: consoles send one before each newline. */
static void read_lines(const uint8_t *bytes, size_t length) {
  for (size_t at = 0; at < length; at++) {
    if (bytes[at] == '\n' && line_length > 0) {
      line[line_length] = '\0';
      memcpy(last, line, sizeof last);
      line_length = 0;
    }
    if (bytes[at] >= ' ' && bytes[at] < 127 && line_length < LINE_BYTES_MAX) line[line_length++] = (char)bytes[at];
  }
}

const char *console_last_line(void) {
  line[line_length] = '\0';
  return line_length > 0 ? line : last;
}

static void refill(void) {
  uint64_t now = now_ns();
  if (filled_ns == 0) filled_ns = now;
  uint64_t more = (now - filled_ns) / NS_PER_MS * BYTES_PER_SECOND / 1000;
  if (more == 0) return;
  filled_ns = now;
  room = room + more < BYTES_AT_ONCE_MAX ? room + more : BYTES_AT_ONCE_MAX;
}

void console_take(const uint8_t *bytes, size_t length) {
  read_lines(bytes, length);
  refill();
  size_t kept = length < room ? length : (size_t)room;
  if (dropped > 0 && kept == length) {
    log_remark("%" PRIu64 " bytes of the console were dropped here", dropped);
    dropped = 0;
  }
  if (kept > 0) log_write(LOG_REMARK, bytes, kept);
  room -= kept;
  dropped += length - kept;
}
