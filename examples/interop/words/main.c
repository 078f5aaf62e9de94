/* Without libc: a function that gets a buffer and returns a number. */
#include <stdbool.h>

#include "quiver.h"

QUIVER_EXPORT("count") int32_t count(quiver_handle_t text) {
  static char piece[4096];
  int32_t words = 0, size = quiver_buffer_size(text);
  bool is_inside = false;

  for (int32_t at = 0; at < size; at += (int32_t)sizeof piece) {
    int32_t left = quiver_buffer_read(text, (uint32_t)at, piece, sizeof piece);
    int32_t length = left < (int32_t)sizeof piece ? left : (int32_t)sizeof piece;
    for (int32_t i = 0; i < length; i++) {
      bool is_space = piece[i] == ' ' || (piece[i] >= '\t' && piece[i] <= '\r');
      words += !is_space && !is_inside;
      is_inside = !is_space;
    }
  }
  return words;
}
