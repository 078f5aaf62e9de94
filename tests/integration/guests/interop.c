/* Calls two other tasks as if they were linked in, one of them with a buffer. */
#include "quiver.h"

#define TASK_IMPORT(task, name) __attribute__((import_module(task), import_name(name)))

TASK_IMPORT("numbers", "multiply") int32_t multiply(int32_t a, int32_t b);
TASK_IMPORT("numbers", "square64") int64_t square64(int64_t a);
TASK_IMPORT("text-tools", "size_of") int32_t size_of(quiver_handle_t buffer);

QUIVER_EXPORT("process") int32_t process(int32_t a, int32_t b) {
  quiver_handle_t hello = quiver_buffer_create(QUIVER_TEXT("hello"));
  return size_of(hello) + multiply(a, b) + (int32_t)square64(3);
}
