/* A CGI program with one path for each thing that a web program does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value == NULL ? "" : value;
}

/* Bytes of stdin, as they come. */
static void echo(void) {
  static char piece[65536];
  printf("Content-Type: application/octet-stream\n\n");
  fflush(stdout);
  for (ssize_t count; (count = read(0, piece, sizeof piece)) > 0;)
    for (ssize_t at = 0, put; at < count; at += put)
      if ((put = write(1, piece + at, (size_t)(count - at))) < 0) exit(3);
}

static void describe(int argc, char **argv) {
  printf("Content-Type: text/plain\nX-Made-By: web.c\n\n");
  for (int i = 0; i < argc; i++) printf("arg %s\n", argv[i]);
  for (char **one = environ; *one != NULL; one++) printf("%s\n", *one);
}

int main(int argc, char **argv) {
  static int count;
  const char *path = variable("PATH_INFO"), *query = variable("QUERY_STRING");
  fprintf(stderr, "%s %s\n", variable("REQUEST_METHOD"), path);
  if (strcmp(path, "/echo") == 0) {
    echo();
  } else if (strcmp(path, "/env") == 0) {
    describe(argc, argv);
  } else if (strcmp(path, "/status") == 0) {
    printf("Status: %s\nContent-Type: text/plain\n\nas asked\n", query);
  } else if (strcmp(path, "/redirect") == 0) {
    printf("Location: /elsewhere\n\n");
  } else if (strcmp(path, "/exit") == 0) {
    return atoi(query);
  } else if (strcmp(path, "/abort") == 0) {
    __builtin_trap();
  } else if (strcmp(path, "/wait") == 0) {
    const struct timespec pause = {.tv_sec = atoi(query) / 1000, .tv_nsec = atoi(query) % 1000 * 1000000L};
    nanosleep(&pause, NULL);
    printf("Content-Type: text/plain\n\nwaited\n");
  } else if (strcmp(path, "/spin") == 0) {
    for (volatile int turn = 0;; turn++);
  } else if (strcmp(path, "/half") == 0) {
    printf("Content-Type: text/plain\n\n");
    for (int i = 0; i < 100000; i++) printf("line %d\n", i);
    fflush(stdout);
    __builtin_trap();
  } else {
    printf("Content-Type: text/plain\n\nhello %s %d\n", variable("GREETING"), ++count);
  }
  return 0;
}
