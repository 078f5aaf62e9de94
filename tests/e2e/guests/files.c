/* Prints the file that the path of the request names, and tries to change it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  const char *path = getenv("PATH_INFO");
  if (path == NULL) path = argv[1];
  else printf("Content-Type: text/plain\n\n");
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    printf("no %s: %s\n", path, strerror(errno));
    return 0;
  }
  char line[200];
  while (fgets(line, sizeof line, file) != NULL) fputs(line, stdout);
  fclose(file);
  printf("%s\n", fopen(path, "w") == NULL ? "read-only" : "writable");
  return 0;
}
