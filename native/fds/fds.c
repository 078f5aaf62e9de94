/*
 * What Node.js cannot do with file descriptors, as one N-API addon: unix SOCK_SEQPACKET sockets, descriptors sent and
 * received over them (SCM_RIGHTS), readiness, flock(2) and peer credentials. Two more that Node.js lacks are about the
 * process: its end with its parent, and its free memory. No policy: src/fds says how to use it.
 *
 * Nothing here ever waits, and every descriptor made or received is close-on-exec.
 *
 * Readiness comes from the event loop that Node already runs, by libuv's uv_poll. libuv's headers are not part of
 * node-api-headers, so what we use of it is declared by hand. Safe because node exports these functions, libuv keeps
 * its ABI for all of version 1 (https://docs.libuv.org/en/v1.x/), and no layout is assumed: handles and loops stay
 * opaque, a handle's size is asked for at run time (uv_handle_size), and its owner travels in the data pointer that
 * uv_handle_set_data keeps. The two enumerations are part of that ABI: they only ever grow at the end.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <node_api.h>

/* The kernel's own limit for one message (SCM_MAX_FD). */
#define DESCRIPTORS_MAX 253
/* Larger than any message of ours; a longer one is an error, never a surprise. */
#define MESSAGE_BYTES_MAX 65536

enum { UV_POLL = 8 };                         /* uv_handle_type */
enum { UV_READABLE = 1, UV_WRITABLE = 2 };    /* uv_poll_event */
typedef struct uv_handle_s uv_handle_t;
typedef struct uv_poll_s uv_poll_t;
size_t uv_handle_size(int type);
void *uv_handle_get_data(const uv_handle_t *handle);
void uv_handle_set_data(uv_handle_t *handle, void *data);
int uv_poll_init(struct uv_loop_s *loop, uv_poll_t *handle, int fd);
int uv_poll_start(uv_poll_t *handle, int events, void (*callback)(uv_poll_t *, int status, int events));
int uv_poll_stop(uv_poll_t *handle);
void uv_close(uv_handle_t *handle, void (*callback)(uv_handle_t *));
void uv_ref(uv_handle_t *handle);
void uv_unref(uv_handle_t *handle);
const char *uv_err_name(int error);
const char *uv_strerror(int error);

/* ---- errors and arguments ------------------------------------------------------------------------------------- */

/* An error as Node's own: `code` is the name of the errno, with `errno` (negative) and `syscall`. */
static napi_value build_error(napi_env env, int number, const char *syscall) {
  char message[256];
  napi_value code, text, error, errno_value, syscall_value;
  snprintf(message, sizeof message, "%s: %s, %s", uv_err_name(-number), uv_strerror(-number), syscall);
  if (napi_create_string_utf8(env, uv_err_name(-number), NAPI_AUTO_LENGTH, &code) != napi_ok ||
      napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text) != napi_ok ||
      napi_create_error(env, code, text, &error) != napi_ok)
    return NULL;
  napi_create_int32(env, -number, &errno_value);
  napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &syscall_value);
  napi_set_named_property(env, error, "errno", errno_value);
  napi_set_named_property(env, error, "syscall", syscall_value);
  return error;
}

static napi_value throw_errno(napi_env env, int number, const char *syscall) {
  napi_value error = build_error(env, number, syscall);
  if (error != NULL)
    napi_throw(env, error);
  return NULL;
}

static napi_value throw_type(napi_env env, const char *message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return NULL;
}

/* Exactly `count` arguments; missing ones are undefined. */
static bool read_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *out) {
  size_t given = count;
  return napi_get_cb_info(env, info, &given, out, NULL, NULL) == napi_ok;
}

static bool read_descriptor(napi_env env, napi_value value, int *out) {
  double number;
  /* Not napi_get_value_int64: it makes 0 of NaN, which is a descriptor. */
  if (napi_get_value_double(env, value, &number) != napi_ok || !(number >= 0 && number <= INT32_MAX) ||
      number != (double)(int)number) {
    throw_type(env, "a descriptor is a whole number, 0 or more");
    return false;
  }
  *out = (int)number;
  return true;
}

static bool read_address(napi_env env, napi_value value, struct sockaddr_un *out) {
  size_t length;
  memset(out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    throw_type(env, "a path is a string");
    return false;
  }
  if (length == 0 || length >= sizeof out->sun_path) {
    throw_errno(env, length == 0 ? ENOENT : ENAMETOOLONG, "socket");
    return false;
  }
  napi_get_value_string_utf8(env, value, out->sun_path, sizeof out->sun_path, &length);
  if (strlen(out->sun_path) == length)
    return true;
  throw_errno(env, EINVAL, "socket");
  return false;
}

static napi_value number_of(napi_env env, int64_t number) {
  napi_value value = NULL;
  napi_create_int64(env, number, &value);
  return value;
}

static napi_value boolean_of(napi_env env, bool is) {
  napi_value value = NULL;
  napi_get_boolean(env, is, &value);
  return value;
}

static void close_all(const int *fds, size_t count) {
  for (size_t i = 0; i < count; i++)
    close(fds[i]);
}

/* ---- sockets -------------------------------------------------------------------------------------------------- */

static int open_unix(int type) {
  return socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static napi_value connect_unix(napi_env env, napi_callback_info info, int type) {
  napi_value argument;
  struct sockaddr_un address;
  if (!read_arguments(env, info, 1, &argument) || !read_address(env, argument, &address))
    return NULL;
  int fd = open_unix(type);
  if (fd < 0)
    return throw_errno(env, errno, "socket");
  /* A unix socket connects at once or not at all: EAGAIN says that the backlog is full. */
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
    return number_of(env, fd);
  int number = errno;
  close(fd);
  return throw_errno(env, number, "connect");
}

/* connectSeqpacket(path): fd */
static napi_value connect_seqpacket(napi_env env, napi_callback_info info) {
  return connect_unix(env, info, SOCK_SEQPACKET);
}

/* connectStream(path): fd */
static napi_value connect_stream(napi_env env, napi_callback_info info) {
  return connect_unix(env, info, SOCK_STREAM);
}

/* listenSeqpacket(path, mode): fd */
static napi_value listen_seqpacket(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  struct sockaddr_un address;
  uint32_t mode;
  if (!read_arguments(env, info, 2, arguments) || !read_address(env, arguments[0], &address))
    return NULL;
  if (napi_get_value_uint32(env, arguments[1], &mode) != napi_ok || mode > 0777)
    return throw_type(env, "a mode is between 0 and 0o777");
  int fd = open_unix(SOCK_SEQPACKET);
  if (fd < 0)
    return throw_errno(env, errno, "socket");
  /* On the unbound socket fchmod decides how bind creates the file, so it is never open wider for a moment. */
  if (fchmod(fd, mode) == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
      chmod(address.sun_path, mode) == 0 && listen(fd, SOMAXCONN) == 0)
    return number_of(env, fd);
  int number = errno;
  close(fd);
  return throw_errno(env, number, "bind");
}

/* acceptSeqpacket(fd): fd | undefined */
static napi_value accept_seqpacket(napi_env env, napi_callback_info info) {
  napi_value argument;
  int listener;
  if (!read_arguments(env, info, 1, &argument) || !read_descriptor(env, argument, &listener))
    return NULL;
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
      return number_of(env, fd);
    if (errno == EAGAIN)
      return NULL;
    /* ECONNABORTED: this client is gone, the next one may not be. */
    if (errno != EINTR && errno != ECONNABORTED)
      return throw_errno(env, errno, "accept");
  }
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

/* Collects the descriptors of a message that was just received; they are ours to close from here on. */
static size_t collect_descriptors(struct msghdr *message, int *out) {
  size_t count = 0;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
      continue;
    size_t bytes = part->cmsg_len - CMSG_LEN(0);
    memcpy(out + count, CMSG_DATA(part), bytes);
    count += bytes / sizeof(int);
  }
  return count;
}

/*
 * recvmsg gives 0 for an empty message as for the end. It is the end when the peer has shut down and nothing with
 * content is left; empty messages just before the end are then counted into it.
 */
static bool is_at_end(int fd) {
  int queued = 0;
  struct pollfd state = {.fd = fd, .events = POLLRDHUP};
  if (poll(&state, 1, 0) != 1 || (state.revents & (POLLRDHUP | POLLHUP)) == 0)
    return false;
  return ioctl(fd, FIONREAD, &queued) != 0 || queued == 0;
}

static napi_value throw_lost(napi_env env, const void *bytes, size_t length) {
  napi_value buffer, error = build_error(env, EMFILE, "recvmsg");
  if (error != NULL && napi_create_buffer_copy(env, length, bytes, NULL, &buffer) == napi_ok) {
    napi_set_named_property(env, error, "bytes", buffer);
    napi_throw(env, error);
  }
  return NULL;
}

static napi_value build_message(napi_env env, const void *bytes, size_t length, const int *fds, size_t count) {
  napi_value message, buffer, list;
  if (napi_create_buffer_copy(env, length, bytes, NULL, &buffer) != napi_ok ||
      napi_create_array_with_length(env, count, &list) != napi_ok || napi_create_object(env, &message) != napi_ok) {
    close_all(fds, count);
    return NULL;
  }
  for (size_t i = 0; i < count; i++)
    napi_set_element(env, list, (uint32_t)i, number_of(env, fds[i]));
  napi_set_named_property(env, message, "bytes", buffer);
  napi_set_named_property(env, message, "fds", list);
  return message;
}

/* receive(fd, bytesMax): { bytes, fds } | 'end' | undefined */
static napi_value receive(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int fd;
  uint32_t bytes_max;
  if (!read_arguments(env, info, 2, arguments) || !read_descriptor(env, arguments[0], &fd))
    return NULL;
  if (napi_get_value_uint32(env, arguments[1], &bytes_max) != napi_ok || bytes_max == 0 ||
      bytes_max > MESSAGE_BYTES_MAX)
    return throw_type(env, "bytesMax is between 1 and 65,536");

  char bytes[MESSAGE_BYTES_MAX];
  union {
    char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    struct cmsghdr aligned;
  } control;
  struct iovec part = {.iov_base = bytes, .iov_len = bytes_max};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t length;
  do
    length = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (length < 0 && errno == EINTR);
  if (length < 0)
    return errno == EAGAIN ? NULL : throw_errno(env, errno, "recvmsg");

  int fds[DESCRIPTORS_MAX];
  size_t count = collect_descriptors(&header, fds);
  if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    close_all(fds, count);
    if (header.msg_flags & MSG_TRUNC)
      return throw_errno(env, EMSGSIZE, "recvmsg");
    /* There was room for every descriptor a message can hold, so the kernel could not install them. */
    return throw_lost(env, bytes, (size_t)length);
  }
  if (length == 0 && count == 0 && is_at_end(fd)) {
    napi_value end = NULL;
    napi_create_string_utf8(env, "end", 3, &end);
    return end;
  }
  return build_message(env, bytes, (size_t)length, fds, count);
}

/* Reads an array of descriptors, or undefined. */
static bool read_descriptors(napi_env env, napi_value list, int *out, size_t *count) {
  napi_valuetype type;
  uint32_t length;
  *count = 0;
  if (napi_typeof(env, list, &type) == napi_ok && type == napi_undefined)
    return true;
  if (napi_get_array_length(env, list, &length) != napi_ok || length > DESCRIPTORS_MAX) {
    throw_type(env, "fds is an array of at most 253 descriptors");
    return false;
  }
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    if (napi_get_element(env, list, i, &element) != napi_ok || !read_descriptor(env, element, &out[i]))
      return false;
  }
  *count = length;
  return true;
}

/* send(fd, bytes, fds?): boolean */
static napi_value send_message(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  int fd, fds[DESCRIPTORS_MAX];
  size_t count;
  struct iovec part;
  union {
    char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    struct cmsghdr aligned;
  } control;
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (!read_arguments(env, info, 3, arguments) || !read_descriptor(env, arguments[0], &fd))
    return NULL;
  if (napi_get_buffer_info(env, arguments[1], &part.iov_base, &part.iov_len) != napi_ok)
    return throw_type(env, "bytes is a Buffer or Uint8Array");
  if (!read_descriptors(env, arguments[2], fds, &count))
    return NULL;
  if (count > 0) {
    memset(&control, 0, sizeof control);
    header.msg_control = &control;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
  }
  ssize_t sent;
  do
    sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0)
    return boolean_of(env, true);
  return errno == EAGAIN ? boolean_of(env, false) : throw_errno(env, errno, "sendmsg");
}

/* ---- locks, credentials, closing, dying ----------------------------------------------------------------------- */

/* flock(fd, isExclusive): boolean */
static napi_value lock_file(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int fd, status;
  bool is_exclusive;
  if (!read_arguments(env, info, 2, arguments) || !read_descriptor(env, arguments[0], &fd))
    return NULL;
  if (napi_get_value_bool(env, arguments[1], &is_exclusive) != napi_ok)
    return throw_type(env, "isExclusive is a boolean");
  do
    status = flock(fd, (is_exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
  while (status < 0 && errno == EINTR);
  if (status == 0)
    return boolean_of(env, true);
  return errno == EWOULDBLOCK ? boolean_of(env, false) : throw_errno(env, errno, "flock");
}

/* peerCredentials(fd): { pid, uid, gid } */
static napi_value peer_credentials(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  int fd;
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (!read_arguments(env, info, 1, &argument) || !read_descriptor(env, argument, &fd))
    return NULL;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
    return throw_errno(env, errno, "getsockopt");
  if (napi_create_object(env, &result) != napi_ok)
    return NULL;
  napi_set_named_property(env, result, "pid", number_of(env, peer.pid));
  napi_set_named_property(env, result, "uid", number_of(env, peer.uid));
  napi_set_named_property(env, result, "gid", number_of(env, peer.gid));
  return result;
}

/* close(fd) */
static napi_value close_descriptor(napi_env env, napi_callback_info info) {
  napi_value argument;
  int fd;
  if (!read_arguments(env, info, 1, &argument) || !read_descriptor(env, argument, &fd))
    return NULL;
  /* Linux releases the descriptor also when it says EINTR: closing again could hit somebody else's. */
  if (close(fd) != 0 && errno != EINTR)
    return throw_errno(env, errno, "close");
  return NULL;
}

/* dieWithParent(parent) */
static napi_value die_with_parent(napi_env env, napi_callback_info info) {
  napi_value argument;
  int32_t parent;
  if (!read_arguments(env, info, 1, &argument))
    return NULL;
  if (napi_get_value_int32(env, argument, &parent) != napi_ok || parent < 1)
    return throw_type(env, "a parent is a pid");
  if (prctl(PR_SET_PDEATHSIG, SIGINT, 0, 0, 0) != 0)
    return throw_errno(env, errno, "prctl");
  /* It may have died before that line, and then nobody else sends the signal. */
  if (getppid() != parent)
    kill(getpid(), SIGTERM);
  return NULL;
}

/* trimMemory() */
static napi_value trim_memory(napi_env env, napi_callback_info info) {
  (void)env;
  (void)info;
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return NULL;
}

/* ---- clocks --------------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
static uint64_t raw_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif

/* readTicks(): [ticks, nanoseconds] of the same moment, or undefined */
static napi_value read_ticks(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value pair = NULL;
#ifdef __x86_64__
  uint64_t ticks = 0, ns = 0, shortest = UINT64_MAX;
  /* Of several tries the one that was interrupted least. */
  for (int i = 0; i < 16; i++) {
    uint64_t before = raw_ns();
    uint64_t counter = __builtin_ia32_rdtsc();
    uint64_t took = raw_ns() - before;
    if (took >= shortest)
      continue;
    shortest = took;
    ticks = counter;
    ns = before + took / 2;
  }
  napi_value first, second;
  if (napi_create_array_with_length(env, 2, &pair) != napi_ok ||
      napi_create_bigint_uint64(env, ticks, &first) != napi_ok || napi_set_element(env, pair, 0, first) != napi_ok ||
      napi_create_bigint_uint64(env, ns, &second) != napi_ok || napi_set_element(env, pair, 1, second) != napi_ok)
    return NULL;
#else
  napi_get_undefined(env, &pair);
#endif
  return pair;
}

/* ---- readiness ------------------------------------------------------------------------------------------------ */

/*
 * Owned twice: by libuv until the handle is closed, and by JavaScript until the external is collected. Whoever lets
 * go last frees it.
 */
struct watch {
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  uv_poll_t *handle;
  int events;
  int owners;
  bool is_stopped;
};

static void release(struct watch *watch) {
  if (--watch->owners > 0)
    return;
  free(watch->handle);
  free(watch);
}

static void on_closed(uv_handle_t *handle) {
  struct watch *watch = uv_handle_get_data(handle);
  napi_handle_scope scope = NULL;
  napi_open_handle_scope(watch->env, &scope);
  napi_delete_reference(watch->env, watch->callback);
  napi_async_destroy(watch->env, watch->context);
  napi_remove_async_cleanup_hook(watch->cleanup);
  napi_close_handle_scope(watch->env, scope);
  release(watch);
}

static void stop(struct watch *watch) {
  if (watch->is_stopped)
    return;
  watch->is_stopped = true;
  /* Leaves the epoll set now, so the descriptor may be closed as soon as this returns. */
  uv_poll_stop(watch->handle);
  uv_close((uv_handle_t *)watch->handle, on_closed);
}

/* The environment (a worker, or the process) ends: Node waits until on_closed has removed the hook. */
static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  stop(data);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  release(data);
}

static void on_ready(uv_poll_t *handle, int status, int events) {
  struct watch *watch = uv_handle_get_data((uv_handle_t *)handle);
  napi_env env = watch->env;
  napi_handle_scope scope;
  napi_value callback, receiver, argument, thrown;
  if (napi_open_handle_scope(env, &scope) != napi_ok)
    return;
  /* libuv stops a handle whose descriptor has an error; the callback is to find out which, by using it. */
  bool is_restarted = status >= 0 || uv_poll_start(handle, watch->events, on_ready) == 0;
  if (status < 0)
    events = watch->events;
  if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok &&
      napi_get_global(env, &receiver) == napi_ok && napi_create_int32(env, events, &argument) == napi_ok &&
      napi_make_callback(env, watch->context, receiver, callback, 1, &argument, NULL) == napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &thrown) == napi_ok)
    napi_fatal_exception(env, thrown);
  if (!is_restarted)
    stop(watch);
  napi_close_handle_scope(env, scope);
}

static struct watch *allocate_watch(napi_env env) {
  struct watch *watch = calloc(1, sizeof *watch);
  if (watch == NULL)
    return NULL;
  watch->env = env;
  watch->owners = 2;
  watch->handle = calloc(1, uv_handle_size(UV_POLL));
  if (watch->handle != NULL)
    return watch;
  free(watch);
  return NULL;
}

/* watch(fd, callback): handle. Readable only, until watchEvents says otherwise. */
static napi_value start_watch(napi_env env, napi_callback_info info) {
  napi_value arguments[2], name, external;
  napi_valuetype type;
  struct uv_loop_s *loop;
  int fd;
  if (!read_arguments(env, info, 2, arguments) || !read_descriptor(env, arguments[0], &fd))
    return NULL;
  if (napi_typeof(env, arguments[1], &type) != napi_ok || type != napi_function)
    return throw_type(env, "a callback is a function");
  struct watch *watch = allocate_watch(env);
  if (watch == NULL)
    return throw_errno(env, ENOMEM, "watch");
  int status = napi_get_uv_event_loop(env, &loop) == napi_ok ? uv_poll_init(loop, watch->handle, fd) : -EINVAL;
  if (status != 0) {
    watch->owners = 1;
    release(watch);
    return throw_errno(env, -status, "uv_poll_init");
  }
  /* From here on the handle belongs to the loop, and only uv_close gives it back. */
  uv_handle_set_data((uv_handle_t *)watch->handle, watch);
  watch->events = UV_READABLE;
  napi_create_string_utf8(env, "quiver:fds", NAPI_AUTO_LENGTH, &name);
  napi_create_reference(env, arguments[1], 1, &watch->callback);
  napi_async_init(env, NULL, name, &watch->context);
  napi_add_async_cleanup_hook(env, on_environment_end, watch, &watch->cleanup);
  status = uv_poll_start(watch->handle, watch->events, on_ready);
  if (status == 0 && napi_create_external(env, watch, on_collected, NULL, &external) == napi_ok)
    return external;
  watch->owners = 1;
  stop(watch);
  return throw_errno(env, status == 0 ? ENOMEM : -status, "uv_poll_start");
}

static struct watch *read_watch(napi_env env, napi_value value) {
  void *data = NULL;
  if (napi_get_value_external(env, value, &data) != napi_ok)
    throw_type(env, "a handle comes from watch()");
  return data;
}

/* watchEvents(handle, isWritableToo) */
static napi_value set_watch_events(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  bool is_writable_too;
  struct watch *watch;
  if (!read_arguments(env, info, 2, arguments) || (watch = read_watch(env, arguments[0])) == NULL)
    return NULL;
  if (napi_get_value_bool(env, arguments[1], &is_writable_too) != napi_ok)
    return throw_type(env, "isWritableToo is a boolean");
  if (watch->is_stopped)
    return NULL;
  watch->events = is_writable_too ? UV_READABLE | UV_WRITABLE : UV_READABLE;
  int status = uv_poll_start(watch->handle, watch->events, on_ready);
  return status == 0 ? NULL : throw_errno(env, -status, "uv_poll_start");
}

/* watchKeepsAlive(handle, isKept): whether the process stays for it. */
static napi_value set_watch_alive(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  bool is_kept;
  struct watch *watch;
  if (!read_arguments(env, info, 2, arguments) || (watch = read_watch(env, arguments[0])) == NULL)
    return NULL;
  if (napi_get_value_bool(env, arguments[1], &is_kept) != napi_ok)
    return throw_type(env, "isKept is a boolean");
  if (watch->is_stopped)
    return NULL;
  if (is_kept)
    uv_ref((uv_handle_t *)watch->handle);
  else
    uv_unref((uv_handle_t *)watch->handle);
  return NULL;
}

/* watchStop(handle); again is fine. */
static napi_value stop_watch(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct watch *watch;
  if (!read_arguments(env, info, 1, &argument) || (watch = read_watch(env, argument)) == NULL)
    return NULL;
  stop(watch);
  return NULL;
}

/* ---- the module ----------------------------------------------------------------------------------------------- */

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback function;
  } functions[] = {
      {"connectSeqpacket", connect_seqpacket},
      {"connectStream", connect_stream},
      {"listenSeqpacket", listen_seqpacket},
      {"acceptSeqpacket", accept_seqpacket},
      {"receive", receive},
      {"send", send_message},
      {"flock", lock_file},
      {"peerCredentials", peer_credentials},
      {"close", close_descriptor},
      {"dieWithParent", die_with_parent},
      {"trimMemory", trim_memory},
      {"readTicks", read_ticks},
      {"watch", start_watch},
      {"watchEvents", set_watch_events},
      {"watchKeepsAlive", set_watch_alive},
      {"watchStop", stop_watch},
  };
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    napi_value function;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function) !=
            napi_ok ||
        napi_set_named_property(env, exports, functions[i].name, function) != napi_ok)
      return NULL;
  }
  return exports;
}
