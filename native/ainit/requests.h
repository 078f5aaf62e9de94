/* What each frame of a control connection does. */
#ifndef AINIT_REQUESTS_H
#define AINIT_REQUESTS_H

#include <stddef.h>
#include <stdint.h>

#include "control.h"

enum handled {
  REQUEST_DONE,
  REQUEST_BLOCKED,   /* come again with the same frame when stdin takes more, or the lent program is there */
  REQUEST_MALFORMED, /* close the connection */
};

enum handled request_handle(struct connection *connection, uint8_t type, const uint8_t *payload, size_t length);

#endif
