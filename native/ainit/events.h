/* What has happened to the instance, kept so that whoever watches later hears it all. */
#ifndef AINIT_EVENTS_H
#define AINIT_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#define EVENT_BYTES_MAX 512
/* init, exec, error or exit, and the ports that were found listening (ports.c bounds them). */
#define EVENTS_MAX 160

/* Now, by the clock that `t=` of events is told in: CLOCK_MONOTONIC of the host. */
uint64_t event_now_ns(void);
/* Seconds since the epoch with milliseconds; the text is there until it is asked for again. */
const char *event_wall_time(void);
/* What is to be added to our own clock for that. */
void event_set_offset(int64_t offset_ns);

/* Keeps one line and sends it to every watching connection. Control characters become spaces. */
__attribute__((format(printf, 1, 2))) void event_emit(const char *format, ...);

/* The lines so far; NULL past the last. */
const char *event_at(size_t index);

#endif
