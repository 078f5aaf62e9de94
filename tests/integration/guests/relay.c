/* Copies what a URL answers with to the output. Waits, so requests to it overlap. */
#include "quiver.h"

QUIVER_EXPORT("handle") int handle(void) {
  char url[256], copy[64];
  quiver_handle_t output = quiver_buffer_output();
  int32_t length = quiver_request_query(QUIVER_TEXT("url"), url, sizeof url);
  if (length < 0 || length > (int32_t)sizeof url) return 400;

  int32_t answer = quiver_http_fetch(QUIVER_TEXT("GET"), url, (size_t)length, 0);
  if (answer < 0) {
    quiver_log(QUIVER_WARN, QUIVER_TEXT("not reached"));
    return 502;
  }
  quiver_buffer_set_status(output, (uint32_t)quiver_buffer_status((quiver_handle_t)answer));
  int32_t size = quiver_buffer_read((quiver_handle_t)answer, 0, copy, sizeof copy);
  quiver_buffer_write(output, copy, (size_t)(size < (int32_t)sizeof copy ? size : (int32_t)sizeof copy));
  return 0;
}
