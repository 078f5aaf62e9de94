/*
 * The first process of the guest that shows whether a machine works at all: says so on the console, and ends the machine.
 * No C library: a few hundred bytes that the kernel has in its memory at once.
 */
#include <linux/reboot.h>
#include <sys/syscall.h>

static const char said[] = "quiver: the machine works\n";

static long call(long number, long a, long b, long c, long d) {
  long result;
#if defined(__x86_64__)
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                                 x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  result = x0;
#else
#error "no system calls are known for this processor"
#endif
  return result;
}

__attribute__((noreturn)) void _start(void);
void _start(void) {
  call(SYS_write, 1, (long)said, sizeof said - 1, 0);
  for (;;)
    call(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0);
}
