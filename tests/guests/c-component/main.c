/*
 * A handler of wasi:http/proxy without generated bindings: what the canonical ABI makes of the interfaces, by hand. It answers
 * each request with its body in capitals, piece by piece as it comes.
 */

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#define FROM(interface, name) __attribute__((import_module("wasi:" interface "@0.2.10"), import_name(name)))

typedef int32_t handle;
/* A result with a handle, or nothing, in it. */
typedef struct { uint8_t is_error; handle value; } handle_result;
/* A result with bytes, or the error of a stream. */
typedef struct { uint8_t is_error; union { uint8_t error; struct { uint8_t *at; uint32_t length; } bytes; }; } bytes_result;
typedef struct { uint8_t is_error; uint8_t error[15]; } stream_result;
/* result<_, error-code>: the error has 64 bits in it. */
typedef struct { _Alignas(8) uint8_t is_error; uint8_t error[39]; } finish_result;

FROM("http/types", "[constructor]fields") handle new_fields(void);
FROM("http/types", "[constructor]outgoing-response") handle new_response(handle fields);
FROM("http/types", "[method]outgoing-response.body") void response_body(handle response, handle_result *to);
FROM("http/types", "[static]response-outparam.set")
void respond(handle out, int32_t is_error, handle response, int32_t, int64_t, int32_t, int32_t, int32_t, int32_t);
FROM("http/types", "[method]outgoing-body.write") void body_write(handle body, handle_result *to);
FROM("http/types", "[static]outgoing-body.finish") void body_finish(handle body, int32_t has_trailers, handle, finish_result *to);
FROM("http/types", "[method]incoming-request.consume") void consume(handle request, handle_result *to);
FROM("http/types", "[method]incoming-body.stream") void body_stream(handle body, handle_result *to);
FROM("http/types", "[resource-drop]incoming-body") void drop_incoming_body(handle body);
FROM("http/types", "[resource-drop]incoming-request") void drop_request(handle request);
FROM("io/streams", "[method]input-stream.blocking-read") void read_some(handle stream, uint64_t max, bytes_result *to);
FROM("io/streams", "[method]output-stream.blocking-write-and-flush")
void write_all(handle stream, const uint8_t *at, uint32_t length, stream_result *to);
FROM("io/streams", "[resource-drop]input-stream") void drop_input(handle stream);
FROM("io/streams", "[resource-drop]output-stream") void drop_output(handle stream);

/* The host puts here what it returns by reference. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size)
{
    (void)old_size;
    (void)align;
    return size == 0 ? (void *)align : realloc(old, size);
}

__attribute__((export_name("wasi:http/incoming-handler@0.2.10#handle"))) void answer(handle request, handle out)
{
    handle_result from, input, to, output;
    handle response = new_response(new_fields());
    response_body(response, &to);
    respond(out, 0, response, 0, 0, 0, 0, 0, 0);
    body_write(to.value, &output);
    consume(request, &from);
    body_stream(from.value, &input);
    for (;;) {
        bytes_result piece;
        stream_result written;
        read_some(input.value, 4096, &piece);
        if (piece.is_error)
            break;
        for (uint32_t index = 0; index < piece.bytes.length; index++)
            piece.bytes.at[index] = toupper(piece.bytes.at[index]);
        write_all(output.value, piece.bytes.at, piece.bytes.length, &written);
        free(piece.bytes.at);
    }
    drop_input(input.value);
    drop_output(output.value);
    finish_result finished;
    body_finish(to.value, 0, 0, &finished);
    drop_incoming_body(from.value);
    drop_request(request);
}
