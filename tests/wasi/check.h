/* What the conformance programs share: checks that name their line, and short names for what they open. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

/* Ends the program with status 1 unless `condition` holds. */
#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);          \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

/* Ends the program unless `call` gives the error number `expected`. */
#define ERRNO(call, expected)                                                  \
  do {                                                                         \
    int errno_was = (call);                                                    \
    if (errno_was != (expected)) {                                             \
      fprintf(stderr, "%s:%d: %s gave %d, not %s\n", __FILE__, __LINE__,       \
              #call, errno_was, #expected);                                    \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

#define OK(call) ERRNO(call, __WASI_ERRNO_SUCCESS)

#define ALL_RIGHTS ((__wasi_rights_t)0x3fffffff)
#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW
#define RW (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE)
#define FILE_RIGHTS                                                            \
  (RW | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL |                        \
   __WASI_RIGHTS_FD_DATASYNC | __WASI_RIGHTS_FD_SYNC |                         \
   __WASI_RIGHTS_FD_FDSTAT_SET_FLAGS | __WASI_RIGHTS_FD_ADVISE |               \
   __WASI_RIGHTS_FD_ALLOCATE | __WASI_RIGHTS_FD_FILESTAT_GET |                 \
   __WASI_RIGHTS_FD_FILESTAT_SET_SIZE | __WASI_RIGHTS_FD_FILESTAT_SET_TIMES |  \
   __WASI_RIGHTS_POLL_FD_READWRITE)

/* The folder that the programs work in: the first preopened one. */
#define ROOT 3

/* Opens `path` below ROOT with no rights at all, not following a link. */
static inline int open_plain(const char *path, __wasi_oflags_t flags, __wasi_fd_t *fd) {
  return __wasi_path_open(ROOT, 0, path, flags, 0, 0, 0, fd);
}

/* Opens a file below ROOT, made if it is missing, with all that can be done with a file. */
static inline __wasi_fd_t open_file(const char *path) {
  __wasi_fd_t fd;
  OK(__wasi_path_open(ROOT, 0, path, __WASI_OFLAGS_CREAT, FILE_RIGHTS, 0, 0, &fd));
  CHECK(fd > ROOT);
  return fd;
}

static inline void make_file(const char *path) {
  __wasi_fd_t fd;
  OK(open_plain(path, __WASI_OFLAGS_CREAT, &fd));
  OK(__wasi_fd_close(fd));
}

static inline __wasi_size_t put(__wasi_fd_t fd, const char *text) {
  __wasi_ciovec_t vector = {(const uint8_t *)text, strlen(text)};
  __wasi_size_t written;
  OK(__wasi_fd_write(fd, &vector, 1, &written));
  return written;
}

/* Reads up to 63 bytes into a string that lives until the next call. */
static inline const char *get(__wasi_fd_t fd) {
  static char text[64];
  __wasi_iovec_t vector = {(uint8_t *)text, sizeof text - 1};
  __wasi_size_t bytes;
  OK(__wasi_fd_read(fd, &vector, 1, &bytes));
  text[bytes] = 0;
  return text;
}

static inline __wasi_filesize_t seek(__wasi_fd_t fd, int64_t offset, __wasi_whence_t whence) {
  __wasi_filesize_t position;
  OK(__wasi_fd_seek(fd, offset, whence, &position));
  return position;
}
