/*
 * The root (guest_root.h). Where the tree lacks what something is to be mounted on, a second tree with just that is laid over
 * it; neither is ever written to.
 */
#define _GNU_SOURCE
#include "guest_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest_devices.h"
#include "guest_identity.h"

#define DISK "/disk"
#define STUBS "/stubs"
#define WHOLE "/whole"
#define FILES "/files"
#define PATH_BYTES 512

#define PLAIN (MS_NOSUID | MS_NODEV)

static char *about_text;
static const char *root = DISK; /* what becomes the root */

/* -1, with what it was about. */
static int failed(const char *what) {
  int saved = errno;
  snprintf(about_text, ROOT_ABOUT_BYTES, "%s", what);
  errno = saved;
  return -1;
}

int root_prepare(void) {
  static const char *const folders[] = {"/proc", "/sys", "/dev", DISK, STUBS, WHOLE, FILES};
  for (size_t at = 0; at < sizeof folders / sizeof *folders; at++)
    if (mkdir(folders[at], 0755) < 0 && errno != EEXIST) return -1;
  if (mount("proc", "/proc", "proc", PLAIN | MS_NOEXEC, NULL) < 0) return -1;
  if (mount("sysfs", "/sys", "sysfs", PLAIN | MS_NOEXEC, NULL) < 0) return -1;
  return devices_make("/dev");
}

/* What `path` is below `tree`, links resolved as they will be once the tree is the root. A descriptor, or -1 with errno. */
static int find(const char *tree, const char *path) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
  int folder = open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -1;
  int found = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
  int saved = errno;
  close(folder);
  errno = saved;
  return found;
}

/* Mounts on `target` of the new root. */
static int mount_in(const char *source, const char *target, const char *kind, unsigned long flags, const char *options) {
  char path[48];
  int fd = find(root, target);
  if (fd < 0) return failed(target);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int result = mount(source, path, kind, flags, options);
  int saved = errno;
  close(fd);
  errno = saved;
  return result < 0 ? failed(target) : 0;
}

/* Folders on the way take their modes from the tree. */
static int make_stub(const char *path, int is_folder) {
  char stub[PATH_BYTES], twin[PATH_BYTES];
  struct stat status;
  for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    snprintf(stub, sizeof stub, STUBS "%.*s", (int)(slash - path), path);
    snprintf(twin, sizeof twin, DISK "%.*s", (int)(slash - path), path);
    mode_t mode = lstat(twin, &status) == 0 && S_ISDIR(status.st_mode) ? status.st_mode & 07777 : 0755;
    if (mkdir(stub, mode) < 0 && errno != EEXIST) return failed(path);
  }
  snprintf(stub, sizeof stub, STUBS "%s", path);
  if (is_folder) return mkdir(stub, 0755) < 0 && errno != EEXIST ? failed(path) : 0;
  int fd = open(stub, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return failed(path);
  close(fd);
  return 0;
}

/* 1 when it had to be made. */
static int need(const char *path, int is_folder) {
  int fd = find(DISK, path);
  if (fd >= 0) {
    close(fd);
    return 0;
  }
  return make_stub(path, is_folder) < 0 ? -1 : 1;
}

struct mount_record {
  char kind[16];
  char source[64];
  const char *target;
};

/* Reads `erofs:/dev/vdb:/app` or `tmpfs:BYTES:/app`. 0, or -1 with errno. */
static int read_record(const char *text, struct mount_record *record) {
  int target_at = 0;
  errno = EINVAL;
  if (sscanf(text, "%15[a-z0-9]:%63[^:]:%n", record->kind, record->source, &target_at) != 2 || target_at == 0)
    return failed(text);
  record->target = text + target_at;
  return record->target[0] == '/' && strlen(record->target) < PATH_BYTES / 2 ? 0 : failed(text);
}

static int mount_disk(const struct mount_record *record, const char *target, int is_first) {
  if (devices_make_disk(record->source) < 0) return failed(record->source);
  unsigned long flags = PLAIN | MS_RDONLY;
  if (!is_first) return mount_in(record->source, target, record->kind, flags, NULL);
  return mount(record->source, DISK, record->kind, flags, NULL) < 0 ? failed(record->source) : 0;
}

static int mount_tmpfs(const char *target, const char *bytes, const char *mode) {
  char options[64];
  snprintf(options, sizeof options, "size=%s,mode=%s", bytes, mode);
  return mount_in("tmpfs", target, "tmpfs", PLAIN, options);
}

/* The first record's disk is the root; whatever has to be there besides is made above it. */
static int mount_root(const struct spec *spec) {
  static const char *const folders[] = {"/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/run"};
  struct mount_record record;
  const char *first = spec_get(spec, "mount");
  errno = EINVAL;
  if (first == NULL) return failed("there is no root");
  if (read_record(first, &record) < 0 || mount_disk(&record, "/", 1) < 0) return -1;
  if (mount("tmpfs", STUBS, "tmpfs", PLAIN, "mode=755") < 0) return failed(STUBS);
  int made = 0;
  for (size_t at = 0; at < sizeof folders / sizeof *folders; at++) made |= need(folders[at], 1);
  for (size_t at = 0; identity_path(at) != NULL; at++)
    if (identity_is_of_tree(at) && identity_has(spec, at)) made |= need(identity_path(at), 0);
  for (size_t at = 0; at < spec->count; at++) {
    if (strcmp(spec->pairs[at].key, "mount") != 0 || spec->pairs[at].value == first) continue;
    if (read_record(spec->pairs[at].value, &record) < 0) return -1;
    made |= need(record.target, 1);
  }
  if (made <= 0) return made;
  root = WHOLE;
  return mount("overlay", WHOLE, "overlay", PLAIN | MS_RDONLY, "lowerdir=" STUBS ":" DISK) < 0 ? failed("overlay") : 0;
}

static int mount_others(const struct spec *spec) {
  struct mount_record record;
  const char *first = spec_get(spec, "mount");
  for (size_t at = 0; at < spec->count; at++) {
    if (strcmp(spec->pairs[at].key, "mount") != 0 || spec->pairs[at].value == first) continue;
    if (read_record(spec->pairs[at].value, &record) < 0) return -1;
    int is_memory = strcmp(record.kind, "tmpfs") == 0;
    int result = is_memory ? mount_tmpfs(record.target, record.source, "1777") : mount_disk(&record, record.target, 0);
    if (result < 0) return -1;
  }
  return 0;
}

static int mount_devices(const char *tmp_bytes) {
  static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                         {"/proc/self/fd/0", "stdin"},
                                         {"/proc/self/fd/1", "stdout"},
                                         {"/proc/self/fd/2", "stderr"},
                                         {"pts/ptmx", "ptmx"}};
  char path[PATH_BYTES];
  if (mount_in("dev", "/dev", "tmpfs", MS_NOSUID, "size=65536,mode=755") < 0) return -1;
  snprintf(path, sizeof path, "%s/dev", root);
  if (devices_make(path) < 0) return failed("/dev");
  for (size_t at = 0; at < sizeof links / sizeof *links; at++) {
    snprintf(path, sizeof path, "%s/dev/%s", root, links[at][1]);
    if (symlink(links[at][0], path) < 0) return failed(path);
  }
  snprintf(path, sizeof path, "%s/dev/pts", root);
  if (mkdir(path, 0755) < 0) return failed(path);
  snprintf(path, sizeof path, "%s/dev/shm", root);
  if (mkdir(path, 0755) < 0) return failed(path);
  if (mount_in("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620") < 0) return -1;
  return mount_tmpfs("/dev/shm", tmp_bytes, "1777");
}

int root_enter(const struct spec *spec, char about[ROOT_ABOUT_BYTES]) {
  const char *given = spec_get(spec, "tmp_bytes");
  const char *tmp_bytes = given == NULL ? "50%" : given;
  about_text = about;
  if (mount_root(spec) < 0 || mount_others(spec) < 0) return -1;
  if (mount_in("proc", "/proc", "proc", PLAIN | MS_NOEXEC, NULL) < 0) return -1;
  if (mount_in("sysfs", "/sys", "sysfs", PLAIN | MS_NOEXEC | MS_RDONLY, NULL) < 0) return -1;
  if (mount_devices(tmp_bytes) < 0) return -1;
  if (mount_tmpfs("/tmp", tmp_bytes, "1777") < 0 || mount_tmpfs("/var/tmp", tmp_bytes, "1777") < 0) return -1;
  if (mount_tmpfs("/run", tmp_bytes, "1777") < 0) return -1;
  if (mount("tmpfs", FILES, "tmpfs", PLAIN, "mode=755") < 0 || identity_open(FILES) < 0) return failed(FILES);
  if (identity_write(spec) < 0) return failed("the files in /etc");
  for (size_t at = 0; identity_path(at) != NULL; at++) {
    char file[PATH_BYTES];
    snprintf(file, sizeof file, FILES "/%s", identity_file(at));
    if (identity_has(spec, at) && mount_in(file, identity_path(at), NULL, MS_BIND, NULL) < 0) return -1;
  }
  /* Alone: the kernel's own threads stay at the first root, where our program is, which they start for core dumps. */
  if (unshare(CLONE_FS) < 0) return failed("/");
  if (chdir(root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0) return failed("/");
  return 0;
}
