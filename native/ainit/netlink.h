/* Requests to the kernel's network configuration (rtnetlink(7)), one at a time, each answered. */
#ifndef AINIT_NETLINK_H
#define AINIT_NETLINK_H

#include <stddef.h>
#include <stdint.h>

#define REQUEST_BYTES_MAX 1024

struct request {
  union {
    uint64_t alignment;
    uint8_t bytes[REQUEST_BYTES_MAX];
  } as;
};

/* Begins a request with its body, `body_length` bytes of `body`. */
void request_begin(struct request *request, uint16_t type, uint16_t flags, const void *body, size_t body_length);

/* Adds an attribute. What does not fit is a bug, and ends the process. */
void request_add(struct request *request, uint16_t type, const void *value, size_t length);
void request_add_text(struct request *request, uint16_t type, const char *text);
void request_add_u8(struct request *request, uint16_t type, uint8_t value);
void request_add_u32(struct request *request, uint16_t type, uint32_t value);

/* Begins an attribute that holds others, with `length` bytes of its own before them; `request_close` ends it. */
size_t request_open(struct request *request, uint16_t type, const void *value, size_t length);
void request_close(struct request *request, size_t opened);

/* Sends it to the network namespace that this process is in, and waits for the answer. 0, or -1 with errno. */
int request_send(const struct request *request);

#endif
