/* How paths are resolved and what may be done to what they name. */
#include "check.h"

static __wasi_fd_t fd;
static __wasi_filestat_t stat, other;

static void interesting_paths(void) {
  OK(__wasi_path_create_directory(ROOT, "dir"));
  OK(__wasi_path_create_directory(ROOT, "dir/nested/"));
  make_file("dir/nested/file");
  ERRNO(__wasi_path_create_directory(ROOT, "dir"), __WASI_ERRNO_EXIST);
  ERRNO(__wasi_path_create_directory(ROOT, "missing/dir"), __WASI_ERRNO_NOENT);
  ERRNO(__wasi_path_create_directory(ROOT, "."), __WASI_ERRNO_EXIST);

  OK(open_plain("dir/.//nested/../../dir/nested/../nested///./file", 0, &fd));
  OK(__wasi_fd_close(fd));
  OK(open_plain("dir/nested/", 0, &fd));
  OK(__wasi_fd_close(fd));
  OK(open_plain("dir/nested///", __WASI_OFLAGS_DIRECTORY, &fd));
  ERRNO(__wasi_path_open(fd, 0, "../nested/file", 0, 0, 0, 0, &fd), __WASI_ERRNO_NOTCAPABLE);
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_open(ROOT, 0, "dir", __WASI_OFLAGS_DIRECTORY, ALL_RIGHTS & ~RW, ALL_RIGHTS, 0, &fd));
  ERRNO(__wasi_path_filestat_get(fd, 0, "../dir", &stat), __WASI_ERRNO_PERM);
  OK(__wasi_path_filestat_get(fd, 0, "nested/..", &stat));
  OK(__wasi_fd_close(fd));

  ERRNO(open_plain("", 0, &fd), __WASI_ERRNO_NOENT);
  ERRNO(open_plain("missing/../dir", 0, &fd), __WASI_ERRNO_NOENT);
  ERRNO(open_plain("dir/nested/file/../file", 0, &fd), __WASI_ERRNO_NOTDIR);
  ERRNO(open_plain("/dir/nested/file", 0, &fd), __WASI_ERRNO_PERM);
  ERRNO(open_plain("/", 0, &fd), __WASI_ERRNO_PERM);
  ERRNO(open_plain("..", 0, &fd), __WASI_ERRNO_PERM);
  ERRNO(open_plain("dir/../..", 0, &fd), __WASI_ERRNO_PERM);
  ERRNO(open_plain("dir/nested/../../../dir/nested/file", 0, &fd), __WASI_ERRNO_PERM);
  ERRNO(open_plain("dir/nested/file/", 0, &fd), __WASI_ERRNO_NOTDIR);
  ERRNO(open_plain("dir/nested/file///", 0, &fd), __WASI_ERRNO_NOTDIR);
  ERRNO(open_plain("dir/new/", __WASI_OFLAGS_CREAT, &fd), __WASI_ERRNO_ISDIR);
  ERRNO(open_plain("dir\xff", 0, &fd), __WASI_ERRNO_ILSEQ);

  static char path[8192];
  memset(path, 'x', 300);
  ERRNO(open_plain(path, __WASI_OFLAGS_CREAT, &fd), __WASI_ERRNO_NAMETOOLONG);
  memset(path, 'x', sizeof path - 1);
  ERRNO(open_plain(path, 0, &fd), __WASI_ERRNO_NAMETOOLONG);

  OK(__wasi_path_unlink_file(ROOT, "dir/nested/file"));
  OK(__wasi_path_remove_directory(ROOT, "dir/nested"));
  OK(__wasi_path_remove_directory(ROOT, "dir"));
}

/* libc hands a NUL on as the end, so these calls are made by hand. */
int32_t raw_path_open(int32_t fd, int32_t lookup, const char *path, int32_t length, int32_t open_flags,
                      int64_t base, int64_t inheriting, int32_t flags, __wasi_fd_t *result)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("path_open")));

static void raw_paths(void) {
  make_file("file");
  ERRNO(raw_path_open(ROOT, 0, "file\0", 5, 0, 0, 0, 0, &fd), __WASI_ERRNO_INVAL);
  ERRNO(raw_path_open(ROOT, 0, "file", -1, 0, 0, 0, 0, &fd), __WASI_ERRNO_FAULT);
  ERRNO(raw_path_open(ROOT, 0, "file", 4, 0x10, 0, 0, 0, &fd), __WASI_ERRNO_INVAL);
  ERRNO(raw_path_open(ROOT, 0, "file", 4, 0, 0, 0, 0x20, &fd), __WASI_ERRNO_INVAL);
  ERRNO(raw_path_open(99, 0, "file", 4, 0, 0, 0, 0, &fd), __WASI_ERRNO_BADF);
  ERRNO(raw_path_open(-1, 0, "file", 4, 0, 0, 0, 0, &fd), __WASI_ERRNO_BADF);
  ERRNO(raw_path_open(ROOT, 0, "file", 4, 0, 0, 0, 0, (__wasi_fd_t *)-4), __WASI_ERRNO_FAULT);
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

static void links(void) {
  OK(__wasi_path_create_directory(ROOT, "target"));
  OK(__wasi_path_symlink("target", ROOT, "link"));
  ERRNO(open_plain("link", __WASI_OFLAGS_DIRECTORY, &fd), __WASI_ERRNO_LOOP);
  ERRNO(open_plain("link", 0, &fd), __WASI_ERRNO_LOOP);
  OK(__wasi_path_open(ROOT, FOLLOW, "link", __WASI_OFLAGS_DIRECTORY, 0, 0, 0, &fd));
  OK(__wasi_fd_close(fd));
  OK(open_plain("link/", 0, &fd));
  OK(__wasi_fd_close(fd));
  make_file("link/inside");
  OK(__wasi_path_filestat_get(ROOT, 0, "target/inside", &stat));
  OK(__wasi_path_filestat_get(ROOT, 0, "link/../target/./inside", &stat));
  CHECK(stat.filetype == __WASI_FILETYPE_REGULAR_FILE);
  OK(__wasi_path_filestat_get(ROOT, 0, "link", &stat));
  CHECK(stat.filetype == __WASI_FILETYPE_SYMBOLIC_LINK);
  CHECK(stat.size == 6);
  OK(__wasi_path_filestat_get(ROOT, FOLLOW, "link", &stat));
  CHECK(stat.filetype == __WASI_FILETYPE_DIRECTORY);
  OK(__wasi_path_unlink_file(ROOT, "link/inside"));
  ERRNO(__wasi_path_remove_directory(ROOT, "link"), __WASI_ERRNO_NOTDIR);
  OK(__wasi_path_unlink_file(ROOT, "link"));
  OK(__wasi_path_remove_directory(ROOT, "target"));

  make_file("target");
  OK(__wasi_path_symlink("target", ROOT, "link"));
  ERRNO(open_plain("link", __WASI_OFLAGS_DIRECTORY, &fd), __WASI_ERRNO_LOOP);
  ERRNO(open_plain("link", 0, &fd), __WASI_ERRNO_LOOP);
  ERRNO(__wasi_path_open(ROOT, FOLLOW, "link", __WASI_OFLAGS_DIRECTORY, 0, 0, 0, &fd), __WASI_ERRNO_NOTDIR);
  OK(__wasi_path_open(ROOT, FOLLOW, "link", 0, 0, 0, 0, &fd));
  OK(__wasi_fd_close(fd));
  ERRNO(__wasi_path_open(ROOT, FOLLOW, "link", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, 0, 0, 0, &fd),
        __WASI_ERRNO_EXIST);
  OK(__wasi_path_unlink_file(ROOT, "target"));

  /* Now it dangles. */
  ERRNO(open_plain("link", __WASI_OFLAGS_DIRECTORY, &fd), __WASI_ERRNO_LOOP);
  ERRNO(open_plain("link", 0, &fd), __WASI_ERRNO_LOOP);
  ERRNO(__wasi_path_open(ROOT, FOLLOW, "link", 0, 0, 0, 0, &fd), __WASI_ERRNO_NOENT);
  OK(__wasi_path_open(ROOT, FOLLOW, "link", __WASI_OFLAGS_CREAT, 0, 0, 0, &fd));
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "target"));
  OK(__wasi_path_unlink_file(ROOT, "link"));

  OK(__wasi_path_symlink("loop", ROOT, "loop"));
  ERRNO(open_plain("loop", 0, &fd), __WASI_ERRNO_LOOP);
  ERRNO(__wasi_path_open(ROOT, FOLLOW, "loop", 0, 0, 0, 0, &fd), __WASI_ERRNO_LOOP);
  ERRNO(open_plain("loop/x", 0, &fd), __WASI_ERRNO_LOOP);
  OK(__wasi_path_unlink_file(ROOT, "loop"));

  ERRNO(__wasi_path_symlink("/", ROOT, "link"), __WASI_ERRNO_PERM);
  OK(__wasi_path_symlink("../outside", ROOT, "link"));
  ERRNO(__wasi_path_open(ROOT, FOLLOW, "link", 0, 0, 0, 0, &fd), __WASI_ERRNO_PERM);
  ERRNO(__wasi_path_open(ROOT, FOLLOW, "link", __WASI_OFLAGS_CREAT, 0, 0, 0, &fd), __WASI_ERRNO_PERM);
  ERRNO(__wasi_path_create_directory(ROOT, "link/x"), __WASI_ERRNO_PERM);
  OK(__wasi_path_unlink_file(ROOT, "link"));
}

static void readlink_truncates(void) {
  uint8_t buffer[10] = {0};
  __wasi_size_t used;
  OK(__wasi_path_symlink("target", ROOT, "link"));
  OK(__wasi_path_readlink(ROOT, "link", buffer, sizeof buffer, &used));
  CHECK(used == 6 && memcmp(buffer, "target\0\0\0\0", 10) == 0);
  memset(buffer, 0, sizeof buffer);
  OK(__wasi_path_readlink(ROOT, "link", buffer, 4, &used));
  CHECK(used == 4 && memcmp(buffer, "targ\0\0\0\0\0\0", 10) == 0);
  OK(__wasi_path_readlink(ROOT, "link", buffer, 0, &used));
  CHECK(used == 0);
  OK(__wasi_path_unlink_file(ROOT, "link"));
  make_file("file");
  ERRNO(__wasi_path_readlink(ROOT, "file", buffer, 4, &used), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_path_readlink(ROOT, "missing", buffer, 4, &used), __WASI_ERRNO_NOENT);
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

static void slashes_at_the_end(void) {
  OK(__wasi_path_create_directory(ROOT, "dir"));
  make_file("file");
  ERRNO(__wasi_path_unlink_file(ROOT, "dir"), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_path_unlink_file(ROOT, "dir/"), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_path_unlink_file(ROOT, "file/"), __WASI_ERRNO_NOTDIR);
  ERRNO(__wasi_path_unlink_file(ROOT, "missing/"), __WASI_ERRNO_NOENT);
  ERRNO(__wasi_path_remove_directory(ROOT, "file"), __WASI_ERRNO_NOTDIR);
  ERRNO(__wasi_path_remove_directory(ROOT, "file/"), __WASI_ERRNO_NOTDIR);
  ERRNO(__wasi_path_symlink("source", ROOT, "missing/"), __WASI_ERRNO_NOENT);
  ERRNO(__wasi_path_symlink("source", ROOT, "dir/"), __WASI_ERRNO_EXIST);
  ERRNO(__wasi_path_symlink("source", ROOT, "dir"), __WASI_ERRNO_EXIST);
  ERRNO(__wasi_path_symlink("source", ROOT, "file/"), __WASI_ERRNO_NOTDIR);
  ERRNO(__wasi_path_symlink("source", ROOT, "file"), __WASI_ERRNO_EXIST);
  ERRNO(__wasi_path_link(ROOT, 0, "file", ROOT, "link/"), __WASI_ERRNO_NOENT);
  ERRNO(__wasi_path_link(ROOT, 0, "file/", ROOT, "link"), __WASI_ERRNO_NOTDIR);
  ERRNO(__wasi_path_rename(ROOT, "file", ROOT, "new/"), __WASI_ERRNO_NOTDIR);
  ERRNO(__wasi_path_rename(ROOT, "file/", ROOT, "new"), __WASI_ERRNO_NOTDIR);
  ERRNO(__wasi_path_filestat_get(ROOT, 0, "file/", &stat), __WASI_ERRNO_NOTDIR);
  OK(__wasi_path_filestat_get(ROOT, 0, "dir/", &stat));
  OK(__wasi_path_rename(ROOT, "dir/", ROOT, "new"));
  OK(__wasi_path_rename(ROOT, "new", ROOT, "dir/"));
  OK(__wasi_path_rename(ROOT, "dir/", ROOT, "new/"));
  OK(__wasi_path_remove_directory(ROOT, "new/"));
  OK(__wasi_path_unlink_file(ROOT, "file"));
  ERRNO(__wasi_path_remove_directory(ROOT, "."), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_path_rename(ROOT, ".", ROOT, "x"), __WASI_ERRNO_BUSY);
}

static void removing(void) {
  OK(__wasi_path_create_directory(ROOT, "dir"));
  OK(__wasi_path_create_directory(ROOT, "dir/nested"));
  ERRNO(__wasi_path_remove_directory(ROOT, "dir"), __WASI_ERRNO_NOTEMPTY);
  OK(__wasi_path_remove_directory(ROOT, "dir/nested"));
  OK(open_plain("dir", __WASI_OFLAGS_DIRECTORY, &fd));
  OK(__wasi_path_remove_directory(ROOT, "dir"));
  OK(__wasi_fd_close(fd));
  ERRNO(__wasi_path_remove_directory(ROOT, "dir"), __WASI_ERRNO_NOENT);
  ERRNO(__wasi_path_unlink_file(ROOT, "file"), __WASI_ERRNO_NOENT);
}

static void hard_links(void) {
  __wasi_fd_t file = open_file("file"), link;
  OK(__wasi_path_link(ROOT, 0, "file", ROOT, "link"));
  link = open_file("link");
  OK(__wasi_fd_filestat_get(file, &stat));
  OK(__wasi_fd_filestat_get(link, &other));
  CHECK(memcmp(&stat, &other, sizeof stat) == 0 && stat.nlink == 2);
  put(file, "shared");
  CHECK(strcmp(get(link), "shared") == 0);
  OK(__wasi_fd_close(link));
  OK(__wasi_fd_close(file));
  ERRNO(__wasi_path_link(ROOT, 0, "file", ROOT, "link"), __WASI_ERRNO_EXIST);
  ERRNO(__wasi_path_link(ROOT, 0, "file", ROOT, "file"), __WASI_ERRNO_EXIST);
  OK(__wasi_path_rename(ROOT, "file", ROOT, "link")); /* The same file: nothing happens. */
  OK(__wasi_path_unlink_file(ROOT, "link"));
  OK(__wasi_path_create_directory(ROOT, "dir"));
  OK(__wasi_path_link(ROOT, 0, "file", ROOT, "dir/link"));
  ERRNO(__wasi_path_link(ROOT, 0, "file", ROOT, "dir"), __WASI_ERRNO_EXIST);
  ERRNO(__wasi_path_link(ROOT, 0, "dir", ROOT, "link"), __WASI_ERRNO_PERM);
  OK(__wasi_path_unlink_file(ROOT, "dir/link"));
  OK(__wasi_path_remove_directory(ROOT, "dir"));

  OK(__wasi_path_symlink("missing", ROOT, "symlink"));
  OK(__wasi_path_link(ROOT, 0, "symlink", ROOT, "link"));
  OK(__wasi_path_filestat_get(ROOT, 0, "link", &stat));
  CHECK(stat.filetype == __WASI_FILETYPE_SYMBOLIC_LINK && stat.nlink == 2);
  ERRNO(__wasi_path_link(ROOT, 0, "file", ROOT, "symlink"), __WASI_ERRNO_EXIST);
  ERRNO(__wasi_path_link(ROOT, FOLLOW, "symlink", ROOT, "other"), __WASI_ERRNO_NOENT);
  OK(__wasi_path_unlink_file(ROOT, "link"));
  OK(__wasi_path_unlink_file(ROOT, "symlink"));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

static void renaming(void) {
  OK(__wasi_path_create_directory(ROOT, "source"));
  OK(__wasi_path_rename(ROOT, "source", ROOT, "target"));
  ERRNO(open_plain("source", __WASI_OFLAGS_DIRECTORY, &fd), __WASI_ERRNO_NOENT);
  OK(open_plain("target", __WASI_OFLAGS_DIRECTORY, &fd));
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_create_directory(ROOT, "source"));
  OK(__wasi_path_rename(ROOT, "source", ROOT, "target"));
  OK(__wasi_path_create_directory(ROOT, "source"));
  make_file("target/file");
  ERRNO(__wasi_path_rename(ROOT, "source", ROOT, "target"), __WASI_ERRNO_NOTEMPTY);
  ERRNO(__wasi_path_rename(ROOT, "source", ROOT, "target/file"), __WASI_ERRNO_NOTDIR);
  ERRNO(__wasi_path_rename(ROOT, "target", ROOT, "target/inside"), __WASI_ERRNO_INVAL);
  OK(__wasi_path_rename(ROOT, "target/file", ROOT, "file"));
  ERRNO(__wasi_path_rename(ROOT, "file", ROOT, "target"), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_path_rename(ROOT, "missing", ROOT, "target"), __WASI_ERRNO_NOENT);
  make_file("replaced");
  OK(__wasi_path_rename(ROOT, "file", ROOT, "replaced"));
  ERRNO(open_plain("file", 0, &fd), __WASI_ERRNO_NOENT);
  OK(__wasi_path_unlink_file(ROOT, "replaced"));
  OK(__wasi_path_remove_directory(ROOT, "source"));
  OK(__wasi_path_remove_directory(ROOT, "target"));
}

static void times_of_paths(void) {
  make_file("file");
  OK(__wasi_path_symlink("file", ROOT, "link"));
  OK(__wasi_path_filestat_get(ROOT, 0, "file", &stat));
  __wasi_timestamp_t before = stat.mtim;
  OK(__wasi_path_filestat_set_times(ROOT, 0, "link", 0, before - 200, __WASI_FSTFLAGS_MTIM));
  OK(__wasi_path_filestat_get(ROOT, 0, "link", &stat));
  CHECK(stat.mtim == before - 200);
  OK(__wasi_path_filestat_get(ROOT, FOLLOW, "link", &stat));
  CHECK(stat.mtim == before);
  OK(__wasi_path_filestat_set_times(ROOT, FOLLOW, "link", 7, 1234567890123456789, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_ATIM));
  OK(__wasi_path_filestat_get(ROOT, 0, "file", &stat));
  CHECK(stat.mtim == 1234567890123456789 && stat.atim == 7);
  ERRNO(__wasi_path_filestat_set_times(ROOT, 0, "file", 0, 0, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_path_filestat_set_times(ROOT, 0, "file", 0, 0, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_ATIM_NOW), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_path_filestat_set_times(ROOT, 0, "file", 0, 0, 16), __WASI_ERRNO_INVAL);
  OK(__wasi_path_filestat_get(ROOT, 0, "file", &other));
  CHECK(stat.mtim == other.mtim && stat.dev == other.dev && stat.ino == other.ino);
  OK(__wasi_path_filestat_set_times(ROOT, 0, "file", 0, 0, __WASI_FSTFLAGS_MTIM_NOW));
  OK(__wasi_path_filestat_get(ROOT, 0, "file", &other));
  CHECK(other.mtim > stat.mtim && other.atim == 7);
  OK(__wasi_path_unlink_file(ROOT, "link"));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

int main(void) {
  interesting_paths();
  raw_paths();
  links();
  readlink_truncates();
  slashes_at_the_end();
  removing();
  hard_links();
  renaming();
  times_of_paths();
  return 0;
}
