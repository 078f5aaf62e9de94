/* fd_readdir: what is listed, and how cookies and cut-off entries work. */
#include "check.h"

static __wasi_fd_t dir;
static uint8_t buffer[4096];
static __wasi_size_t used;

typedef struct {
  __wasi_dirent_t head;
  char name[32];
} entry_t;

/* Parses the whole entries that `bytes` of the buffer hold. */
static int parse(entry_t *entries, int max, __wasi_size_t bytes) {
  int count = 0;
  __wasi_size_t at = 0;
  while (count < max && at + sizeof(__wasi_dirent_t) <= bytes) {
    entry_t *entry = &entries[count];
    memcpy(&entry->head, buffer + at, sizeof entry->head);
    at += sizeof entry->head;
    if (at + entry->head.d_namlen > bytes) break;
    CHECK(entry->head.d_namlen < sizeof entry->name);
    memcpy(entry->name, buffer + at, entry->head.d_namlen);
    entry->name[entry->head.d_namlen] = 0;
    at += entry->head.d_namlen;
    count++;
  }
  return count;
}

static int list(entry_t *entries, int max, __wasi_size_t room, __wasi_dircookie_t cookie) {
  OK(__wasi_fd_readdir(dir, buffer, room, cookie, &used));
  CHECK(used <= room);
  return parse(entries, max, used);
}

static void few(void) {
  entry_t entries[4];
  __wasi_filestat_t stat;
  OK(__wasi_fd_filestat_get(dir, &stat));
  CHECK(list(entries, 4, sizeof buffer, 0) == 2);
  CHECK(strcmp(entries[0].name, ".") == 0 && strcmp(entries[1].name, "..") == 0);
  CHECK(entries[0].head.d_ino == stat.ino && entries[0].head.d_type == __WASI_FILETYPE_DIRECTORY);
  CHECK(entries[1].head.d_type == __WASI_FILETYPE_DIRECTORY);

  make_file("dir/file");
  OK(__wasi_path_symlink("file", ROOT, "dir/link"));
  CHECK(list(entries, 4, sizeof buffer, 0) == 4);
  int file = strcmp(entries[2].name, "file") == 0 ? 2 : 3;
  OK(__wasi_path_filestat_get(dir, 0, "file", &stat));
  CHECK(strcmp(entries[file].name, "file") == 0 && strcmp(entries[5 - file].name, "link") == 0);
  CHECK(entries[file].head.d_ino == stat.ino && entries[file].head.d_type == __WASI_FILETYPE_REGULAR_FILE);
  CHECK(entries[5 - file].head.d_type == __WASI_FILETYPE_SYMBOLIC_LINK);

  entry_t rest[4];
  CHECK(list(rest, 4, sizeof buffer, entries[2].head.d_next) == 1);
  CHECK(strcmp(rest[0].name, entries[3].name) == 0);
  CHECK(list(rest, 4, sizeof buffer, entries[3].head.d_next) == 0 && used == 0);
  CHECK(list(rest, 4, sizeof buffer, UINT64_MAX) == 0 && used == 0);

  /* What was removed since is still in the listing that was begun. */
  OK(__wasi_path_unlink_file(ROOT, "dir/link"));
  CHECK(list(rest, 4, sizeof buffer, entries[1].head.d_next) == 2);
  CHECK(list(rest, 4, sizeof buffer, 0) == 3);
  OK(__wasi_path_unlink_file(ROOT, "dir/file"));
}

static void cut_off(void) {
  entry_t entries[4];
  CHECK(list(entries, 4, 0, 0) == 0 && used == 0);
  CHECK(list(entries, 4, 10, 0) == 0 && used == 10);
  CHECK(list(entries, 4, sizeof(__wasi_dirent_t), 0) == 0 && used == sizeof(__wasi_dirent_t));
  CHECK(list(entries, 4, sizeof(__wasi_dirent_t) + 1, 0) == 1);
  CHECK(list(entries, 4, sizeof(__wasi_dirent_t) + 2, 0) == 1 && used == sizeof(__wasi_dirent_t) + 2);
}

static void many(void) {
  char path[32];
  for (int index = 0; index < 1000; index++) {
    snprintf(path, sizeof path, "dir/file.%d", index);
    make_file(path);
  }
  static char seen[1000];
  int total = 0;
  __wasi_dircookie_t cookie = 0;
  do {
    entry_t entries[16];
    int count = list(entries, 16, 256, cookie);
    for (int index = 0; index < count; index++) {
      int number;
      cookie = entries[index].head.d_next;
      if (sscanf(entries[index].name, "file.%d", &number) == 1) seen[number]++;
    }
    total += count;
  } while (used == 256);
  CHECK(total == 1002);
  for (int index = 0; index < 1000; index++) {
    CHECK(seen[index] == 1);
    snprintf(path, sizeof path, "dir/file.%d", index);
    OK(__wasi_path_unlink_file(ROOT, path));
  }
}

int main(void) {
  OK(__wasi_path_create_directory(ROOT, "dir"));
  OK(__wasi_path_open(ROOT, 0, "dir", __WASI_OFLAGS_DIRECTORY,
                      __WASI_RIGHTS_FD_READDIR | __WASI_RIGHTS_FD_FILESTAT_GET | __WASI_RIGHTS_PATH_FILESTAT_GET, 0, 0, &dir));
  few();
  cut_off();
  many();
  __wasi_fd_t file = open_file("file");
  ERRNO(__wasi_fd_readdir(file, buffer, sizeof buffer, 0, &used), __WASI_ERRNO_NOTDIR);
  ERRNO(__wasi_fd_readdir(99, buffer, sizeof buffer, 0, &used), __WASI_ERRNO_BADF);
  OK(__wasi_fd_close(file));
  OK(__wasi_fd_close(dir));
  OK(__wasi_path_remove_directory(ROOT, "dir"));
  OK(__wasi_path_unlink_file(ROOT, "file"));
  return 0;
}
