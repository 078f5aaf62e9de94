/* Generated from quiver.wit: what a WebAssembly guest can ask of Quiver. See docs/reference/guest-api.md.
 *
 * Texts are UTF-8 with a length, and not ended by NUL. A function with `into` and `capacity` returns the full length of its
 * result and writes as much of it as fits, like snprintf. A negative result is an error. A bad address ends the guest.
 */
#ifndef QUIVER_H
#define QUIVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUIVER_IMPORT(name) __attribute__((import_module("quiver"), import_name(name)))
/* Makes a function an export of the module: QUIVER_EXPORT("handle") int handle(void) { ... } */
#define QUIVER_EXPORT(name) __attribute__((used, visibility("default"), export_name(name)))
/* A string literal and its length: quiver_log(QUIVER_INFO, QUIVER_TEXT("hello")) */
#define QUIVER_TEXT(literal) (literal), (sizeof(literal) - 1)

/* An exchange buffer; 0 is none. */
typedef uint32_t quiver_handle_t;

typedef enum {
  QUIVER_DEBUG = 0,
  QUIVER_INFO = 1,
  QUIVER_WARN = 2,
  QUIVER_ERROR = 3,
} quiver_level_t;

/* There is no buffer with this id. */
#define QUIVER_UNKNOWN_BUFFER (-1)
/* There is no parameter, header, file, task or export of this name. */
#define QUIVER_NOT_FOUND (-2)
/* A text is not UTF-8, a header, method, URL or status cannot be one, an offset lies behind the end. */
#define QUIVER_INVALID_ARGUMENT (-3)
/* The task is not allowed to reach this target: its manifest does not declare it. */
#define QUIVER_DENIED (-4)
/* The target could not be reached, or broke the connection. */
#define QUIVER_UNREACHABLE (-5)
/* The target did not answer in time. */
#define QUIVER_TIMED_OUT (-6)
/* What the target answered is larger than this request may hold, or a buffer has no room for more headers. */
#define QUIVER_TOO_LARGE (-7)
/* Anything else. */
#define QUIVER_FAILED (-8)

/* Makes a buffer that holds a copy of `content`, which may be empty. */
QUIVER_IMPORT("buffer_create")
quiver_handle_t quiver_buffer_create(const void *content, size_t content_length);

/* The buffer that holds the body and the headers of the request. */
QUIVER_IMPORT("buffer_input")
quiver_handle_t quiver_buffer_input(void);

/* The buffer whose status, headers and bytes become the response. */
QUIVER_IMPORT("buffer_output")
quiver_handle_t quiver_buffer_output(void);

/* How many bytes a buffer holds. */
QUIVER_IMPORT("buffer_size")
int32_t quiver_buffer_size(quiver_handle_t buffer);

/* The bytes of a buffer from `offset` on. */
QUIVER_IMPORT("buffer_read")
int32_t quiver_buffer_read(quiver_handle_t buffer, uint32_t offset, void *into, size_t capacity);

/* Appends bytes to a buffer. Returns how many bytes were appended, which is all of them. */
QUIVER_IMPORT("buffer_write")
int32_t quiver_buffer_write(quiver_handle_t buffer, const void *content, size_t content_length);

/* The value of a header, whatever the case of its name. Several are joined with a comma and a space. */
QUIVER_IMPORT("buffer_header")
int32_t quiver_buffer_header(quiver_handle_t buffer, const char *name, size_t name_length, char *into, size_t capacity);

/* All headers of a buffer: a line `name: value` for each, each ended by a line feed. */
QUIVER_IMPORT("buffer_headers")
int32_t quiver_buffer_headers(quiver_handle_t buffer, char *into, size_t capacity);

/* Gives a header one value, in place of those that it has. An empty value removes it. */
QUIVER_IMPORT("buffer_set_header")
int32_t quiver_buffer_set_header(quiver_handle_t buffer, const char *name, size_t name_length, const char *value, size_t value_length);

/* Adds a header beside those of the same name, as `set-cookie` needs it. */
QUIVER_IMPORT("buffer_add_header")
int32_t quiver_buffer_add_header(quiver_handle_t buffer, const char *name, size_t name_length, const char *value, size_t value_length);

/* The status of a response: 200 unless it was set. */
QUIVER_IMPORT("buffer_status")
int32_t quiver_buffer_status(quiver_handle_t buffer);

/* Sets the status of the response, 200 to 599. */
QUIVER_IMPORT("buffer_set_status")
int32_t quiver_buffer_set_status(quiver_handle_t buffer, uint32_t status);

/* Gives a buffer back before the request ends. Input and output cannot be freed. */
QUIVER_IMPORT("buffer_free")
int32_t quiver_buffer_free(quiver_handle_t buffer);

/* The method, such as `GET`. */
QUIVER_IMPORT("request_method")
int32_t quiver_request_method(char *into, size_t capacity);

/* The path, as it was sent, without the query. */
QUIVER_IMPORT("request_path")
int32_t quiver_request_path(char *into, size_t capacity);

/* What follows the `?` of the URL, as it was sent; empty when there is none. */
QUIVER_IMPORT("request_query_string")
int32_t quiver_request_query_string(char *into, size_t capacity);

/* The value of a parameter in the route, decoded: `id` in `/users/:id`. */
QUIVER_IMPORT("request_param")
int32_t quiver_request_param(const char *name, size_t name_length, char *into, size_t capacity);

/* The first value of a parameter in the query, decoded. */
QUIVER_IMPORT("request_query")
int32_t quiver_request_query(const char *name, size_t name_length, char *into, size_t capacity);

/* The value of a request header, whatever the case of its name. Several are joined with a comma and a space. */
QUIVER_IMPORT("request_header")
int32_t quiver_request_header(const char *name, size_t name_length, char *into, size_t capacity);

/* Nanoseconds since 1970-01-01T00:00:00Z. */
QUIVER_IMPORT("time_realtime")
uint64_t quiver_time_realtime(void);

/* Nanoseconds since some moment; never jumps. */
QUIVER_IMPORT("time_monotonic")
uint64_t quiver_time_monotonic(void);

/* The base64 text of bytes. */
QUIVER_IMPORT("base64_encode")
int32_t quiver_base64_encode(const void *data, size_t data_length, char *into, size_t capacity);

/* The bytes of a base64 text; white space is passed over. */
QUIVER_IMPORT("base64_decode")
int32_t quiver_base64_decode(const char *text, size_t text_length, void *into, size_t capacity);

/* Sends a request and waits for the whole response, in a new buffer with its status, headers and body.
 * Headers and body of the request are those of the buffer `request`; 0 for neither. */
QUIVER_IMPORT("http_fetch")
int32_t quiver_http_fetch(const char *method, size_t method_length, const char *url, size_t url_length, quiver_handle_t request);

/* Sends an HTTP request to a task and waits for the whole response, in a new buffer.
 * Headers and body of the request are those of the buffer `request`; 0 for neither. */
QUIVER_IMPORT("task_request")
int32_t quiver_task_request(const char *task, size_t task_length, const char *method, size_t method_length, const char *path, size_t path_length, quiver_handle_t request);

/* Calls an export of a task that is WebAssembly, in an instance of its own, with `input` as its input (0 for an empty one).
 * Waits, and returns its output in a new buffer. */
QUIVER_IMPORT("task_call")
int32_t quiver_task_call(const char *task, size_t task_length, const char *export_name, size_t export_name_length, quiver_handle_t input);

/* Writes a line to the task's log. */
QUIVER_IMPORT("log")
void quiver_log(quiver_level_t level, const char *message, size_t message_length);

#ifdef __cplusplus
}
#endif

#endif
