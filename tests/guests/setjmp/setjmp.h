/* setjmp for a wasi-libc that has none: clang turns it into exceptions of WebAssembly, see setjmp.c. */
#ifndef SETJMP_H
#define SETJMP_H

typedef struct {
  unsigned long id;
} jmp_buf[1];

int setjmp(jmp_buf) __attribute__((returns_twice));
_Noreturn void longjmp(jmp_buf, int);

#endif
