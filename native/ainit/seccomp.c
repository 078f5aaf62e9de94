/*
 * The filter (seccomp.h), as a classic BPF program: architecture, the calls whose arguments matter, then the allowed numbers
 * as ascending ranges, and EPERM for the rest. Calls that are allowed by number alone are remembered by the kernel (Linux 5.11
 * and later), so the length of the program does not matter for them.
 */
#define _GNU_SOURCE
#include "seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "syscalls.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "no seccomp table for this architecture"
#endif

#define INSTRUCTIONS_MAX 1024

#define ALLOW SECCOMP_RET_ALLOW
#define KILL SECCOMP_RET_KILL_PROCESS
#define DENY(number) (SECCOMP_RET_ERRNO | (number))

/* Both architectures are little-endian: the low half of an argument comes first. */
#define ARGUMENT(index) (offsetof(struct seccomp_data, args) + 8u * (index))

#define NAMESPACES                                                                                                  \
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static struct sock_filter program[INSTRUCTIONS_MAX];
static unsigned short length;

/* A program that does not fit is our own mistake: it must not become a filter with its end cut off. */
static void emit(struct sock_filter instruction) {
  if (length == INSTRUCTIONS_MAX) abort();
  program[length++] = instruction;
}

static void load(uint32_t offset) {
  emit((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void end(uint32_t action) {
  emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* Ends with `action` when the loaded word compares so. */
static void end_if(uint16_t comparison, uint32_t value, uint32_t action) {
  emit((struct sock_filter)BPF_JUMP(BPF_JMP | comparison | BPF_K, value, 0, 1));
  end(action);
}

/* Begins the rules of one call; the instructions up to `end_rules` are skipped for any other. */
static unsigned short begin_rules(uint32_t number) {
  emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 0));
  return (unsigned short)(length - 1);
}

static void end_rules(unsigned short begun, uint32_t action) {
  end(action);
  program[begun].jf = (uint8_t)(length - begun - 1);
}

static void check_clone(void) {
  unsigned short rules = begin_rules(__NR_clone);
  load(ARGUMENT(0));
  end_if(BPF_JSET, NAMESPACES, DENY(EPERM));
  end_rules(rules, ALLOW);
  /* Its flags are in memory, where a filter cannot look. C libraries fall back to clone. */
  rules = begin_rules(__NR_clone3);
  end_rules(rules, DENY(ENOSYS));
}

/* TIOCSTI and TIOCLINUX type into a terminal, TIOCSETD loads line disciplines. */
static void check_ioctl(void) {
  unsigned short rules = begin_rules(__NR_ioctl);
  load(ARGUMENT(1));
  end_if(BPF_JEQ, TIOCSTI, DENY(EPERM));
  end_if(BPF_JEQ, TIOCLINUX, DENY(EPERM));
  end_if(BPF_JEQ, TIOCSETD, DENY(EPERM));
  end_rules(rules, ALLOW);
}

/* Asking (0xffffffff) and the plain one; others switch address randomisation off. */
static void check_personality(void) {
  unsigned short rules = begin_rules(__NR_personality);
  load(ARGUMENT(0));
  end_if(BPF_JEQ, 0, ALLOW);
  end_if(BPF_JEQ, 0xffffffffu, ALLOW);
  end_rules(rules, DENY(EPERM));
}

/* AF_INET and AF_INET6 with the usual protocols: others load kernel modules. MPTCP is what Go asks for first. */
static void check_socket(void) {
  static const uint32_t protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 262};
  const uint8_t to_netlink = 2 + 2 * sizeof protocols / sizeof *protocols;
  unsigned short rules = begin_rules(__NR_socket);
  load(ARGUMENT(0));
  end_if(BPF_JEQ, AF_UNIX, ALLOW);
  emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0));
  emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, to_netlink));
  load(ARGUMENT(2));
  for (size_t at = 0; at < sizeof protocols / sizeof *protocols; at++) end_if(BPF_JEQ, protocols[at], ALLOW);
  end(DENY(EPROTONOSUPPORT));
  emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3));
  load(ARGUMENT(2));
  end_if(BPF_JEQ, NETLINK_ROUTE, ALLOW);
  end_rules(rules, DENY(EAFNOSUPPORT));
  rules = begin_rules(__NR_socketpair);
  load(ARGUMENT(0));
  end_if(BPF_JEQ, AF_UNIX, ALLOW);
  end_rules(rules, DENY(EAFNOSUPPORT));
}

static int compare(const void *left, const void *right) {
  return *(const unsigned short *)left - *(const unsigned short *)right;
}

/* Each range of neighbouring numbers: below it nothing more is allowed, within it everything is. */
static void allow_ranges(void) {
  enum { COUNT = sizeof allowed_syscalls / sizeof *allowed_syscalls };
  unsigned short sorted[COUNT];
  for (size_t at = 0; at < COUNT; at++) sorted[at] = allowed_syscalls[at];
  qsort(sorted, COUNT, sizeof *sorted, compare);
  for (size_t first = 0; first < COUNT;) {
    size_t last = first;
    while (last + 1 < COUNT && sorted[last + 1] <= sorted[last] + 1) last++;
    emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, sorted[first], 1, 0));
    end(DENY(EPERM));
    emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, sorted[last], 1, 0));
    end(ALLOW);
    first = last + 1;
  }
}

void seccomp_prepare(int has_own_kernel) {
  load(offsetof(struct seccomp_data, arch));
  emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
  end(KILL);
  load(offsetof(struct seccomp_data, nr));
#ifdef X32_BIT
  end_if(BPF_JSET, X32_BIT, KILL);
#endif
  check_clone();
  check_ioctl();
  check_personality();
  check_socket();
  if (has_own_kernel) end_if(BPF_JEQ, __NR_syslog, ALLOW);
  end_if(BPF_JGT, SYSCALL_KNOWN_MAX, DENY(ENOSYS));
  allow_ranges();
  end(DENY(EPERM));
}

int seccomp_install(void) {
  struct sock_fprog filter = {.len = length, .filter = program};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}
