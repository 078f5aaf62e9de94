/* A guest of the older interface, with the declarations that such guests carry with them. */
#include <stdint.h>

#define WASM_IMPORT(MODULE, NAME) __attribute__((import_module(MODULE))) __attribute__((import_name(NAME)))
#define WASM_EXPORT extern __attribute__((used)) __attribute__((visibility("default")))

WASM_IMPORT("my-own-cluster", "test") void test();
WASM_IMPORT("my-own-cluster", "print_debug") uint32_t print_debug(const void *buffer, int length);
WASM_IMPORT("my-own-cluster", "register_buffer") uint32_t register_buffer(const void *buffer, int length);
WASM_IMPORT("my-own-cluster", "get_buffer_size") uint32_t get_buffer_size(int buffer);
WASM_IMPORT("my-own-cluster", "get_buffer") uint32_t get_buffer(int id, void *buffer, int length);
WASM_IMPORT("my-own-cluster", "write_buffer") uint32_t write_buffer(int id, const void *buffer, int length);
WASM_IMPORT("my-own-cluster", "write_buffer_header")
uint32_t write_buffer_header(int id, const void *name, int name_length, const void *value, int value_length);
WASM_IMPORT("my-own-cluster", "free_buffer") int32_t free_buffer(int id);
WASM_IMPORT("my-own-cluster", "get_input_buffer_id") uint32_t get_input_buffer_id();
WASM_IMPORT("my-own-cluster", "get_output_buffer_id") uint32_t get_output_buffer_id();
WASM_IMPORT("my-own-cluster", "get_url") uint32_t get_url(const char *url, int length);

static char body[4096];

WASM_EXPORT uint32_t _start(int a, int b) {
  test();
  char text[] = "hello", copy[10];
  int id = (int)register_buffer(text, 5);
  if (get_buffer_size(id) != 5 || get_buffer(id, copy, 5) != 5) return 100;
  for (int i = 0; i < 5; i++)
    if (text[i] != copy[i]) return 101;
  free_buffer(id);

  int size = (int)get_buffer_size((int)get_input_buffer_id());
  if (size > (int)sizeof body || (int)get_buffer((int)get_input_buffer_id(), body, size) != size) return 102;
  for (int i = 0, j = size - 1; i < j; i++, j--) {
    char swapped = body[i];
    body[i] = body[j];
    body[j] = swapped;
  }
  int output = (int)get_output_buffer_id();
  write_buffer(output, body, size);
  write_buffer_header(output, "content-type", 12, "text/plain", 10);

  int page = (int)get_url("http://page.example/", 20);
  if (page == 0xffff) return 103;
  int length = (int)get_buffer_size(page);
  get_buffer(page, body, length);
  write_buffer(output, body, length);
  print_debug("done", 4);
  return 200 + a + b;
}
