/* A command that reads stdin and answers through the host functions. What it prints is no CGI answer. */
#include <stdio.h>
#include <string.h>
#include "quiver.h"

int main(void) {
  char body[100];
  size_t count = fread(body, 1, sizeof body, stdin);
  quiver_handle_t output = quiver_buffer_output();
  puts("no header\n\nbut text");
  quiver_buffer_write(output, body, count);
  quiver_buffer_write(output, QUIVER_TEXT(" "));
  int32_t size = quiver_buffer_read(quiver_buffer_input(), 0, body, sizeof body);
  quiver_buffer_write(output, body, (size_t)size);
  return quiver_buffer_set_status(output, 201) == 0 ? 0 : 1;
}
