/* Copies a tree (copy.h). The source is read-only while we read it, and no link is ever followed. */
#define _GNU_SOURCE
#include "copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 128
#define CHUNK_BYTES (1u << 30)

struct place {
  int from, to; /* folders */
  int depth;
  char *about;
};

static int copy_folder(const struct place *place);

static int keep_times(int fd, const struct stat *status) {
  struct timespec times[2] = {status->st_atim, status->st_mtim};
  return futimens(fd, times);
}

static int copy_bytes(int from, int to) {
  for (;;) {
    ssize_t copied = sendfile(to, from, NULL, CHUNK_BYTES);
    if (copied == 0) return 0;
    if (copied < 0 && errno != EINTR) return -1;
  }
}

static int copy_file(const struct place *place, const char *name, const struct stat *status) {
  int result = -1, to = -1;
  int from = openat(place->from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (from >= 0) to = openat(place->to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (to >= 0 && copy_bytes(from, to) == 0 && fchmod(to, (status->st_mode & 0777) | S_IWUSR) == 0)
    result = keep_times(to, status);
  int saved = errno;
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  errno = saved;
  return result;
}

static int copy_link(const struct place *place, const char *name) {
  char target[PATH_MAX];
  ssize_t length = readlinkat(place->from, name, target, sizeof target - 1);
  if (length < 0) return -1;
  target[length] = '\0';
  return symlinkat(target, place->to, name);
}

static int copy_subfolder(const struct place *place, const char *name, const struct stat *status) {
  struct place inner = {.depth = place->depth + 1, .about = place->about, .from = -1, .to = -1};
  if (inner.depth > DEPTH_MAX) {
    errno = ELOOP;
    return -1;
  }
  if (mkdirat(place->to, name, 0700) < 0) return -1;
  inner.from = openat(place->from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inner.from >= 0) inner.to = openat(place->to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int result = -1;
  if (inner.to >= 0 && copy_folder(&inner) == 0 && fchmod(inner.to, (status->st_mode & 0777) | S_IWUSR) == 0)
    result = keep_times(inner.to, status);
  int saved = errno;
  if (inner.from >= 0) close(inner.from);
  if (inner.to >= 0) close(inner.to);
  errno = saved;
  return result;
}

static int copy_entry(const struct place *place, const char *name) {
  struct stat status;
  if (fstatat(place->from, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return -1;
  if (S_ISREG(status.st_mode)) return copy_file(place, name, &status);
  if (S_ISLNK(status.st_mode)) return copy_link(place, name);
  if (S_ISDIR(status.st_mode)) return copy_subfolder(place, name, &status);
  return 0;
}

static int copy_folder(const struct place *place) {
  int result = 0;
  int listed = fcntl(place->from, F_DUPFD_CLOEXEC, 0);
  DIR *folder = listed < 0 ? NULL : fdopendir(listed);
  if (folder == NULL) return -1;
  while (result == 0) {
    errno = 0;
    const struct dirent *entry = readdir(folder);
    if (entry == NULL) {
      result = errno == 0 ? 0 : -1;
      break;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    result = copy_entry(place, entry->d_name);
    if (result < 0 && place->about[0] == '\0') snprintf(place->about, PATH_ABOUT_BYTES, "%.200s", entry->d_name);
  }
  int saved = errno;
  closedir(folder);
  errno = saved;
  return result;
}

int copy_tree(const char *from, const char *to, char about[PATH_ABOUT_BYTES]) {
  struct place place = {.about = about, .from = -1, .to = -1};
  snprintf(about, PATH_ABOUT_BYTES, "%.200s", from);
  place.from = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (place.from < 0) return -1;
  snprintf(about, PATH_ABOUT_BYTES, "%.200s", to);
  place.to = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (place.to < 0) return -1;
  about[0] = '\0';
  int result = copy_folder(&place);
  int saved = errno;
  close(place.from);
  close(place.to);
  errno = saved;
  return result;
}
