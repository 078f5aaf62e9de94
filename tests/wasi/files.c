/* What can be done with an open file. */
#include "check.h"

static __wasi_fd_t fd;
static __wasi_filestat_t stat;
static __wasi_fdstat_t fdstat;
static __wasi_filesize_t position;
static __wasi_size_t count;

static void seeking(void) {
  fd = open_file("file");
  CHECK(put(fd, "hello world") == 11);
  OK(__wasi_fd_tell(fd, &position));
  CHECK(position == 11);
  CHECK(seek(fd, 6, __WASI_WHENCE_SET) == 6);
  CHECK(strcmp(get(fd), "world") == 0);
  CHECK(strcmp(get(fd), "") == 0);
  CHECK(seek(fd, -5, __WASI_WHENCE_END) == 6);
  CHECK(seek(fd, 2, __WASI_WHENCE_CUR) == 8);
  ERRNO(__wasi_fd_seek(fd, -9, __WASI_WHENCE_CUR, &position), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_fd_seek(fd, -1, __WASI_WHENCE_SET, &position), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_fd_seek(fd, 0, 3, &position), __WASI_ERRNO_INVAL);
  CHECK(seek(fd, 20, __WASI_WHENCE_SET) == 20);
  CHECK(strcmp(get(fd), "") == 0);
  put(fd, "!"); /* leaves a hole of zeros */
  OK(__wasi_fd_filestat_get(fd, &stat));
  CHECK(stat.size == 21 && stat.filetype == __WASI_FILETYPE_REGULAR_FILE);
  seek(fd, 11, __WASI_WHENCE_SET);
  CHECK(memcmp(get(fd), "\0\0\0\0\0\0\0\0\0!", 10) == 0);
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

static void positioned(void) {
  uint8_t a[2], b[4];
  __wasi_iovec_t into[] = {{a, 2}, {b, 0}, {b, 4}};
  __wasi_ciovec_t from[] = {{(const uint8_t *)"ab", 2}, {(const uint8_t *)"cdef", 4}};
  fd = open_file("file");
  OK(__wasi_fd_pwrite(fd, from, 2, 3, &count));
  CHECK(count == 6);
  OK(__wasi_fd_tell(fd, &position));
  CHECK(position == 0);
  OK(__wasi_fd_pread(fd, into, 3, 3, &count));
  CHECK(count == 6 && memcmp(a, "ab", 2) == 0 && memcmp(b, "cdef", 4) == 0);
  OK(__wasi_fd_pread(fd, into, 3, 8, &count));
  CHECK(count == 1 && a[0] == 'f');
  OK(__wasi_fd_pread(fd, into, 3, 9, &count));
  CHECK(count == 0);
  ERRNO(__wasi_fd_pread(fd, into, 3, UINT64_MAX, &count), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_fd_pwrite(fd, from, 2, UINT64_MAX, &count), __WASI_ERRNO_INVAL);
  OK(__wasi_fd_read(fd, into, 0, &count));
  CHECK(count == 0);
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

static void appending(void) {
  OK(__wasi_path_open(ROOT, 0, "file", __WASI_OFLAGS_CREAT, FILE_RIGHTS, 0, __WASI_FDFLAGS_APPEND, &fd));
  put(fd, "one");
  seek(fd, 0, __WASI_WHENCE_SET);
  put(fd, "two");
  OK(__wasi_fd_tell(fd, &position));
  CHECK(position == 6);
  __wasi_ciovec_t end = {(const uint8_t *)"end", 3};
  OK(__wasi_fd_pwrite(fd, &end, 1, 0, &count)); /* appends, as on Linux */
  OK(__wasi_fd_tell(fd, &position));
  CHECK(position == 6);
  seek(fd, 0, __WASI_WHENCE_SET);
  CHECK(strcmp(get(fd), "onetwoend") == 0);
  OK(__wasi_fd_fdstat_get(fd, &fdstat));
  CHECK(fdstat.fs_flags == __WASI_FDFLAGS_APPEND);
  OK(__wasi_fd_fdstat_set_flags(fd, 0));
  seek(fd, 0, __WASI_WHENCE_SET);
  put(fd, "ONE");
  seek(fd, 0, __WASI_WHENCE_SET);
  CHECK(strcmp(get(fd), "ONEtwoend") == 0);
  OK(__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_APPEND | __WASI_FDFLAGS_SYNC | __WASI_FDFLAGS_NONBLOCK));
  OK(__wasi_fd_fdstat_get(fd, &fdstat));
  CHECK(fdstat.fs_flags == (__WASI_FDFLAGS_APPEND | __WASI_FDFLAGS_SYNC | __WASI_FDFLAGS_NONBLOCK));
  seek(fd, 0, __WASI_WHENCE_SET);
  put(fd, "+");
  OK(__wasi_fd_filestat_get(fd, &stat));
  CHECK(stat.size == 10);
  ERRNO(__wasi_fd_fdstat_set_flags(fd, 32), __WASI_ERRNO_INVAL);
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

static void sizes(void) {
  fd = open_file("file");
  OK(__wasi_fd_filestat_set_size(fd, 100));
  OK(__wasi_fd_filestat_get(fd, &stat));
  CHECK(stat.size == 100);
  OK(__wasi_fd_advise(fd, 10, 50, __WASI_ADVICE_NORMAL));
  ERRNO(__wasi_fd_advise(fd, 10, 50, 6), __WASI_ERRNO_INVAL);
  OK(__wasi_fd_allocate(fd, 10, 10));
  OK(__wasi_fd_filestat_get(fd, &stat));
  CHECK(stat.size == 100);
  OK(__wasi_fd_allocate(fd, 90, 20));
  OK(__wasi_fd_filestat_get(fd, &stat));
  CHECK(stat.size == 110);
  ERRNO(__wasi_fd_allocate(fd, 0, 0), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_fd_filestat_set_size(fd, UINT64_MAX), __WASI_ERRNO_INVAL);
  put(fd, "abc");
  OK(__wasi_fd_filestat_set_size(fd, 1));
  OK(__wasi_fd_filestat_set_size(fd, 3));
  seek(fd, 0, __WASI_WHENCE_SET);
  CHECK(memcmp(get(fd), "a\0\0", 4) == 0);
  OK(__wasi_fd_sync(fd));
  OK(__wasi_fd_datasync(fd));
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_open(ROOT, 0, "file", __WASI_OFLAGS_TRUNC, RW, 0, 0, &fd));
  CHECK(strcmp(get(fd), "") == 0);
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

static void times(void) {
  fd = open_file("file");
  OK(__wasi_fd_filestat_get(fd, &stat));
  __wasi_timestamp_t accessed = stat.atim, modified = stat.mtim;
  OK(__wasi_fd_filestat_set_times(fd, modified - 100, modified - 100, __WASI_FSTFLAGS_MTIM));
  OK(__wasi_fd_filestat_get(fd, &stat));
  CHECK(stat.mtim == modified - 100 && stat.atim == accessed && stat.size == 0);
  ERRNO(__wasi_fd_filestat_set_times(fd, 1, 2, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_fd_filestat_set_times(fd, 1, 2, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_ATIM_NOW), __WASI_ERRNO_INVAL);
  OK(__wasi_fd_filestat_set_times(fd, 5, 0, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM_NOW));
  OK(__wasi_fd_filestat_get(fd, &stat));
  CHECK(stat.atim == 5 && stat.mtim > modified - 100);
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

/* A file that was removed lives on until it is closed, and its name is free. */
static void removed_while_open(void) {
  fd = open_file("file");
  put(fd, "still here");
  OK(__wasi_path_unlink_file(ROOT, "file"));
  make_file("file");
  seek(fd, 0, __WASI_WHENCE_SET);
  CHECK(strcmp(get(fd), "still here") == 0);
  OK(__wasi_fd_filestat_get(fd, &stat));
  CHECK(stat.nlink == 0);
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

static void two_descriptors_of_one_file(void) {
  __wasi_fd_t reader, writer;
  OK(__wasi_path_open(ROOT, 0, "file", __WASI_OFLAGS_CREAT, __WASI_RIGHTS_FD_READ, 0, 0, &reader));
  OK(__wasi_path_open(ROOT, 0, "file", 0, __WASI_RIGHTS_FD_WRITE, 0, 0, &writer));
  put(writer, "unbuffered");
  CHECK(strcmp(get(reader), "unbuffered") == 0);
  OK(__wasi_fd_close(reader));
  OK(__wasi_fd_close(writer));
  ERRNO(open_plain("file", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, &fd), __WASI_ERRNO_EXIST);
  OK(__wasi_path_unlink_file(ROOT, "file"));
  OK(open_plain("file", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, &fd));
  OK(__wasi_fd_close(fd));
  OK(__wasi_path_unlink_file(ROOT, "file"));
}

int main(void) {
  seeking();
  positioned();
  appending();
  sizes();
  times();
  removed_while_open();
  two_descriptors_of_one_file();
  return 0;
}
