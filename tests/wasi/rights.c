/* Rights: what a descriptor may do, what it passes on, and that they can only be given up. */
#include "check.h"

static __wasi_fd_t fd, dir;
static __wasi_fdstat_t fdstat;
static __wasi_filestat_t stat;
static __wasi_filesize_t position;
static __wasi_size_t count;
static uint8_t byte;
static __wasi_iovec_t into = {&byte, 1};
static __wasi_ciovec_t from = {&byte, 1};

static void of_a_preopened_folder(void) {
  OK(__wasi_fd_fdstat_get(ROOT, &fdstat));
  CHECK(fdstat.fs_filetype == __WASI_FILETYPE_DIRECTORY && fdstat.fs_flags == 0);
  __wasi_rights_t paths = __WASI_RIGHTS_PATH_OPEN | __WASI_RIGHTS_FD_READDIR | __WASI_RIGHTS_PATH_FILESTAT_GET |
                          __WASI_RIGHTS_PATH_FILESTAT_SET_SIZE | __WASI_RIGHTS_PATH_SYMLINK;
  CHECK((fdstat.fs_rights_base & paths) == paths);
  CHECK((fdstat.fs_rights_base & (RW | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_FILESTAT_SET_SIZE)) == 0);
  CHECK((fdstat.fs_rights_inheriting & (paths | FILE_RIGHTS)) == (paths | FILE_RIGHTS));
  OK(__wasi_path_open(ROOT, 0, ".", 0, fdstat.fs_rights_base, fdstat.fs_rights_inheriting, 0, &fd));
  OK(__wasi_fd_close(fd));
  OK(open_plain(".", 0, &fd));
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_open(ROOT, 0, ".", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READ, 0, __WASI_FDFLAGS_NONBLOCK, &fd));
  OK(__wasi_fd_close(fd));
  ERRNO(__wasi_path_open(ROOT, 0, ".", __WASI_OFLAGS_DIRECTORY, RW, 0, 0, &fd), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_path_open(ROOT, 0, ".", 0, RW, 0, 0, &fd), __WASI_ERRNO_ISDIR);
}

static void directories_are_no_files(void) {
  OK(__wasi_path_create_directory(ROOT, "dir"));
  OK(__wasi_path_open(ROOT, 0, "dir", __WASI_OFLAGS_DIRECTORY, ALL_RIGHTS & ~RW & ~(__wasi_rights_t)__WASI_RIGHTS_FD_ALLOCATE & ~(__wasi_rights_t)__WASI_RIGHTS_FD_FILESTAT_SET_SIZE, ALL_RIGHTS, 0, &dir));
  OK(__wasi_fd_fdstat_get(dir, &fdstat));
  CHECK((fdstat.fs_rights_base & __WASI_RIGHTS_FD_SEEK) == 0);
  ERRNO(__wasi_fd_read(dir, &into, 1, &count), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_fd_pread(dir, &into, 1, 0, &count), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_fd_write(dir, &from, 1, &count), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_fd_pwrite(dir, &from, 1, 0, &count), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_fd_seek(dir, 0, __WASI_WHENCE_CUR, &position), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_fd_seek(dir, 0, __WASI_WHENCE_SET, &position), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_fd_tell(dir, &position), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_fd_allocate(dir, 0, 1), __WASI_ERRNO_ISDIR);
  ERRNO(__wasi_fd_filestat_set_size(dir, 0), __WASI_ERRNO_ISDIR);
  OK(__wasi_fd_filestat_get(dir, &stat));
  CHECK(stat.filetype == __WASI_FILETYPE_DIRECTORY);
  OK(__wasi_fd_filestat_set_times(dir, 0, 1000000001, __WASI_FSTFLAGS_MTIM));
  OK(__wasi_fd_filestat_get(dir, &stat));
  CHECK(stat.mtim == 1000000001);
  OK(__wasi_fd_sync(dir));
  OK(__wasi_fd_datasync(dir));
  OK(__wasi_fd_fdstat_set_flags(dir, 0));
  OK(__wasi_fd_close(dir));
  OK(__wasi_path_remove_directory(ROOT, "dir"));
}

static void giving_up(void) {
  OK(__wasi_path_open(ROOT, 0, "file", __WASI_OFLAGS_CREAT, RW | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL, 0, 0, &fd));
  put(fd, "text");
  OK(__wasi_fd_fdstat_set_rights(fd, __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL, 0));
  OK(__wasi_fd_fdstat_get(fd, &fdstat));
  CHECK(fdstat.fs_rights_base == (__WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL));
  ERRNO(__wasi_fd_read(fd, &into, 1, &count), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_write(fd, &from, 1, &count), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_pread(fd, &into, 1, 0, &count), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_fdstat_set_rights(fd, RW, 0), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_fdstat_set_rights(fd, 0, 1), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_fdstat_set_rights(fd, (uint64_t)1 << 63, 0), __WASI_ERRNO_NOTCAPABLE);
  OK(__wasi_fd_fdstat_set_rights(fd, __WASI_RIGHTS_FD_TELL, 0));
  OK(__wasi_fd_seek(fd, 0, __WASI_WHENCE_CUR, &position)); /* It only tells. */
  ERRNO(__wasi_fd_seek(fd, 1, __WASI_WHENCE_CUR, &position), __WASI_ERRNO_NOTCAPABLE);
  OK(__wasi_fd_fdstat_set_rights(fd, 0, 0));
  ERRNO(__wasi_fd_tell(fd, &position), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_filestat_get(fd, &stat), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_filestat_set_size(fd, 0), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_filestat_set_times(fd, 0, 0, 0), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_allocate(fd, 0, 1), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_advise(fd, 0, 1, 0), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_sync(fd), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_datasync(fd), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_fdstat_set_flags(fd, 0), __WASI_ERRNO_NOTCAPABLE);
  OK(__wasi_fd_close(fd));
}

static void reading_or_writing_only(void) {
  OK(__wasi_path_open(ROOT, 0, "file", 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd));
  ERRNO(__wasi_fd_write(fd, &from, 1, &count), __WASI_ERRNO_NOTCAPABLE);
  CHECK(strcmp(get(fd), "text") == 0);
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_open(ROOT, 0, "file", 0, __WASI_RIGHTS_FD_WRITE, 0, 0, &fd));
  ERRNO(__wasi_fd_read(fd, &into, 1, &count), __WASI_ERRNO_NOTCAPABLE);
  put(fd, "T");
  OK(__wasi_fd_close(fd));
  OK(open_plain("file", 0, &fd));
  ERRNO(__wasi_fd_read(fd, &into, 1, &count), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_open(fd, 0, "x", __WASI_OFLAGS_CREAT, 0, 0, 0, &dir), __WASI_ERRNO_NOTDIR);
  OK(__wasi_fd_close(fd));
}

static void truncating(void) {
  __wasi_rights_t base, inheriting;
  OK(__wasi_path_open(ROOT, 0, ".", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_PATH_OPEN | __WASI_RIGHTS_PATH_FILESTAT_SET_SIZE, FILE_RIGHTS, 0, &dir));
  OK(__wasi_path_open(dir, 0, "file", __WASI_OFLAGS_TRUNC, 0, 0, 0, &fd));
  OK(__wasi_fd_close(fd));
  OK(__wasi_fd_fdstat_get(dir, &fdstat));
  base = fdstat.fs_rights_base, inheriting = fdstat.fs_rights_inheriting & ~(__wasi_rights_t)__WASI_RIGHTS_FD_FILESTAT_SET_SIZE;
  OK(__wasi_fd_fdstat_set_rights(dir, base, inheriting));
  OK(__wasi_path_open(dir, 0, "file", __WASI_OFLAGS_TRUNC, 0, 0, 0, &fd));
  OK(__wasi_fd_close(fd));
  OK(__wasi_fd_fdstat_set_rights(dir, base & ~(__wasi_rights_t)__WASI_RIGHTS_PATH_FILESTAT_SET_SIZE, inheriting));
  ERRNO(__wasi_path_open(dir, 0, "file", __WASI_OFLAGS_TRUNC, 0, 0, 0, &fd), __WASI_ERRNO_NOTCAPABLE);
  OK(__wasi_fd_close(dir));
}

/* What a directory does not pass on cannot be had through it, and each call on a path needs its own right. */
static void inheriting(void) {
  uint8_t buffer[8];
  OK(__wasi_path_open(ROOT, 0, ".", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_PATH_OPEN, __WASI_RIGHTS_FD_READ, 0, &dir));
  OK(__wasi_path_open(dir, 0, "file", 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd));
  OK(__wasi_fd_close(fd));
  ERRNO(__wasi_path_open(dir, 0, "file", 0, __WASI_RIGHTS_FD_WRITE, 0, 0, &fd), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_open(dir, 0, "file", 0, 0, __WASI_RIGHTS_FD_WRITE, 0, &fd), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_open(dir, 0, "file", 0, 0, 0, __WASI_FDFLAGS_SYNC, &fd), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_open(dir, 0, "file", 0, 0, 0, __WASI_FDFLAGS_DSYNC, &fd), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_open(dir, 0, "new", __WASI_OFLAGS_CREAT, 0, 0, 0, &fd), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_create_directory(dir, "x"), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_filestat_get(dir, 0, "file", &stat), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_filestat_set_times(dir, 0, "file", 0, 0, 0), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_link(dir, 0, "file", ROOT, "x"), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_link(ROOT, 0, "file", dir, "x"), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_readlink(dir, "file", buffer, 8, &count), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_remove_directory(dir, "x"), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_rename(dir, "file", ROOT, "x"), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_rename(ROOT, "file", dir, "x"), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_symlink("x", dir, "y"), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_path_unlink_file(dir, "file"), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_readdir(dir, buffer, 8, 0, &count), __WASI_ERRNO_NOTCAPABLE);
  ERRNO(__wasi_fd_filestat_get(dir, &stat), __WASI_ERRNO_NOTCAPABLE);
  OK(__wasi_fd_close(dir));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

int main(void) {
  of_a_preopened_folder();
  directories_are_no_files();
  giving_up();
  reading_or_writing_only();
  truncating();
  inheriting();
  return 0;
}
