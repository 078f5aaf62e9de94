/* Sockets: descriptor 5 is a listener, and each connection it gives says "ping" and takes what it is sent. */
#include "check.h"

#define LISTENER 5

static uint8_t bytes[8];
static __wasi_iovec_t into = {bytes, sizeof bytes};
static __wasi_ciovec_t from = {(const uint8_t *)"pong", 4};
static __wasi_size_t count;
static __wasi_roflags_t flags;

static void not_sockets(void) {
  __wasi_fd_t fd;
  for (__wasi_fd_t each = 0; each <= ROOT; each++) {
    ERRNO(__wasi_sock_shutdown(each, __WASI_SDFLAGS_RD), __WASI_ERRNO_NOTSOCK);
    ERRNO(__wasi_sock_recv(each, &into, 1, 0, &count, &flags), __WASI_ERRNO_NOTSOCK);
    ERRNO(__wasi_sock_send(each, &from, 1, 0, &count), __WASI_ERRNO_NOTSOCK);
    ERRNO(__wasi_sock_accept(each, 0, &fd), __WASI_ERRNO_NOTSOCK);
  }
  ERRNO(__wasi_sock_shutdown(77, __WASI_SDFLAGS_RD), __WASI_ERRNO_BADF);
  ERRNO(__wasi_sock_recv(77, &into, 1, 0, &count, &flags), __WASI_ERRNO_BADF);
  ERRNO(__wasi_sock_send(77, &from, 1, 0, &count), __WASI_ERRNO_BADF);
  ERRNO(__wasi_sock_accept(77, 0, &fd), __WASI_ERRNO_BADF);
}

int main(void) {
  __wasi_fd_t fd;
  __wasi_fdstat_t fdstat;
  not_sockets();
  ERRNO(__wasi_sock_recv(LISTENER, &into, 1, 0, &count, &flags), __WASI_ERRNO_NOTCONN);
  OK(__wasi_sock_accept(LISTENER, 0, &fd));
  ERRNO(__wasi_sock_accept(fd, 0, &fd), __WASI_ERRNO_INVAL);
  OK(__wasi_fd_fdstat_get(fd, &fdstat));
  CHECK(fdstat.fs_filetype == __WASI_FILETYPE_SOCKET_STREAM);
  OK(__wasi_sock_recv(fd, &into, 1, __WASI_RIFLAGS_RECV_PEEK, &count, &flags));
  CHECK(count == 4 && flags == 0 && memcmp(bytes, "ping", 4) == 0);
  into.buf_len = 2;
  OK(__wasi_sock_recv(fd, &into, 1, 0, &count, &flags));
  CHECK(count == 2 && memcmp(bytes, "pi", 2) == 0);
  into.buf_len = sizeof bytes;
  OK(__wasi_sock_recv(fd, &into, 1, __WASI_RIFLAGS_RECV_WAITALL, &count, &flags));
  CHECK(count == 2 && memcmp(bytes, "ng", 2) == 0);
  OK(__wasi_fd_read(fd, &into, 1, &count));
  CHECK(count == 0);
  ERRNO(__wasi_sock_recv(fd, &into, 1, 4, &count, &flags), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_sock_send(fd, &from, 1, 1, &count), __WASI_ERRNO_INVAL);
  OK(__wasi_sock_send(fd, &from, 1, 0, &count));
  CHECK(count == 4);
  OK(__wasi_fd_write(fd, &from, 1, &count));
  ERRNO(__wasi_sock_shutdown(fd, 0), __WASI_ERRNO_INVAL);
  ERRNO(__wasi_sock_shutdown(fd, 4), __WASI_ERRNO_INVAL);
  OK(__wasi_sock_shutdown(fd, __WASI_SDFLAGS_WR));
  OK(__wasi_fd_close(fd));
  OK(__wasi_fd_fdstat_set_flags(LISTENER, __WASI_FDFLAGS_NONBLOCK));
  ERRNO(__wasi_sock_accept(LISTENER, 0, &fd), __WASI_ERRNO_AGAIN);
  return 0;
}
