/* Answers with the body in capitals, piece by piece. */
#include "quiver.h"

QUIVER_EXPORT("handle") int handle(void) {
  char piece[1024];
  quiver_handle_t input = quiver_buffer_input(), output = quiver_buffer_output();
  int32_t size = quiver_buffer_size(input);

  for (int32_t at = 0; at < size; at += (int32_t)sizeof piece) {
    int32_t left = quiver_buffer_read(input, (uint32_t)at, piece, sizeof piece);
    if (left < 0) return 500;
    int32_t count = left < (int32_t)sizeof piece ? left : (int32_t)sizeof piece;
    for (int32_t i = 0; i < count; i++)
      if (piece[i] >= 'a' && piece[i] <= 'z') piece[i] -= 'a' - 'A';
    quiver_buffer_write(output, piece, (size_t)count);
  }
  quiver_buffer_set_header(output, QUIVER_TEXT("content-type"), QUIVER_TEXT("text/plain"));
  return 200;
}
