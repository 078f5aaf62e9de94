/*
 * `ainit launch` (launch.h): everything that needs the host's rights and paths is opened here, then the rights are dropped and
 * this process becomes bwrap. What happens inside is init.c's.
 */
#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge.h"
#include "network.h"
#include "protocol.h"
#include "spec.h"

#define SOCKET_PREFIX_BYTES_MAX 100
#define BACKLOG 512

extern char **environ;

/* Where descriptors live until they are put in place: above all places. */
#define FD_PARKED 64

/* What will be at FD_SPEC + index; -1: nothing. Index 0 is the specification. */
static int places[FD_END - FD_SPEC];

_Noreturn __attribute__((format(printf, 3, 4))) static void fail(const char *step, int number, const char *format, ...) {
  char about[256], line[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(about, sizeof about, format, arguments);
  va_end(arguments);
  for (char *at = about; *at != '\0'; at++)
    if ((unsigned char)*at < ' ') *at = ' ';
  int length = snprintf(line, sizeof line, "error step=%s errno=%d text=%s: %s\n", step, number, about, strerror(number));
  /* When the specification came through a pipe there is nobody to answer; stderr has it in any case. */
  if (send(FD_SPEC, line, (size_t)length, MSG_NOSIGNAL) < 0) errno = 0;
  fprintf(stderr, "ainit launch: %s", line);
  _exit(1);
}

static void place(int target, int fd, const char *step, const char *path) {
  if (fd < 0) fail(step, errno, "%s", path);
  int parked = fcntl(fd, F_DUPFD_CLOEXEC, FD_PARKED);
  if (parked < 0) fail(step, errno, "%s", path);
  close(fd);
  places[target - FD_SPEC] = parked;
}

static unsigned number_of(const struct spec *spec, const char *key) {
  unsigned long long number;
  if (parse_number(spec_get(spec, key), 0, 0xfffffffeu, &number) < 0) fail("spec", EINVAL, "%s is no number", key);
  return (unsigned)number;
}

static void check_keys(const struct spec *spec) {
  static const char *const known[] = {
      "id",    "dir",     "socket",  "stream_gid", "uid",    "gid",       "cgroup", "task_cgroup", "egress",
      "lend",  "bwrap",   "netns",   "arg",        "program", "env",      "workdir", "port",       "rlimit",
      "relay", "wildcard", "dns",    "token",      "hold",   "stdin",     "terminal", "copy",       "seccomp",
      "log_bytes", "bridge_port", "bridge", "switch", "mac", "address", "gateway", "names", "dns_others",
      "vmm", "vmm_program", "vmm_arg", "vmm_env", "wait_resume", "template", "hostname", "hosts", "resolv", "passwd", "group", "tmp_bytes",
      "mount", "pids", "core_bytes", "boot_ms", "clock_behind_s", "uid_inside", "gid_inside"};
  static const char *const needed[] = {"id", "dir", "socket", "bwrap", "program", "arg"};
  for (size_t at = 0; at < spec->count; at++) {
    size_t key = 0, end = sizeof known / sizeof *known;
    while (key < end && strcmp(spec->pairs[at].key, known[key]) != 0) key++;
    if (key == end) fail("spec", EINVAL, "unknown key %.64s", spec->pairs[at].key);
  }
  for (size_t at = 0; at < sizeof needed / sizeof *needed; at++)
    if (spec_get(spec, needed[at]) == NULL) fail("spec", EINVAL, "%s is missing", needed[at]);
  if (spec_count(spec, "task_cgroup") > CGROUPS_MAX) fail("spec", E2BIG, "task_cgroup");
}

static void take_lock(const char *folder) {
  int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) fail("dir", errno, "%s", folder);
  int lock = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0) fail("lock", errno, "%s is in use", folder);
  place(FD_LOCK, lock, "lock", folder);
  close(dir);
}

/*
 * Whoever asked for the instance may have been killed meanwhile. His successor finds what he began by its lock, so the question
 * comes after the lock: either he sees that we live, or we see that nobody waits for us any more.
 */
static void check_wanted(void) {
  struct pollfd channel = {.fd = FD_SPEC};
  struct stat status;
  if (fstat(FD_SPEC, &status) < 0 || !S_ISSOCK(status.st_mode)) return;
  if (poll(&channel, 1, 0) > 0 && (channel.revents & POLLHUP) != 0)
    fail("wanted", EPIPE, "whoever asked for the instance has gone");
}

static void make_out_folder(const struct spec *spec) {
  char path[4096];
  snprintf(path, sizeof path, "%s/out", spec_get(spec, "dir"));
  if (mkdir(path, 0700) < 0 && errno != EEXIST) fail("out", errno, "%s", path);
  int out = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (out < 0) fail("out", errno, "%s", path);
  uid_t uid = spec_get(spec, "uid") == NULL ? (uid_t)-1 : number_of(spec, "uid");
  gid_t gid = spec_get(spec, "gid") == NULL ? (gid_t)-1 : number_of(spec, "gid");
  if (fchown(out, uid, gid) < 0) fail("out", errno, "%s", path);
  place(FD_OUT, out, "out", path);
}

/*
 * The file to which a process without threads writes "0" to join. Moving a process takes a lock that waits for an RCU
 * grace period, about 10 ms; a thread that moves itself takes none. Version 1 offers that for any group, as `tasks`.
 */
static int open_join(const char *cgroup, const char *step) {
  char path[4096];
  snprintf(path, sizeof path, "%s/tasks", cgroup);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file >= 0) return file;
  snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
  file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) fail(step, errno, "%s", path);
  return file;
}

static void enter_cgroups(const struct spec *spec) {
  int target = FD_CGROUPS;
  for (size_t at = 0; at < spec->count; at++) {
    const char *key = spec->pairs[at].key, *value = spec->pairs[at].value;
    if (strcmp(key, "task_cgroup") == 0) place(target++, open_join(value, key), key, value);
    if (strcmp(key, "cgroup") != 0) continue;
    int file = open_join(value, key);
    if (write(file, "0", 1) < 0) fail(key, errno, "%s", value);
    close(file);
  }
}

static int listen_at(const char *path, int type, mode_t mode, gid_t gid) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  unlink(path); /* of an instance that is dead: we hold its lock */
  mode_t before = umask(0777);
  int result = fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&address, sizeof address);
  umask(before);
  if (result < 0 || listen(fd, BACKLOG) < 0) return -1;
  /* Reachable for others only once it belongs to the right group. */
  if (chown(path, (uid_t)-1, gid) < 0 || chmod(path, mode) < 0) return -1;
  return fd;
}

static void bind_sockets(const struct spec *spec) {
  char path[SOCKET_PREFIX_BYTES_MAX + 3];
  const char *prefix = spec_get(spec, "socket");
  int has_group = spec_get(spec, "stream_gid") != NULL;
  gid_t group = has_group ? number_of(spec, "stream_gid") : (gid_t)-1;
  if (strlen(prefix) > SOCKET_PREFIX_BYTES_MAX) fail("socket", ENAMETOOLONG, "%.128s", prefix);
  snprintf(path, sizeof path, "%s.c", prefix);
  place(FD_CONTROL, listen_at(path, SOCK_STREAM, 0600, (gid_t)-1), "socket", path);
  snprintf(path, sizeof path, "%s.p", prefix);
  place(FD_STREAMS, listen_at(path, SOCK_SEQPACKET, has_group ? 0660 : 0600, group), "socket", path);
  if (spec_get(spec, "vmm") == NULL) return;
  snprintf(path, sizeof path, "%s.q", prefix);
  place(FD_MONITOR, listen_at(path, SOCK_STREAM, 0600, (gid_t)-1), "socket", path);
}

/* A copy that nobody can change or find on a disk. */
static void seal_spec(const struct spec *spec) {
  int memory = memfd_create("ainit-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  FILE *file = memory < 0 ? NULL : fdopen(fcntl(memory, F_DUPFD_CLOEXEC, 0), "w");
  if (file == NULL) fail("memfd", errno, "the specification");
  for (size_t at = 0; at < spec->count; at++) {
    fputs(spec->pairs[at].key, file);
    fputc('=', file);
    fputs(spec->pairs[at].value, file);
    fputc('\0', file);
  }
  fputc('\0', file);
  if (fclose(file) != 0) fail("memfd", errno, "the specification");
  int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (fcntl(memory, F_ADD_SEALS, seals) < 0) fail("memfd", errno, "the specification");
  place(FD_SPEC, memory, "memfd", "the specification");
}

/*
 * The namespace of the bridge is held open by PID 1 too: a switch lives as long as somebody who is connected to it, and is found
 * again by that.
 */
static int open_outside(const struct spec *spec) {
  const char *given = spec_get(spec, "switch");
  if (given != NULL) place(FD_SWITCH, open(given, O_RDONLY | O_CLOEXEC), "switch", given);
  int fd = given == NULL ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) : places[FD_SWITCH - FD_SPEC];
  if (fd < 0) fail("switch", errno, "the network namespace");
  return fd;
}

static void make_network(const struct spec *spec) {
  const char *about;
  int has_bridge = spec_get(spec, "bridge_port") != NULL;
  int outside = has_bridge ? open_outside(spec) : -1;
  if (network_unshare() < 0 || network_add_addresses(spec) < 0) fail("netns", errno, "a network namespace");
  if (has_bridge && bridge_attach(spec, outside, &about) < 0) fail("bridge", errno, "%s", about);
}

static void drop_privileges(const struct spec *spec) {
  if (spec_get(spec, "gid") != NULL) {
    gid_t gid = number_of(spec, "gid");
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0) fail("gid", errno, "%u", gid);
  }
  if (spec_get(spec, "uid") == NULL) return;
  uid_t uid = number_of(spec, "uid");
  if (setresuid(uid, uid, uid) < 0) fail("uid", errno, "%u", uid);
}

static void detach(void) {
  sigset_t none;
  setsid(); /* fails only when we lead a session already */
  umask(022);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0) fail("stdio", errno, "/dev/null");
  if (fcntl(2, F_GETFD) < 0) dup2(null, 2);
}

/* Answers, puts the descriptors in place and becomes bwrap. The way to answer stays open until that has worked. */
_Noreturn static void become_bwrap(char **argv) {
  static char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  struct stat status;
  int channel = fcntl(FD_SPEC, F_DUPFD_CLOEXEC, FD_PARKED);
  if (fstat(FD_SPEC, &status) == 0 && S_ISSOCK(status.st_mode) && send(FD_SPEC, "bound\n", 6, MSG_NOSIGNAL) < 0) errno = 0;
  close_range(FD_SPEC, FD_END - 1, 0);
  for (int at = 0; at < FD_END - FD_SPEC; at++)
    if (places[at] >= 0) dup2(places[at], FD_SPEC + at);
  close_range(FD_END, ~0u, CLOSE_RANGE_CLOEXEC);
  environ = (char **)(size_t)environment;
  execvp(argv[0], argv);
  int number = errno;
  dup2(channel, FD_SPEC);
  fail("bwrap", number, "%s", argv[0]);
}

int launch_main(void) {
  struct spec spec;
  for (size_t at = 0; at < sizeof places / sizeof *places; at++) places[at] = -1;
  if (spec_read(FD_SPEC, &spec) < 0) fail("spec", errno, "descriptor %d", FD_SPEC);
  check_keys(&spec);
  detach();
  take_lock(spec_get(&spec, "dir"));
  check_wanted();
  make_out_folder(&spec);
  enter_cgroups(&spec);
  const char *egress = spec_get(&spec, "egress"), *lend = spec_get(&spec, "lend"), *names = spec_get(&spec, "names");
  if (egress != NULL) place(FD_EGRESS, open(egress, O_PATH | O_DIRECTORY | O_CLOEXEC), "egress", egress);
  if (lend != NULL) place(FD_LEND, open(lend, O_PATH | O_CLOEXEC), "lend", lend);
  if (names != NULL) place(FD_NAMES, open(names, O_PATH | O_DIRECTORY | O_CLOEXEC), "names", names);
  bind_sockets(&spec);
  seal_spec(&spec);
  if (spec_get(&spec, "netns") != NULL) make_network(&spec);
  drop_privileges(&spec);
  become_bwrap(spec_vector(&spec, "bwrap"));
}
