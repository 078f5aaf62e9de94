/* Events of the instance (events.h). */
#include "events.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control.h"
#include "loop.h"

static char lines[EVENTS_MAX][EVENT_BYTES_MAX];
static size_t count;
static int64_t offset_ns; /* 0 unless we have a kernel of our own */

uint64_t event_now_ns(void) {
  return now_ns() + (uint64_t)offset_ns;
}

const char *event_wall_time(void) {
  static char text[32];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(text, sizeof text, "%lld.%03ld", (long long)now.tv_sec, now.tv_nsec / 1000000);
  return text;
}

void event_set_offset(int64_t given_ns) {
  offset_ns = given_ns;
}

void event_emit(const char *format, ...) {
  if (count == EVENTS_MAX) return;
  char *line = lines[count];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, EVENT_BYTES_MAX, format, arguments);
  va_end(arguments);
  for (char *at = line; *at != '\0'; at++)
    if ((unsigned char)*at < ' ' || *at == 127) *at = ' ';
  count++;
  control_broadcast_event(line);
}

const char *event_at(size_t index) {
  return index < count ? lines[index] : NULL;
}
