/* Answers with the page that the variable PAGE names, followed by the path of the request. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
  char url[2048], piece[16384];
  const char *page = getenv("PAGE"), *path = getenv("PATH_INFO");
  if (page == NULL || path == NULL) return 1;
  int length = snprintf(url, sizeof url, "%s%s", page, path + strspn(path, "/"));
  FILE *from = length < (int)sizeof url ? fopen(url, "r") : NULL;
  if (from == NULL) {
    printf("Status: 502\nContent-Type: text/plain\n\n%s: %s\n", url, strerror(errno));
    return 0;
  }
  printf("Content-Type: application/octet-stream\n\n");
  for (size_t count; (count = fread(piece, 1, sizeof piece, from)) > 0;) fwrite(piece, 1, count, stdout);
  return ferror(from) ? 1 : 0;
}
