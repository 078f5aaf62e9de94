/* The log of an instance: framed records in `log`, the older half in `log.1`, both in the folder given. */
#ifndef AINIT_LOG_H
#define AINIT_LOG_H

#include <stddef.h>
#include <stdint.h>

enum { LOG_STDOUT = 1, LOG_STDERR = 2, LOG_REMARK = 3 };

#define LOG_BYTES_MIN 4096ull
#define LOG_BYTES_DEFAULT (16ull << 20)

/* `folder` is -1 when nothing is to be logged. `bytes_max` counts both files. */
void log_open(int folder, uint64_t bytes_max);

/* Everything goes to `sink` instead of files. */
void log_open_sink(void (*sink)(uint8_t stream, const void *bytes, size_t length));

/* Never fails: what cannot be written is counted, and a remark says so once writing works again. */
void log_write(uint8_t stream, const void *bytes, size_t length);

/* Writes a line of ainit's own. */
__attribute__((format(printf, 1, 2))) void log_remark(const char *format, ...);

#endif
