/* What a virtual machine writes to its console: kernel messages, mostly. Its rate is bounded, because anybody inside may write. */
#ifndef AINIT_CONSOLE_H
#define AINIT_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

/* Into the log, as far as the rate allows; a remark says what was left out. */
void console_take(const uint8_t *bytes, size_t length);

/* The last line that is not empty, or that of a panic; without control characters, "" when there is none. */
const char *console_last_line(void);

#endif
