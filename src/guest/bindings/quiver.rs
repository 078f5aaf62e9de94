//! Generated from quiver.wit: what a WebAssembly guest can ask of Quiver. See docs/reference/guest-api.md.
//!
//! Put it beside your sources and write `mod quiver;`. A function with `into` returns the full length of its result and
//! writes as much of it as fits, so that an empty slice asks for the length alone.

#![allow(dead_code)]

/// An exchange buffer; 0 is none.
pub type Handle = u32;

/// No buffer.
pub const NONE: Handle = 0;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no buffer with this id.
    UnknownBuffer,
    /// There is no parameter, header, file, task or export of this name.
    NotFound,
    /// A text is not UTF-8, a header, method, URL or status cannot be one, an offset lies behind the end.
    InvalidArgument,
    /// The task is not allowed to reach this target: its manifest does not declare it.
    Denied,
    /// The target could not be reached, or broke the connection.
    Unreachable,
    /// The target did not answer in time.
    TimedOut,
    /// What the target answered is larger than this request may hold, or a buffer has no room for more headers.
    TooLarge,
    /// Anything else.
    Failed,
}

impl Error {
    fn of(code: i32) -> Error {
        match code {
            -1 => Error::UnknownBuffer,
            -2 => Error::NotFound,
            -3 => Error::InvalidArgument,
            -4 => Error::Denied,
            -5 => Error::Unreachable,
            -6 => Error::TimedOut,
            -7 => Error::TooLarge,
            _ => Error::Failed,
        }
    }
}

/// How much a line in the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    Debug = 0,
    Info = 1,
    Warn = 2,
    Error = 3,
}

mod raw {
    #[link(wasm_import_module = "quiver")]
    extern "C" {
        pub fn buffer_create(content: *const u8, content_length: usize) -> u32;
        pub fn buffer_input() -> u32;
        pub fn buffer_output() -> u32;
        pub fn buffer_size(buffer: u32) -> i32;
        pub fn buffer_read(buffer: u32, offset: u32, into: *mut u8, capacity: usize) -> i32;
        pub fn buffer_write(buffer: u32, content: *const u8, content_length: usize) -> i32;
        pub fn buffer_header(buffer: u32, name: *const u8, name_length: usize, into: *mut u8, capacity: usize) -> i32;
        pub fn buffer_headers(buffer: u32, into: *mut u8, capacity: usize) -> i32;
        pub fn buffer_set_header(buffer: u32, name: *const u8, name_length: usize, value: *const u8, value_length: usize) -> i32;
        pub fn buffer_add_header(buffer: u32, name: *const u8, name_length: usize, value: *const u8, value_length: usize) -> i32;
        pub fn buffer_status(buffer: u32) -> i32;
        pub fn buffer_set_status(buffer: u32, status: u32) -> i32;
        pub fn buffer_free(buffer: u32) -> i32;
        pub fn request_method(into: *mut u8, capacity: usize) -> i32;
        pub fn request_path(into: *mut u8, capacity: usize) -> i32;
        pub fn request_query_string(into: *mut u8, capacity: usize) -> i32;
        pub fn request_param(name: *const u8, name_length: usize, into: *mut u8, capacity: usize) -> i32;
        pub fn request_query(name: *const u8, name_length: usize, into: *mut u8, capacity: usize) -> i32;
        pub fn request_header(name: *const u8, name_length: usize, into: *mut u8, capacity: usize) -> i32;
        pub fn time_realtime() -> u64;
        pub fn time_monotonic() -> u64;
        pub fn base64_encode(data: *const u8, data_length: usize, into: *mut u8, capacity: usize) -> i32;
        pub fn base64_decode(text: *const u8, text_length: usize, into: *mut u8, capacity: usize) -> i32;
        pub fn http_fetch(method: *const u8, method_length: usize, url: *const u8, url_length: usize, request: u32) -> i32;
        pub fn task_request(task: *const u8, task_length: usize, method: *const u8, method_length: usize, path: *const u8, path_length: usize, request: u32) -> i32;
        pub fn task_call(task: *const u8, task_length: usize, export_name: *const u8, export_name_length: usize, input: u32) -> i32;
        pub fn log(level: super::Level, message: *const u8, message_length: usize);
    }
}

fn check(result: i32) -> Result<u32, Error> {
    if result < 0 { Err(Error::of(result)) } else { Ok(result as u32) }
}

/// Makes a buffer that holds a copy of `content`, which may be empty.
pub fn buffer_create(content: &[u8]) -> Handle {
    unsafe { raw::buffer_create(content.as_ptr(), content.len()) }
}

/// The buffer that holds the body and the headers of the request.
pub fn buffer_input() -> Handle {
    unsafe { raw::buffer_input() }
}

/// The buffer whose status, headers and bytes become the response.
pub fn buffer_output() -> Handle {
    unsafe { raw::buffer_output() }
}

/// How many bytes a buffer holds.
pub fn buffer_size(buffer: Handle) -> Result<u32, Error> {
    check(unsafe { raw::buffer_size(buffer) })
}

/// The bytes of a buffer from `offset` on.
pub fn buffer_read(buffer: Handle, offset: u32, into: &mut [u8]) -> Result<usize, Error> {
    check(unsafe { raw::buffer_read(buffer, offset, into.as_mut_ptr(), into.len()) }).map(|n| n as usize)
}

/// Appends bytes to a buffer. Returns how many bytes were appended, which is all of them.
pub fn buffer_write(buffer: Handle, content: &[u8]) -> Result<u32, Error> {
    check(unsafe { raw::buffer_write(buffer, content.as_ptr(), content.len()) })
}

/// The value of a header, whatever the case of its name. Several are joined with a comma and a space.
pub fn buffer_header(buffer: Handle, name: &str, into: &mut [u8]) -> Result<usize, Error> {
    check(unsafe { raw::buffer_header(buffer, name.as_ptr(), name.len(), into.as_mut_ptr(), into.len()) }).map(|n| n as usize)
}

/// All headers of a buffer: a line `name: value` for each, each ended by a line feed.
pub fn buffer_headers(buffer: Handle, into: &mut [u8]) -> Result<usize, Error> {
    check(unsafe { raw::buffer_headers(buffer, into.as_mut_ptr(), into.len()) }).map(|n| n as usize)
}

/// Gives a header one value, in place of those that it has. An empty value removes it.
pub fn buffer_set_header(buffer: Handle, name: &str, value: &str) -> Result<(), Error> {
    check(unsafe { raw::buffer_set_header(buffer, name.as_ptr(), name.len(), value.as_ptr(), value.len()) }).map(|_| ())
}

/// Adds a header beside those of the same name, as `set-cookie` needs it.
pub fn buffer_add_header(buffer: Handle, name: &str, value: &str) -> Result<(), Error> {
    check(unsafe { raw::buffer_add_header(buffer, name.as_ptr(), name.len(), value.as_ptr(), value.len()) }).map(|_| ())
}

/// The status of a response: 200 unless it was set.
pub fn buffer_status(buffer: Handle) -> Result<u32, Error> {
    check(unsafe { raw::buffer_status(buffer) })
}

/// Sets the status of the response, 200 to 599.
pub fn buffer_set_status(buffer: Handle, status: u32) -> Result<(), Error> {
    check(unsafe { raw::buffer_set_status(buffer, status) }).map(|_| ())
}

/// Gives a buffer back before the request ends. Input and output cannot be freed.
pub fn buffer_free(buffer: Handle) -> Result<(), Error> {
    check(unsafe { raw::buffer_free(buffer) }).map(|_| ())
}

/// The method, such as `GET`.
pub fn request_method(into: &mut [u8]) -> usize {
    (unsafe { raw::request_method(into.as_mut_ptr(), into.len()) }) as usize
}

/// The path, as it was sent, without the query.
pub fn request_path(into: &mut [u8]) -> usize {
    (unsafe { raw::request_path(into.as_mut_ptr(), into.len()) }) as usize
}

/// What follows the `?` of the URL, as it was sent; empty when there is none.
pub fn request_query_string(into: &mut [u8]) -> usize {
    (unsafe { raw::request_query_string(into.as_mut_ptr(), into.len()) }) as usize
}

/// The value of a parameter in the route, decoded: `id` in `/users/:id`.
pub fn request_param(name: &str, into: &mut [u8]) -> Result<usize, Error> {
    check(unsafe { raw::request_param(name.as_ptr(), name.len(), into.as_mut_ptr(), into.len()) }).map(|n| n as usize)
}

/// The first value of a parameter in the query, decoded.
pub fn request_query(name: &str, into: &mut [u8]) -> Result<usize, Error> {
    check(unsafe { raw::request_query(name.as_ptr(), name.len(), into.as_mut_ptr(), into.len()) }).map(|n| n as usize)
}

/// The value of a request header, whatever the case of its name. Several are joined with a comma and a space.
pub fn request_header(name: &str, into: &mut [u8]) -> Result<usize, Error> {
    check(unsafe { raw::request_header(name.as_ptr(), name.len(), into.as_mut_ptr(), into.len()) }).map(|n| n as usize)
}

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub fn time_realtime() -> u64 {
    unsafe { raw::time_realtime() }
}

/// Nanoseconds since some moment; never jumps.
pub fn time_monotonic() -> u64 {
    unsafe { raw::time_monotonic() }
}

/// The base64 text of bytes.
pub fn base64_encode(data: &[u8], into: &mut [u8]) -> usize {
    (unsafe { raw::base64_encode(data.as_ptr(), data.len(), into.as_mut_ptr(), into.len()) }) as usize
}

/// The bytes of a base64 text; white space is passed over.
pub fn base64_decode(text: &str, into: &mut [u8]) -> Result<usize, Error> {
    check(unsafe { raw::base64_decode(text.as_ptr(), text.len(), into.as_mut_ptr(), into.len()) }).map(|n| n as usize)
}

/// Sends a request and waits for the whole response, in a new buffer with its status, headers and body.
/// Headers and body of the request are those of the buffer `request`; 0 for neither.
pub fn http_fetch(method: &str, url: &str, request: Handle) -> Result<Handle, Error> {
    check(unsafe { raw::http_fetch(method.as_ptr(), method.len(), url.as_ptr(), url.len(), request) })
}

/// Sends an HTTP request to a task and waits for the whole response, in a new buffer.
/// Headers and body of the request are those of the buffer `request`; 0 for neither.
pub fn task_request(task: &str, method: &str, path: &str, request: Handle) -> Result<Handle, Error> {
    check(unsafe { raw::task_request(task.as_ptr(), task.len(), method.as_ptr(), method.len(), path.as_ptr(), path.len(), request) })
}

/// Calls an export of a task that is WebAssembly, in an instance of its own, with `input` as its input (0 for an empty one).
/// Waits, and returns its output in a new buffer.
pub fn task_call(task: &str, export_name: &str, input: Handle) -> Result<Handle, Error> {
    check(unsafe { raw::task_call(task.as_ptr(), task.len(), export_name.as_ptr(), export_name.len(), input) })
}

/// Writes a line to the task's log.
pub fn log(level: Level, message: &str) {
    unsafe { raw::log(level, message.as_ptr(), message.len()) }
}
