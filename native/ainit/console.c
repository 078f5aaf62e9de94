/* The console (console.h): a bucket of bytes that fills steadily, and the last line for whoever asks why it ended. */
#include "console.h"

#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "loop.h"

#define BYTES_PER_SECOND 16384u
#define BYTES_AT_ONCE_MAX (256u * 1024)
#define LINE_BYTES_MAX 160
/* What a kernel says after this explains nothing. */
#define PANIC "Kernel panic"

static uint64_t room = BYTES_AT_ONCE_MAX;
static uint64_t filled_ns, dropped;
static char line[LINE_BYTES_MAX + 1], last[LINE_BYTES_MAX + 1];
static size_t line_length;

const char *console_last_line(void) {
  line[line_length] = '\0';
  return line_length > 0 && strstr(last, PANIC) == NULL ? line : last;
}

static void refill(void) {
  uint64_t now = now_ns();
  if (filled_ns == 0) filled_ns = now;
  uint64_t more = (now - filled_ns) / NS_PER_MS * BYTES_PER_SECOND / 1000;
  if (more == 0) return;
  filled_ns = now;
  room = room + more < BYTES_AT_ONCE_MAX ? room + more : BYTES_AT_ONCE_MAX;
}

/* A line of the log, or a byte count that grows. */
static void log_line(void) {
  refill();
  if (line_length + 1 > room) {
    dropped += line_length + 1;
    return;
  }
  if (dropped > 0) log_remark("%" PRIu64 " bytes of the console were dropped here", dropped);
  dropped = 0;
  room -= line_length + 1;
  log_remark("%s", line);
}

static void end_line(void) {
  line[line_length] = '\0';
  if (strstr(last, PANIC) == NULL) memcpy(last, line, sizeof last);
  log_line();
  line_length = 0;
}

/* A carriage return does not end a line: consoles send one before each newline. */
void console_take(const uint8_t *bytes, size_t length) {
  for (size_t at = 0; at < length; at++) {
    if (line_length > 0 && (bytes[at] == '\n' || line_length == LINE_BYTES_MAX)) end_line();
    if (bytes[at] >= ' ' && bytes[at] < 127) line[line_length++] = (char)bytes[at];
  }
}
