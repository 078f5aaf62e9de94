/*
 * What code calls that clang 14 compiled with `-mllvm -wasm-enable-sjlj`. Each function that calls setjmp keeps a table of
 * its calls: which buffer got which id, and where to go on. longjmp throws; who catches looks the id up in its own table.
 */
#include <stdint.h>
#include <stdlib.h>

struct call {
  uintptr_t id; /* 0: the end of the table. */
  uint32_t label;
};

static uint32_t second_result;

void setTempRet0(uint32_t value) { second_result = value; }
uint32_t getTempRet0(void) { return second_result; }

/* Notes a call in the table, which has room for `size` and an end. Returns the table; its size is the second result. */
struct call *saveSetjmp(uintptr_t *buffer, uint32_t label, struct call *table, uint32_t size) {
  static uintptr_t last_id;
  uint32_t count = 0;
  while (count < size && table[count].id != 0) count++;
  if (count == size) {
    size *= 2;
    table = realloc(table, sizeof *table * (size + 1));
    if (table == NULL) abort();
  }
  *buffer = ++last_id;
  table[count] = (struct call){last_id, label};
  table[count + 1].id = 0;
  setTempRet0(size);
  return table;
}

/* Where to go on after a longjmp with this id; 0: it is for a caller. */
uint32_t testSetjmp(uintptr_t id, const struct call *table, uint32_t size) {
  for (uint32_t i = 0; i < size && table[i].id != 0; i++)
    if (table[i].id == id) return table[i].label;
  return 0;
}

void __wasm_longjmp(void *buffer, int value) {
  static struct {
    void *buffer;
    int value;
  } thrown;
  thrown.buffer = buffer;
  thrown.value = value == 0 ? 1 : value;
  __builtin_wasm_throw(1, &thrown); /* 1: the tag of C, 0 is that of C++. */
}
