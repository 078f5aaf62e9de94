/* Numbers of descriptors: preopened ones, renumbering, closing, running out. Its second folder is called "/second". */
#include "check.h"

static __wasi_fd_t fd, other;
static __wasi_fdstat_t fdstat;
static __wasi_prestat_t prestat;
static __wasi_filestat_t stat, same;

static void preopened(void) {
  uint8_t name[16] = {0};
  OK(__wasi_fd_prestat_get(ROOT, &prestat));
  CHECK(prestat.tag == __WASI_PREOPENTYPE_DIR && prestat.u.dir.pr_name_len == 1);
  ERRNO(__wasi_fd_prestat_dir_name(ROOT, name, 0), __WASI_ERRNO_NAMETOOLONG);
  OK(__wasi_fd_prestat_dir_name(ROOT, name, 5));
  CHECK(memcmp(name, "/\0", 2) == 0);
  OK(__wasi_fd_prestat_get(ROOT + 1, &prestat));
  CHECK(prestat.u.dir.pr_name_len == 7);
  OK(__wasi_fd_prestat_dir_name(ROOT + 1, name, 7));
  CHECK(strcmp((char *)name, "/second") == 0);
  ERRNO(__wasi_fd_prestat_get(ROOT + 2, &prestat), __WASI_ERRNO_BADF);
  ERRNO(__wasi_fd_prestat_get(1, &prestat), __WASI_ERRNO_BADF);
  ERRNO(__wasi_fd_prestat_dir_name(1, name, 7), __WASI_ERRNO_BADF);
  ERRNO(__wasi_path_rename(ROOT, "missing", ROOT + 1, "x"), __WASI_ERRNO_XDEV);
}

static void standard_streams(void) {
  __wasi_filesize_t position;
  for (fd = 0; fd < 3; fd++) {
    OK(__wasi_fd_fdstat_get(fd, &fdstat));
    CHECK(fdstat.fs_filetype == __WASI_FILETYPE_UNKNOWN); /* a pipe, for which there is no name */
    CHECK(((fdstat.fs_rights_base & __WASI_RIGHTS_FD_READ) != 0) == (fd == 0));
    CHECK(((fdstat.fs_rights_base & __WASI_RIGHTS_FD_WRITE) != 0) == (fd != 0));
    OK(__wasi_fd_filestat_get(fd, &stat));
    ERRNO(__wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &position), __WASI_ERRNO_SPIPE);
    ERRNO(__wasi_fd_tell(fd, &position), __WASI_ERRNO_SPIPE);
    ERRNO(__wasi_fd_prestat_get(fd, &prestat), __WASI_ERRNO_BADF);
    ERRNO(__wasi_path_open(fd, 0, "x", 0, 0, 0, 0, &other), __WASI_ERRNO_NOTDIR);
  }
}

static void renumbering(void) {
  __wasi_fdstat_t before;
  fd = open_file("one");
  OK(open_plain("two", __WASI_OFLAGS_CREAT, &other));
  put(fd, "one");
  OK(__wasi_fd_fdstat_get(fd, &before));
  OK(__wasi_fd_renumber(fd, other));
  ERRNO(__wasi_fd_close(fd), __WASI_ERRNO_BADF);
  OK(__wasi_fd_fdstat_get(other, &fdstat));
  CHECK(memcmp(&fdstat, &before, sizeof fdstat) == 0);
  seek(other, 0, __WASI_WHENCE_SET);
  CHECK(strcmp(get(other), "one") == 0);
  ERRNO(__wasi_fd_renumber(other, fd), __WASI_ERRNO_BADF);
  ERRNO(__wasi_fd_renumber(fd, other), __WASI_ERRNO_BADF);
  OK(__wasi_fd_renumber(other, other));
  OK(__wasi_fd_close(other));
  OK(__wasi_path_unlink_file(ROOT, "two"));
}

static void bad_numbers(void) {
  __wasi_size_t count;
  __wasi_filesize_t position;
  uint8_t byte;
  __wasi_iovec_t into = {&byte, 1};
  __wasi_ciovec_t from = {&byte, 1};
  static const __wasi_fd_t bad[] = {77, -1, INT32_MAX, INT32_MIN};
  for (unsigned index = 0; index < sizeof bad / sizeof *bad; index++) {
    fd = bad[index];
    ERRNO(__wasi_fd_close(fd), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_read(fd, &into, 1, &count), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_write(fd, &from, 1, &count), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_pread(fd, &into, 1, 0, &count), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_pwrite(fd, &from, 1, 0, &count), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &position), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_tell(fd, &position), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_sync(fd), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_datasync(fd), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_advise(fd, 0, 0, 0), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_allocate(fd, 0, 1), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_fdstat_get(fd, &fdstat), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_fdstat_set_flags(fd, 0), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_fdstat_set_rights(fd, 0, 0), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_filestat_get(fd, &stat), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_filestat_set_size(fd, 0), __WASI_ERRNO_BADF);
    ERRNO(__wasi_fd_filestat_set_times(fd, 0, 0, 0), __WASI_ERRNO_BADF);
    ERRNO(__wasi_path_unlink_file(fd, "x"), __WASI_ERRNO_BADF);
  }
}

static void running_out(void) {
  int opened = 0;
  int errno_was;
  while ((errno_was = open_plain("one", 0, &fd)) == 0) opened++;
  CHECK(errno_was == __WASI_ERRNO_MFILE && opened == 27); /* 32 less the five it began with */
  ERRNO(open_plain("new", __WASI_OFLAGS_CREAT, &fd), __WASI_ERRNO_MFILE);
  ERRNO(__wasi_path_filestat_get(ROOT, 0, "new", &stat), __WASI_ERRNO_NOENT);
  OK(__wasi_fd_close(9));
  OK(__wasi_fd_close(7));
  OK(open_plain("one", 0, &fd));
  CHECK(fd == 7);
  OK(open_plain("one", 0, &fd));
  CHECK(fd == 9);
  for (fd = ROOT + 2; fd < 32; fd++) OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "one"));
}

static void preopened_ones_can_go(void) {
  OK(__wasi_path_create_directory(ROOT, "dir"));
  OK(__wasi_path_open(ROOT, 0, "dir", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_FILESTAT_GET, 0, 0, &fd));
  OK(__wasi_fd_filestat_get(fd, &stat));
  OK(__wasi_path_remove_directory(ROOT, "dir"));
  OK(__wasi_fd_close(ROOT + 1));
  ERRNO(__wasi_fd_fdstat_get(ROOT + 1, &fdstat), __WASI_ERRNO_BADF);
  OK(__wasi_fd_renumber(fd, ROOT));
  OK(__wasi_fd_filestat_get(ROOT, &same));
  CHECK(stat.dev == same.dev && stat.ino == same.ino);
  ERRNO(__wasi_fd_prestat_get(ROOT, &prestat), __WASI_ERRNO_BADF);
  OK(__wasi_fd_close(ROOT));
}

/* stdin and stdout can be moved away as well. */
static void standard_streams_can_go(void) {
  OK(__wasi_fd_renumber(0, 1));
  ERRNO(__wasi_fd_fdstat_get(0, &fdstat), __WASI_ERRNO_BADF);
  CHECK(strcmp(get(1), "input") == 0);
  OK(__wasi_fd_close(1));
}

int main(void) {
  preopened();
  standard_streams();
  renumbering();
  bad_numbers();
  running_out();
  preopened_ones_can_go();
  standard_streams_can_go();
  return 0;
}
