/*
 * Lets QEMU map its guest's memory from a file that it must not change.
 *
 * A clone maps the memory of its template copy-on-write (memory-backend-file,share=off), for which a file that is open for reading
 * is enough. QEMU opens it for writing nevertheless, and where a guest gives pages back (balloon, free page reporting) it punches
 * holes into it, under the feet of all other clones. So a clone gets the file read-only, and this library, preloaded into QEMU,
 * makes the two calls do what is wanted then:
 *
 * - a file that cannot be opened for reading and writing, since its mount is read-only or it is another user's, is opened for reading;
 * - a hole in a file that is open for reading is no hole; QEMU's madvise(MADV_DONTNEED) that follows drops the clone's own copy.
 *
 * Nothing is made possible that the kernel forbids. Later versions of QEMU can open the file so by themselves
 * (readonly=on,rom=off, since 8.2), but then refuse to give pages back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static int open_file(const char *path, int flags, mode_t mode) {
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  int is_refused = fd < 0 && (errno == EROFS || errno == EACCES);
  if (!is_refused || (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != O_RDWR)
    return fd;
  return (int)syscall(SYS_openat, AT_FDCWD, path, (flags & ~O_ACCMODE) | O_RDONLY, mode);
}

PUBLIC int open64(const char *path, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | __O_TMPFILE)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  return open_file(path, flags, mode);
}

PUBLIC int __open64_2(const char *path, int flags);
PUBLIC int __open64_2(const char *path, int flags) {
  return open_file(path, flags, 0);
}

PUBLIC int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  if (syscall(SYS_fallocate, fd, mode, offset, length) == 0)
    return 0;
  return errno == EBADF && (mode & FALLOC_FL_PUNCH_HOLE) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY ? 0 : -1;
}
