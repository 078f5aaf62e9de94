/* Device nodes (guest_devices.h). */
#define _GNU_SOURCE
#include "guest_devices.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define PORTS_FOLDER "/sys/class/virtio-ports"
#define PATH_BYTES 320

int devices_make(const char *folder) {
  static const struct {
    const char *name;
    mode_t mode;
    unsigned major, minor;
  } nodes[] = {{"null", 0666, 1, 3},    {"zero", 0666, 1, 5}, {"full", 0666, 1, 7},    {"random", 0666, 1, 8},
               {"urandom", 0666, 1, 9}, {"kmsg", 0644, 1, 11}, {"tty", 0666, 5, 0},    {"console", 0600, 5, 1}};
  for (size_t at = 0; at < sizeof nodes / sizeof *nodes; at++) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, nodes[at].name);
    if (mknod(path, S_IFCHR | nodes[at].mode, makedev(nodes[at].major, nodes[at].minor)) < 0 && errno != EEXIST) return -1;
    if (chmod(path, nodes[at].mode) < 0) return -1;
  }
  return 0;
}

/* The first line of a file of sysfs. 0, or -1 with errno. */
static int read_line(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t got = read(fd, text, size - 1);
  close(fd);
  if (got < 0) return -1;
  text[got] = '\0';
  text[strcspn(text, "\n")] = '\0';
  return 0;
}

/* Makes the node of what sysfs describes in `folder`. */
static int make_described(const char *path, mode_t kind, const char *folder) {
  char file[PATH_BYTES + 8], text[32];
  unsigned major, minor;
  snprintf(file, sizeof file, "%s/dev", folder);
  if (read_line(file, text, sizeof text) < 0) return -1;
  errno = EINVAL;
  if (sscanf(text, "%u:%u", &major, &minor) != 2) return -1;
  return mknod(path, kind | 0600, makedev(major, minor)) < 0 && errno != EEXIST ? -1 : 0;
}

int devices_make_disk(const char *path) {
  char folder[PATH_BYTES];
  const char *slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "/sys/class/block/%.64s", slash == NULL ? path : slash + 1);
  return make_described(path, S_IFBLK, folder);
}

/* 1 when the node was made, 0 when there is no such port yet. */
static int make_port(const char *name, const char *path) {
  DIR *ports = opendir(PORTS_FOLDER);
  int is_made = 0;
  if (ports == NULL) return 0;
  for (struct dirent *entry = readdir(ports); entry != NULL && !is_made; entry = readdir(ports)) {
    char file[PATH_BYTES], text[64];
    if (entry->d_name[0] == '.') continue;
    snprintf(file, sizeof file, PORTS_FOLDER "/%s/name", entry->d_name);
    if (read_line(file, text, sizeof text) < 0 || strcmp(text, name) != 0) continue;
    snprintf(file, sizeof file, PORTS_FOLDER "/%s", entry->d_name);
    is_made = make_described(path, S_IFCHR, file) == 0;
  }
  closedir(ports);
  return is_made;
}

int devices_open_port(const char *name, int wait_ms) {
  static const char path[] = "/dev/channel";
  const struct timespec millisecond = {.tv_nsec = 1000000};
  for (int waited = 0; !make_port(name, path); waited++) {
    errno = ENODEV;
    if (waited >= wait_ms) return -1;
    nanosleep(&millisecond, NULL);
  }
  return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}
