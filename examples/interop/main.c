/* Imports functions of other tasks as if they were linked in. Each call runs in an instance and a memory of its own. */
#include <stdio.h>

#include "quiver.h"

#define TASK_IMPORT(task, name) __attribute__((import_module(task), import_name(name)))

/* In C: ./words. It gets a copy of the buffer. */
TASK_IMPORT("interop-words", "count") int32_t count_words(quiver_handle_t text);
/* In Rust: ./primes */
TASK_IMPORT("interop-primes", "nth") int32_t nth_prime(int32_t n);

QUIVER_EXPORT("handle") int32_t handle(void) {
  char line[80];
  int32_t words = count_words(quiver_buffer_input());
  int length = snprintf(line, sizeof line, "%d words, and prime number %d is %d\n", words, words, nth_prime(words));
  quiver_buffer_write(quiver_buffer_output(), line, (size_t)length);
  return 200;
}
