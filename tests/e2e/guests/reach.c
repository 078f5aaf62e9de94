/*
 * Reaches what it is told to: `?url=` an outside host, `?task=` and `?path=` another task, `?task=` and `?export=` an export of
 * one, with the body. Answers with what came back, or with the number of the error.
 */
#include "quiver.h"

#define HAS(name, into) ((into##_length = quiver_request_query(QUIVER_TEXT(name), into, sizeof into)) >= 0)

static void write_number(quiver_handle_t output, int32_t number) {
  char text[12];
  size_t at = sizeof text;
  uint32_t rest = number < 0 ? -(uint32_t)number : (uint32_t)number;
  do text[--at] = (char)('0' + rest % 10);
  while ((rest /= 10) > 0);
  if (number < 0) text[--at] = '-';
  quiver_buffer_write(output, text + at, sizeof text - at);
}

QUIVER_EXPORT("handle") int handle(void) {
  static char url[512], task[64], path[256], name[64], piece[1024];
  int32_t url_length, task_length, path_length, name_length, answer = 0;
  quiver_handle_t input = quiver_buffer_input(), output = quiver_buffer_output();

  if (HAS("url", url)) answer = quiver_http_fetch(QUIVER_TEXT("GET"), url, (size_t)url_length, 0);
  else if (!HAS("task", task)) return 400;
  else if (HAS("export", name)) answer = quiver_task_call(task, (size_t)task_length, name, (size_t)name_length, input);
  else if (HAS("path", path))
    answer = quiver_task_request(task, (size_t)task_length, QUIVER_TEXT("POST"), path, (size_t)path_length, input);
  if (answer < 0) {
    write_number(output, answer);
    return 502;
  }
  quiver_handle_t got = (quiver_handle_t)answer;
  quiver_buffer_set_status(output, (uint32_t)quiver_buffer_status(got));
  int32_t size = quiver_buffer_size(got);
  for (int32_t at = 0; at < size; at += (int32_t)sizeof piece) {
    int32_t left = quiver_buffer_read(got, (uint32_t)at, piece, sizeof piece);
    quiver_buffer_write(output, piece, (size_t)(left < (int32_t)sizeof piece ? left : (int32_t)sizeof piece));
  }
  return 0;
}
