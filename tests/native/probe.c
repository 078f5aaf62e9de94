/*
 * What the tests of ainit run inside an instance: small programs by the name of what they try. Static, so that they need
 * nothing of the instance's file system. Not part of the product.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int listen_on(const char *address, int port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  int is_v6 = strchr(address, ':') != NULL;
  int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  inet_pton(is_v6 ? AF_INET6 : AF_INET, address, is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr);
  int result = is_v6 ? bind(fd, (struct sockaddr *)&v6, sizeof v6) : bind(fd, (struct sockaddr *)&v4, sizeof v4);
  if (result < 0 || listen(fd, 64) < 0) {
    perror("listen");
    exit(1);
  }
  return fd;
}

/* serve ADDRESS PORT: answers every HTTP request on every connection with "hello". */
static int serve(const char *address, int port) {
  static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
  int listener = listen_on(address, port);
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || fork() != 0) {
      close(fd);
      continue;
    }
    char request[4096];
    while (read(fd, request, sizeof request) > 0 && write(fd, answer, sizeof answer - 1) > 0) continue;
    _exit(0);
  }
}

/* echo ADDRESS PORT: sends back what comes, to one connection after the other. */
static int echo(const char *address, int port) {
  static char bytes[65536];
  int listener = listen_on(address, port);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    for (ssize_t got = read(fd, bytes, sizeof bytes); got > 0; got = read(fd, bytes, sizeof bytes))
      for (ssize_t sent = 0; sent < got;) sent += write(fd, bytes + sent, (size_t)(got - sent));
    close(fd);
  }
}

/* connect ADDRESS PORT: prints what comes. */
static int connect_to(const char *address, int port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  int is_v6 = strchr(address, ':') != NULL;
  char bytes[4096];
  ssize_t got;
  int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  inet_pton(is_v6 ? AF_INET6 : AF_INET, address, is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr);
  int result = is_v6 ? connect(fd, (struct sockaddr *)&v6, sizeof v6) : connect(fd, (struct sockaddr *)&v4, sizeof v4);
  if (result < 0) return perror("connect"), 1;
  while ((got = read(fd, bytes, sizeof bytes)) > 0)
    if (write(1, bytes, (size_t)got) < 0) return 1;
  return 0;
}

/*
 * dial ADDRESS PORT [DEVICE]: prints `ok` or why not, within 2 s. With a device it is sent there whatever the routes say, as
 * everybody may ask for.
 */
static int dial(const char *address, int port, const char *device) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct timeval limit = {.tv_sec = 2};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  inet_pton(AF_INET, address, &to.sin_addr);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (device != NULL && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
    return perror("device"), 1;
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return perror("connect"), 1;
  puts("ok");
  return 0;
}

/* become ADDRESS: what of it is allowed: another address, another hardware address, frames of one's own. */
static int become(const char *address) {
  struct ifreq request = {.ifr_name = "eth0"};
  struct sockaddr_in wanted = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
  inet_pton(AF_INET, address, &wanted.sin_addr);
  memcpy(&request.ifr_addr, &wanted, sizeof wanted);
  if (ioctl(fd, SIOCSIFADDR, &request) == 0) puts("address");
  request.ifr_hwaddr.sa_family = 1;
  if (ioctl(fd, SIOCSIFHWADDR, &request) == 0) puts("mac");
  if (socket(AF_PACKET, SOCK_RAW, 0) >= 0) puts("frames");
  if (socket(AF_INET, SOCK_RAW, 1) >= 0) puts("packets");
  if (setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on) == 0) puts("transparent");
  /* Anybody may bind to an address that is not his; sending from it is another thing. */
  setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = wanted.sin_addr};
  to.sin_addr.s_addr ^= htonl(1);
  if (bind(fd, (struct sockaddr *)&wanted, sizeof wanted) == 0 && sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1)
    puts("sent");
  return 0;
}

static size_t read_hex(const char *text, uint8_t *out, size_t size) {
  size_t count = 0;
  for (unsigned byte; count < size && sscanf(text + 2 * count, "%2x", &byte) == 1; count++) out[count] = (uint8_t)byte;
  return count;
}

/*
 * ask ADDRESS PORT SENTINEL: sends each line of hexadecimal digits on stdin as a datagram, then the sentinel, and prints what
 * came before the sentinel's answer, which begins with the sentinel's own two bytes. A line for each, `-` for nothing.
 */
static int ask(const char *address, int port, const char *sentinel) {
  static char line[8192];
  static uint8_t last[512], query[4096], answer[4096];
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  inet_pton(AF_INET, address, &to.sin_addr);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return perror("connect"), 1;
  size_t last_length = read_hex(sentinel, last, sizeof last);
  while (fgets(line, sizeof line, stdin) != NULL) {
    int is_answered = 0;
    ssize_t got;
    if (send(fd, query, read_hex(line, query, sizeof query), 0) < 0) return perror("send"), 1;
    if (send(fd, last, last_length, 0) < 0) return perror("send"), 1;
    while ((got = recv(fd, answer, sizeof answer, 0)) >= 2 && memcmp(answer, last, 2) != 0) {
      for (ssize_t at = 0; at < got; at++) printf("%02x", answer[at]);
      is_answered = 1;
    }
    if (got < 0) return perror("recv"), 1;
    puts(is_answered ? "" : "-");
  }
  return 0;
}

static void tell(const char *name, long result) {
  const char *error = result < 0 ? strerrorname_np(errno) : "ok";
  printf("%s %s\n", name, error);
  fflush(stdout);
}

/* In a child, because the answer may be to be killed. */
static void tell_int80(void) {
#ifdef __x86_64__
  pid_t pid = fork();
  if (pid == 0) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  printf("int80 %s\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? "killed" : "ok");
#else
  printf("int80 killed\n");
#endif
}

static int syscalls(void) {
  static const struct {
    const char *name;
    long number;
  } plain[] = {{"io_uring_setup", 425},
               {"io_uring_enter", 426},
               {"io_uring_register", 427},
               {"keyctl", SYS_keyctl},
               {"add_key", SYS_add_key},
               {"request_key", SYS_request_key},
               {"unshare", SYS_unshare},
               {"setns", SYS_setns},
               {"mount", SYS_mount},
               {"umount2", SYS_umount2},
               {"fsopen", 430},
               {"open_tree", 428},
               {"move_mount", 429},
               {"pivot_root", SYS_pivot_root},
               {"chroot", SYS_chroot},
               {"bpf", SYS_bpf},
               {"perf_event_open", SYS_perf_event_open},
               {"ptrace", SYS_ptrace},
               {"process_vm_readv", SYS_process_vm_readv},
               {"process_vm_writev", SYS_process_vm_writev},
               {"kexec_load", SYS_kexec_load},
               {"init_module", SYS_init_module},
               {"finit_module", SYS_finit_module},
               {"delete_module", SYS_delete_module},
               {"userfaultfd", SYS_userfaultfd},
               {"open_by_handle_at", SYS_open_by_handle_at},
               {"name_to_handle_at", SYS_name_to_handle_at},
               {"reboot", SYS_reboot},
               {"swapon", SYS_swapon},
               {"swapoff", SYS_swapoff},
               {"syslog", SYS_syslog},
               {"quotactl", SYS_quotactl},
               {"acct", SYS_acct},
               {"settimeofday", SYS_settimeofday},
               {"clock_settime", SYS_clock_settime},
               {"clock_adjtime", SYS_clock_adjtime},
               {"fanotify_init", SYS_fanotify_init},
               {"kcmp", SYS_kcmp},
               {"pidfd_getfd", 438},
               {"lookup_dcookie", SYS_lookup_dcookie},
               {"nfsservctl", SYS_nfsservctl},
               {"vhangup", SYS_vhangup},
#ifdef __x86_64__
               {"iopl", SYS_iopl},
               {"ioperm", SYS_ioperm},
               {"modify_ldt", SYS_modify_ldt},
               {"uselib", SYS_uselib},
#endif
               {"sethostname", SYS_sethostname}};
  for (size_t at = 0; at < sizeof plain / sizeof *plain; at++)
    tell(plain[at].name, syscall(plain[at].number, -1L, 0L, 0L, 0L, 0L, 0L));
  tell("clone3", syscall(435, NULL, 0));
  tell("unknown", syscall(999));
  tell("clone-newuser", syscall(SYS_clone, (long)(CLONE_NEWUSER | SIGCHLD), 0, 0, 0, 0));
  tell("socket-vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
  tell("socket-packet", socket(AF_PACKET, SOCK_RAW, 0));
  tell("socket-alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
  tell("socket-sctp", socket(AF_INET, SOCK_STREAM, 132));
  tell("socket-netfilter", socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
  tell("socket-route", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
  tell("socket-tcp", socket(AF_INET6, SOCK_STREAM, 0));
  tell("socket-unix", socket(AF_UNIX, SOCK_DGRAM, 0));
  tell("ioctl-tiocsti", ioctl(0, TIOCSTI, "x"));
  tell("ioctl-tiocsti-high-bits", syscall(SYS_ioctl, 0, 0x100000000L | TIOCSTI, "x"));
  tell("personality-query", personality(0xffffffff));
  tell("personality-norandomize", personality(ADDR_NO_RANDOMIZE));
  tell_int80();
  return 0;
}

static int try_open(const char *path, int flags) {
  int fd = open(path, flags);
  tell(path, fd);
  return fd;
}

/* pid1: what a task may see of PID 1. */
static int pid1(void) {
  try_open("/proc/1/mem", O_RDONLY);
  try_open("/proc/1/fd", O_RDONLY | O_DIRECTORY);
  try_open("/proc/1/environ", O_RDONLY);
  try_open("/proc/1/fd/3", O_RDONLY);
  tell("kill-pid1", kill(1, SIGKILL));
  for (int fd = 3; fd < 64; fd++)
    if (fcntl(fd, F_GETFD) >= 0) printf("descriptor %d is open\n", fd);
  return 0;
}

/* nodes: devices of its own, in a folder that it may write. */
static int make_nodes(void) {
  tell("mknod-character", mknod("/tmp/kmem", S_IFCHR | 0600, makedev(1, 2)));
  tell("mknod-block", mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0)));
  return 0;
}

/* flood BYTES: numbered lines of 64 bytes. */
static int flood(long bytes) {
  for (long line = 0; line * 64 < bytes; line++) printf("%063ld\n", line);
  return 0;
}

static int core(void) {
  struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_CORE, &all);
  abort();
}

/* say TEXT: a line, then nothing more. */
static int say(const char *text) {
  puts(text);
  fflush(stdout);
  return pause();
}

int main(int argc, char **argv) {
  const char *name = argc < 2 ? "" : argv[1];
  if (strcmp(name, "serve") == 0 && argc == 4) return serve(argv[2], atoi(argv[3]));
  if (strcmp(name, "echo") == 0 && argc == 4) return echo(argv[2], atoi(argv[3]));
  if (strcmp(name, "connect") == 0 && argc == 4) return connect_to(argv[2], atoi(argv[3]));
  if (strcmp(name, "dial") == 0 && argc >= 4) return dial(argv[2], atoi(argv[3]), argv[4]);
  if (strcmp(name, "become") == 0 && argc == 3) return become(argv[2]);
  if (strcmp(name, "ask") == 0 && argc == 5) return ask(argv[2], atoi(argv[3]), argv[4]);
  if (strcmp(name, "syscalls") == 0) return syscalls();
  if (strcmp(name, "pid1") == 0) return pid1();
  if (strcmp(name, "flood") == 0 && argc == 3) return flood(atol(argv[2]));
  if (strcmp(name, "nodes") == 0) return make_nodes();
  if (strcmp(name, "core") == 0) return core();
  if (strcmp(name, "say") == 0 && argc == 3) return say(argv[2]);
  if (strcmp(name, "pause") == 0) return pause();
  return 64;
}
