/** Generated from quiver.wit: what an AssemblyScript guest can ask of Quiver. See docs/reference/guest-api.md. */

/** An exchange buffer; 0 is none. */
export type Handle = u32

/** No buffer. */
export const NONE: Handle = 0

/** How the last call that returned null or a negative number failed: one of `Failure`. */
export let lastError: i32 = 0

/** Why a call failed. */
export namespace Failure {
  /** There is no buffer with this id. */
  export const UNKNOWN_BUFFER: i32 = -1
  /** There is no parameter, header, file, task or export of this name. */
  export const NOT_FOUND: i32 = -2
  /** A text is not UTF-8, a header, method, URL or status cannot be one, an offset lies behind the end. */
  export const INVALID_ARGUMENT: i32 = -3
  /** The task is not allowed to reach this target: its manifest does not declare it. */
  export const DENIED: i32 = -4
  /** The target could not be reached, or broke the connection. */
  export const UNREACHABLE: i32 = -5
  /** The target did not answer in time. */
  export const TIMED_OUT: i32 = -6
  /** What the target answered is larger than this request may hold, or a buffer has no room for more headers. */
  export const TOO_LARGE: i32 = -7
  /** Anything else. */
  export const FAILED: i32 = -8
}

/** How much a line in the log matters. */
export enum Level {
  DEBUG = 0,
  INFO = 1,
  WARN = 2,
  ERROR = 3,
}

// @ts-ignore: decorator
@external("quiver", "buffer_create")
declare function raw_buffer_create(content: usize, contentLength: i32): Handle

// @ts-ignore: decorator
@external("quiver", "buffer_input")
declare function raw_buffer_input(): Handle

// @ts-ignore: decorator
@external("quiver", "buffer_output")
declare function raw_buffer_output(): Handle

// @ts-ignore: decorator
@external("quiver", "buffer_size")
declare function raw_buffer_size(buffer: Handle): i32

// @ts-ignore: decorator
@external("quiver", "buffer_read")
declare function raw_buffer_read(buffer: Handle, offset: u32, into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "buffer_write")
declare function raw_buffer_write(buffer: Handle, content: usize, contentLength: i32): i32

// @ts-ignore: decorator
@external("quiver", "buffer_header")
declare function raw_buffer_header(buffer: Handle, name: usize, nameLength: i32, into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "buffer_headers")
declare function raw_buffer_headers(buffer: Handle, into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "buffer_set_header")
declare function raw_buffer_set_header(buffer: Handle, name: usize, nameLength: i32, value: usize, valueLength: i32): i32

// @ts-ignore: decorator
@external("quiver", "buffer_add_header")
declare function raw_buffer_add_header(buffer: Handle, name: usize, nameLength: i32, value: usize, valueLength: i32): i32

// @ts-ignore: decorator
@external("quiver", "buffer_status")
declare function raw_buffer_status(buffer: Handle): i32

// @ts-ignore: decorator
@external("quiver", "buffer_set_status")
declare function raw_buffer_set_status(buffer: Handle, status: u32): i32

// @ts-ignore: decorator
@external("quiver", "buffer_free")
declare function raw_buffer_free(buffer: Handle): i32

// @ts-ignore: decorator
@external("quiver", "request_method")
declare function raw_request_method(into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "request_path")
declare function raw_request_path(into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "request_query_string")
declare function raw_request_query_string(into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "request_param")
declare function raw_request_param(name: usize, nameLength: i32, into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "request_query")
declare function raw_request_query(name: usize, nameLength: i32, into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "request_header")
declare function raw_request_header(name: usize, nameLength: i32, into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "time_realtime")
declare function raw_time_realtime(): u64

// @ts-ignore: decorator
@external("quiver", "time_monotonic")
declare function raw_time_monotonic(): u64

// @ts-ignore: decorator
@external("quiver", "base64_encode")
declare function raw_base64_encode(data: usize, dataLength: i32, into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "base64_decode")
declare function raw_base64_decode(text: usize, textLength: i32, into: usize, capacity: i32): i32

// @ts-ignore: decorator
@external("quiver", "http_fetch")
declare function raw_http_fetch(method: usize, methodLength: i32, url: usize, urlLength: i32, request: Handle): i32

// @ts-ignore: decorator
@external("quiver", "task_request")
declare function raw_task_request(task: usize, taskLength: i32, method: usize, methodLength: i32, path: usize, pathLength: i32, request: Handle): i32

// @ts-ignore: decorator
@external("quiver", "task_call")
declare function raw_task_call(task: usize, taskLength: i32, exportName: usize, exportNameLength: i32, input: Handle): i32

// @ts-ignore: decorator
@external("quiver", "log")
declare function raw_log(level: Level, message: usize, messageLength: i32): void

/**
 * Makes a buffer that holds a copy of `content`, which may be empty.
 */
export function bufferCreate(content: ArrayBuffer): Handle {
  return raw_buffer_create(changetype<usize>(content), content.byteLength)
}

/**
 * The buffer that holds the body and the headers of the request.
 */
export function bufferInput(): Handle {
  return raw_buffer_input()
}

/**
 * The buffer whose status, headers and bytes become the response.
 */
export function bufferOutput(): Handle {
  return raw_buffer_output()
}

/**
 * How many bytes a buffer holds.
 * Below 0: a `Failure`.
 */
export function bufferSize(buffer: Handle): i32 {
  return note(raw_buffer_size(buffer))
}

/**
 * The bytes of a buffer from `offset` on.
 * null: see `lastError`.
 */
export function bufferRead(buffer: Handle, offset: u32): ArrayBuffer | null {
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_buffer_read(buffer, offset, changetype<usize>(area), AREA_BYTES)
  if (note(length) < 0) return null
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_buffer_read(buffer, offset, changetype<usize>(area), length)
  }
  return area.slice(0, length)
}

/**
 * Appends bytes to a buffer. Returns how many bytes were appended, which is all of them.
 * Below 0: a `Failure`.
 */
export function bufferWrite(buffer: Handle, content: ArrayBuffer): i32 {
  return note(raw_buffer_write(buffer, changetype<usize>(content), content.byteLength))
}

/**
 * The value of a header, whatever the case of its name. Several are joined with a comma and a space.
 * null: see `lastError`.
 */
export function bufferHeader(buffer: Handle, name: string): string | null {
  const nameBytes = String.UTF8.encode(name)
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_buffer_header(buffer, changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(area), AREA_BYTES)
  if (note(length) < 0) return null
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_buffer_header(buffer, changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(area), length)
  }
  return textOf(area, length)
}

/**
 * All headers of a buffer: a line `name: value` for each, each ended by a line feed.
 * null: see `lastError`.
 */
export function bufferHeaders(buffer: Handle): string | null {
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_buffer_headers(buffer, changetype<usize>(area), AREA_BYTES)
  if (note(length) < 0) return null
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_buffer_headers(buffer, changetype<usize>(area), length)
  }
  return textOf(area, length)
}

/**
 * Gives a header one value, in place of those that it has. An empty value removes it.
 * Below 0: a `Failure`.
 */
export function bufferSetHeader(buffer: Handle, name: string, value: string): i32 {
  const nameBytes = String.UTF8.encode(name)
  const valueBytes = String.UTF8.encode(value)
  return note(raw_buffer_set_header(buffer, changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(valueBytes), valueBytes.byteLength))
}

/**
 * Adds a header beside those of the same name, as `set-cookie` needs it.
 * Below 0: a `Failure`.
 */
export function bufferAddHeader(buffer: Handle, name: string, value: string): i32 {
  const nameBytes = String.UTF8.encode(name)
  const valueBytes = String.UTF8.encode(value)
  return note(raw_buffer_add_header(buffer, changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(valueBytes), valueBytes.byteLength))
}

/**
 * The status of a response: 200 unless it was set.
 * Below 0: a `Failure`.
 */
export function bufferStatus(buffer: Handle): i32 {
  return note(raw_buffer_status(buffer))
}

/**
 * Sets the status of the response, 200 to 599.
 * Below 0: a `Failure`.
 */
export function bufferSetStatus(buffer: Handle, status: u32): i32 {
  return note(raw_buffer_set_status(buffer, status))
}

/**
 * Gives a buffer back before the request ends. Input and output cannot be freed.
 * Below 0: a `Failure`.
 */
export function bufferFree(buffer: Handle): i32 {
  return note(raw_buffer_free(buffer))
}

/**
 * The method, such as `GET`.
 */
export function requestMethod(): string {
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_request_method(changetype<usize>(area), AREA_BYTES)
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_request_method(changetype<usize>(area), length)
  }
  return textOf(area, length)
}

/**
 * The path, as it was sent, without the query.
 */
export function requestPath(): string {
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_request_path(changetype<usize>(area), AREA_BYTES)
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_request_path(changetype<usize>(area), length)
  }
  return textOf(area, length)
}

/**
 * What follows the `?` of the URL, as it was sent; empty when there is none.
 */
export function requestQueryString(): string {
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_request_query_string(changetype<usize>(area), AREA_BYTES)
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_request_query_string(changetype<usize>(area), length)
  }
  return textOf(area, length)
}

/**
 * The value of a parameter in the route, decoded: `id` in `/users/:id`.
 * null: see `lastError`.
 */
export function requestParam(name: string): string | null {
  const nameBytes = String.UTF8.encode(name)
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_request_param(changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(area), AREA_BYTES)
  if (note(length) < 0) return null
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_request_param(changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(area), length)
  }
  return textOf(area, length)
}

/**
 * The first value of a parameter in the query, decoded.
 * null: see `lastError`.
 */
export function requestQuery(name: string): string | null {
  const nameBytes = String.UTF8.encode(name)
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_request_query(changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(area), AREA_BYTES)
  if (note(length) < 0) return null
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_request_query(changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(area), length)
  }
  return textOf(area, length)
}

/**
 * The value of a request header, whatever the case of its name. Several are joined with a comma and a space.
 * null: see `lastError`.
 */
export function requestHeader(name: string): string | null {
  const nameBytes = String.UTF8.encode(name)
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_request_header(changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(area), AREA_BYTES)
  if (note(length) < 0) return null
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_request_header(changetype<usize>(nameBytes), nameBytes.byteLength, changetype<usize>(area), length)
  }
  return textOf(area, length)
}

/**
 * Nanoseconds since 1970-01-01T00:00:00Z.
 */
export function timeRealtime(): u64 {
  return raw_time_realtime()
}

/**
 * Nanoseconds since some moment; never jumps.
 */
export function timeMonotonic(): u64 {
  return raw_time_monotonic()
}

/**
 * The base64 text of bytes.
 */
export function base64Encode(data: ArrayBuffer): string {
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_base64_encode(changetype<usize>(data), data.byteLength, changetype<usize>(area), AREA_BYTES)
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_base64_encode(changetype<usize>(data), data.byteLength, changetype<usize>(area), length)
  }
  return textOf(area, length)
}

/**
 * The bytes of a base64 text; white space is passed over.
 * null: see `lastError`.
 */
export function base64Decode(text: string): ArrayBuffer | null {
  const textBytes = String.UTF8.encode(text)
  let area = new ArrayBuffer(AREA_BYTES)
  let length = raw_base64_decode(changetype<usize>(textBytes), textBytes.byteLength, changetype<usize>(area), AREA_BYTES)
  if (note(length) < 0) return null
  if (length > AREA_BYTES) {
    area = new ArrayBuffer(length)
    length = raw_base64_decode(changetype<usize>(textBytes), textBytes.byteLength, changetype<usize>(area), length)
  }
  return area.slice(0, length)
}

/**
 * Sends a request and waits for the whole response, in a new buffer with its status, headers and body.
 * Headers and body of the request are those of the buffer `request`; 0 for neither.
 * Below 0: a `Failure`.
 */
export function httpFetch(method: string, url: string, request: Handle): i32 {
  const methodBytes = String.UTF8.encode(method)
  const urlBytes = String.UTF8.encode(url)
  return note(raw_http_fetch(changetype<usize>(methodBytes), methodBytes.byteLength, changetype<usize>(urlBytes), urlBytes.byteLength, request))
}

/**
 * Sends an HTTP request to a task and waits for the whole response, in a new buffer.
 * Headers and body of the request are those of the buffer `request`; 0 for neither.
 * Below 0: a `Failure`.
 */
export function taskRequest(task: string, method: string, path: string, request: Handle): i32 {
  const taskBytes = String.UTF8.encode(task)
  const methodBytes = String.UTF8.encode(method)
  const pathBytes = String.UTF8.encode(path)
  return note(raw_task_request(changetype<usize>(taskBytes), taskBytes.byteLength, changetype<usize>(methodBytes), methodBytes.byteLength, changetype<usize>(pathBytes), pathBytes.byteLength, request))
}

/**
 * Calls an export of a task that is WebAssembly, in an instance of its own, with `input` as its input (0 for an empty one).
 * Waits, and returns its output in a new buffer.
 * Below 0: a `Failure`.
 */
export function taskCall(task: string, exportName: string, input: Handle): i32 {
  const taskBytes = String.UTF8.encode(task)
  const exportNameBytes = String.UTF8.encode(exportName)
  return note(raw_task_call(changetype<usize>(taskBytes), taskBytes.byteLength, changetype<usize>(exportNameBytes), exportNameBytes.byteLength, input))
}

/**
 * Writes a line to the task's log.
 */
export function log(level: Level, message: string): void {
  const messageBytes = String.UTF8.encode(message)
  raw_log(level, changetype<usize>(messageBytes), messageBytes.byteLength)
}

const AREA_BYTES = 512

function note(result: i32): i32 {
  if (result < 0) lastError = result
  return result
}

function textOf(area: ArrayBuffer, length: i32): string {
  return String.UTF8.decodeUnsafe(changetype<usize>(area), <usize>length)
}
